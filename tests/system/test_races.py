"""Two mounts that write the same name at the same moment: one wins, and every loser is told."""

import errno
import fcntl
import os
import subprocess
import threading
import time

import kit
import numpy as np
import pytest

SIDE = 8
NAME = kit.object_name((0, 0), (SIDE, SIDE), (SIDE, SIDE))


@pytest.fixture
def two(bucket, tmp_path):
    """Two mounts of a bucket of each kind."""
    with kit.Mount(bucket, tmp_path, name="one") as one:
        with kit.Mount(bucket, tmp_path, name="two") as other:
            yield bucket, (one, other)


def at_once(*jobs):
    """Runs jobs that start at the same moment; the errno of each, 0 when it was done."""
    result = [None] * len(jobs)
    barrier = threading.Barrier(len(jobs))

    def run(i, job):
        barrier.wait(timeout=60)
        try:
            job()
            result[i] = 0
        except OSError as e:
            result[i] = e.errno

    threads = [threading.Thread(target=run, args=x) for x in enumerate(jobs)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=120)
    assert None not in result
    return result


def winner(result, losers):
    """The number of the only one that was done; the others know why they were not."""
    assert result.count(0) == 1 and set(result) - {0} <= losers, result
    return result.index(0)


def test_racing_overwrites_have_one_winner(two):
    """All have opened the old block before the first of them closes."""
    bucket, mounts = two
    kit.put_matrix(bucket, "A", np.zeros((SIDE, SIDE)), (SIDE, SIDE))
    for turn in range(kit.many(100, 1000, 30)):
        blocks = [kit.npy(np.full((SIDE, SIDE), 2.0 * turn + i + 1)) for i in range(2)]
        fds = [os.open(m.path / "A/block_0_0", os.O_WRONLY | os.O_TRUNC) for m in mounts]
        for fd, block in zip(fds, blocks):
            os.write(fd, block)
        result = at_once(*(lambda fd=fd: os.close(fd) for fd in fds))
        won = winner(result, {errno.ESTALE})
        assert bucket.get(f"{kit.PREFIX}A/{NAME}") == blocks[won], turn


def test_racing_exclusive_creates_have_one_winner(two):
    bucket, mounts = two

    def create(mount, name, text):
        fd = os.open(mount.path / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(fd, text)
        os.close(fd)

    for turn in range(kit.many(100, 1000, 30)):
        name = f"lock-{turn}"
        texts = [b"one", b"two"]
        result = at_once(*(lambda m=m, t=t: create(m, name, t) for m, t in zip(mounts, texts)))
        won = winner(result, {errno.EEXIST})
        assert bucket.get(f"{kit.PREFIX}{name}") == texts[won], turn


@pytest.mark.parametrize("what", ["block", "plain"])
def test_racing_links_have_one_winner(two, what):
    """How programs publish a file once: written under a name of its own, then linked."""
    bucket, mounts = two
    for turn in range(kit.many(100, 1000, 30)):
        key = f"M{turn}" if what == "block" else "locks"
        name = "block_0_0" if what == "block" else f"lock-{turn}"
        stored = f"{kit.PREFIX}{key}/{NAME if what == 'block' else name}"
        if what == "block":
            bucket.put(f"{kit.PREFIX}{key}/header", kit.header([SIDE, SIDE], [SIDE, SIDE]))
        bodies = [kit.npy(np.full((SIDE, SIDE), float(i))) for i in range(2)]
        for m, body in zip(mounts, bodies):
            (m.path / key).mkdir(exist_ok=True)
            (m.path / key / ".bm-scratch").write_bytes(body)
        result = at_once(*(lambda m=m: os.link(m.path / key / ".bm-scratch", m.path / key / name)
                           for m in mounts))
        for m in mounts:
            os.unlink(m.path / key / ".bm-scratch")
        won = winner(result, {errno.EEXIST})
        assert bucket.get(stored) == bodies[won], turn


def test_racing_processes_of_one_mount_have_one_winner(mount, bucket):
    for turn in range(kit.many(100, 1000, 30)):
        path = mount.path / f"lock-{turn}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        result = at_once(*(lambda: os.close(os.open(path, flags)) for _ in range(2)))
        winner(result, {errno.EEXIST})
        assert bucket.get(f"{kit.PREFIX}{path.name}") == b""


def test_a_rename_does_not_delete_what_was_stored_meanwhile(dir_bucket, tmp_path):
    dir_bucket.put(f"{kit.PREFIX}d/old", b"first")
    with kit.Mount(dir_bucket, tmp_path) as m:
        (m.path / "d/any").write_bytes(b"makes the locks' folder")
        locks = dir_bucket.path / ".bmfs-store/lock"
        held = [os.open(locks / f"{i:02x}", os.O_RDWR | os.O_CREAT) for i in range(64)]
        for fd in held:
            fcntl.flock(fd, fcntl.LOCK_EX)
        mv = subprocess.Popen(["mv", m.path / "d/old", m.path / "d/new"])
        tmp = dir_bucket.path / ".bmfs-store/tmp"
        kit.wait_for(lambda: list(tmp.iterdir()), what="the copy under the new name")
        time.sleep(0.1)  # until it waits for the lock
        dir_bucket.put(f"{kit.PREFIX}d/old", b"second")
        for fd in held:
            os.close(fd)
        mv.wait(timeout=30)
        stored = {k: dir_bucket.get(k) for k in dir_bucket.keys(f"{kit.PREFIX}d/")}
        assert b"second" in stored.values(), stored


def test_a_second_writer_that_truncates_starts_from_nothing(mount, bucket):
    with open(mount.path / "plain", "wb", buffering=0) as first:
        first.write(b"A" * 1000)
        kit.shell("printf hi > plain", mount.path)
        assert bucket.get(f"{kit.PREFIX}plain") == b"hi"


def test_what_a_child_writes_while_its_parent_stores_is_stored_at_its_close(dir_bucket, tmp_path):
    with kit.Mount(dir_bucket, tmp_path) as m:
        (m.path / "any").write_bytes(b"makes the locks' folder")
        fd = os.open(m.path / "f", os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"parent")
        locks = dir_bucket.path / ".bmfs-store/lock"
        held = [os.open(locks / f"{i:02x}", os.O_RDWR | os.O_CREAT) for i in range(64)]
        for lock in held:
            fcntl.flock(lock, fcntl.LOCK_EX)
        store = threading.Thread(target=os.close, args=(os.dup(fd),))
        store.start()
        tmp = dir_bucket.path / ".bmfs-store/tmp"
        kit.wait_for(lambda: list(tmp.iterdir()), what="the put of the parent's bytes")
        child = subprocess.Popen(["bash", "-c", f"printf child >&{fd}"], pass_fds=[fd])
        time.sleep(0.3)  # until it waits for the put
        for lock in held:
            os.close(lock)
        assert child.wait(timeout=30) == 0
        store.join()
        stored = dir_bucket.get(f"{kit.PREFIX}f")
        os.close(fd)
        assert stored == b"parentchild"


def test_who_opens_to_write_shares_no_older_version_with_others(mount, bucket):
    bucket.put(f"{kit.PREFIX}p", b"first")
    older = os.open(mount.path / "p", os.O_RDWR)
    assert os.pread(older, 10, 0) == b"first"
    bucket.put(f"{kit.PREFIX}p", b"second")
    with open(mount.path / "p", "r+b") as newer:
        assert newer.read() == b"second"
        newer.seek(0)
        newer.write(b"s3cond")
    assert bucket.get(f"{kit.PREFIX}p") == b"s3cond"
    assert os.pread(older, 10, 0) == b"first"
    os.write(older, b"f")
    with pytest.raises(OSError) as e:
        os.close(older)
    assert e.value.errno == errno.ESTALE
