"""An open file is a snapshot; nobody sees half a block; writers never disturb readers."""

import errno
import mmap
import os
import subprocess
import sys
import threading
import time

import kit
import numpy as np
import pytest

SHAPE, SHARDS = (512, 512), (512, 512)


@pytest.fixture
def two(bucket, tmp_path):
    """Two mounts of one bucket with a matrix A of one block of ones."""
    kit.put_matrix(bucket, "A", np.ones(SHAPE), SHARDS)
    with kit.Mount(bucket, tmp_path, name="one") as one, kit.Mount(bucket, tmp_path, name="two") as two:
        yield one.path / "A/block_0_0", two.path / "A/block_0_0"


def save(path, value):
    with open(path, "wb") as f:
        np.save(f, np.full(SHAPE, value, dtype=float))


@pytest.mark.parametrize("where", ["same mount", "other mount"])
def test_a_reader_keeps_its_bytes_while_the_block_is_overwritten(two, where):
    path, other = two
    writer = path if where == "same mount" else other
    mapped = np.load(path, mmap_mode="r")
    file = open(path, "rb")
    file.seek(128)
    assert mapped[0, 0] == 1
    for value in (2, 3, 4):
        subprocess.run([sys.executable, "-c",
                        "import numpy, sys; numpy.save(open(sys.argv[1], 'wb'), "
                        "numpy.full((512, 512), float(sys.argv[2])))", writer, str(value)],
                       check=True, timeout=60)
        assert np.load(path)[0, 0] == value
    try:
        assert (np.asarray(mapped) == 1).all()
        assert (np.frombuffer(file.read()) == 1).all()
    except OSError as e:
        # What had not been fetched before the block changed may be an error, never other bytes.
        assert e.errno == 116 and where == "other mount"


def test_a_closed_write_is_seen_by_the_next_open_everywhere(two):
    one, other = two
    for value in range(2, 22):
        save(one if value % 2 else other, value)
        for path in two:
            assert (np.load(path) == value).all(), (value, path)


def test_a_block_is_nothing_or_whole_to_others_while_it_is_written(bucket, tmp_path):
    bucket.put(f"{kit.PREFIX}A/header", kit.header([1024, 512], [512, 512]))
    with kit.Mount(bucket, tmp_path) as m:
        path = m.path / "A/block_1_0"
        body = kit.npy(np.full(SHAPE, 7.0))
        watch = subprocess.Popen([sys.executable, "-c", f"""
import os, sys, time
seen = set()
print("go", flush=True)
while "whole" not in seen:
    try:
        data = open({str(path)!r}, "rb").read()
        seen.add("whole" if len(data) == {len(body)} else "part")
    except FileNotFoundError:
        seen.add("nothing")
print(*sorted(seen))
"""], stdout=subprocess.PIPE, text=True)
        assert watch.stdout.readline() == "go\n"
        with open(path, "wb", buffering=0) as f:
            for at in range(0, len(body), 1 << 16):
                f.write(body[at:at + (1 << 16)])
                time.sleep(0.002)
        out, _ = watch.communicate(timeout=60)
        assert out.split() == ["nothing", "whole"]


def test_a_memory_map_is_stored_when_flushed_and_not_before(two):
    path, other = two
    x = np.lib.format.open_memmap(path, mode="w+", dtype="<f8", shape=SHAPE)
    x[:256] = 5
    assert (np.load(other) == 1).all()
    subprocess.run(["true"], close_fds=False, check=True)
    assert (np.load(other) == 1).all()
    x[256:] = 5
    x.flush()
    assert (np.load(other) == 5).all()
    x[:] = 6
    assert (np.load(other) == 5).all()
    del x
    kit.wait_for(lambda: (np.load(other) == 6).all(), what="the last close")


def test_a_child_process_does_not_publish_its_parents_half_done_update(two):
    path, other = two
    body = kit.npy(np.full(SHAPE, 3.0))
    with open(path, "r+b", buffering=0) as f:
        f.write(body[:len(body) // 2])
        subprocess.run(["true"], close_fds=False, check=True)
        subprocess.run(["true"], check=True)
        os.system("true")
        assert (np.load(other) == 1).all()
        f.write(body[len(body) // 2:])
    assert (np.load(other) == 3).all()


def test_what_two_write_at_once_is_stored_when_it_is_whole(two):
    """They share the file as anywhere: the second one empties what the first has written."""
    path, other = two
    body = kit.npy(np.full(SHAPE, 4.0))
    first = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(first, body)
    second = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(second, body[:len(body) // 2])
    with pytest.raises(OSError) as e:
        os.close(first)
    assert e.value.errno == errno.EINVAL
    assert (np.load(other) == 1).all()
    os.write(second, body[len(body) // 2:])
    os.close(second)
    assert (np.load(other) == 4).all()


def test_parallel_readers_never_see_a_mixture(two):
    one, other = two
    stop = threading.Event()
    bad = []

    def read(path):
        while not stop.is_set():
            try:
                x = np.load(path)
            except (OSError, ValueError):
                continue  # replaced while it was being fetched: an error, not a mixture
            if not (x == x[0, 0]).all():
                bad.append(x[0, 0])

    readers = [threading.Thread(target=read, args=(p,)) for p in (one, other, one, other)]
    for t in readers:
        t.start()
    saved = 0
    try:
        for value in range(2, 30):
            try:
                save(one if value % 3 else other, value)
                saved += 1
            except OSError as failed:  # readers may be in the way of an open: it changed nothing
                assert failed.errno == errno.ESTALE
    finally:
        stop.set()
        for t in readers:
            t.join()
    assert not bad and saved > 20


def test_a_conflict_is_told_and_the_other_ones_block_stays(two):
    one, other = two
    np.load(one)  # else the old bytes, which a writer in place starts from, are gone with the next
    mine = os.open(one, os.O_RDWR)
    save(other, 9)
    os.write(mine, kit.npy(np.full(SHAPE, 8.0)))
    for call in (os.fsync, os.close):
        with pytest.raises(OSError) as failed:
            call(mine)
        assert failed.value.errno == 116
    assert (np.load(one) == 9).all() and (np.load(other) == 9).all()


def test_link_never_overwrites(two):
    one, other = two
    scratch = one.parent / ".bm-mine"
    save(scratch, 4)
    with pytest.raises(FileExistsError):
        os.link(scratch, one)
    assert (np.load(other) == 1).all()
    one.unlink()
    os.link(scratch, one)
    assert (np.load(other) == 4).all()
    with pytest.raises(FileExistsError):
        os.link(scratch, one)
    scratch.unlink()


def test_a_mapping_outlives_its_descriptor_and_the_name(two):
    path, _ = two
    fd = os.open(path, os.O_RDONLY)
    mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    os.close(fd)
    mapped[:128]
    path.unlink()
    assert (np.frombuffer(mapped, offset=128, count=8) == 1).all()
    mapped.close()
