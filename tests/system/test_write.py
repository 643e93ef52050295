"""What is written through a mount is what numpywren would have stored, and nothing else."""

import base64
import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
import time
import pickle

import kit
import numpy as np
import pytest

TYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
         "float16", "float32", "float64", "complex64", "complex128"]


def make(folder, shape, shards, dtype="<f8", **more):
    folder.mkdir()
    text = json.dumps({"shape": shape, "shard_sizes": shards, "dtype": dtype, **more})
    (folder / "header.json").write_text(text)


def test_header_json_becomes_numpywrens_header(mount, bucket):
    make(mount.path / "A", [10, 7], [4, 3])
    body = bucket.get(f"{kit.PREFIX}A/header")
    assert body == kit.header([10, 7], [4, 3])
    dtype = pickle.loads(base64.b64decode(json.loads(body)["dtype"]))
    assert np.dtype(dtype) == np.float64


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_stored_as_numpywren_stores_it(dir_bucket, tmp_path, name):
    with kit.Mount(dir_bucket, tmp_path) as m:
        descr = np.dtype(name).str
        make(m.path / "A", [3, 2], [2, 2], descr)
        block = np.arange(4).reshape(2, 2).astype(name)
        np.save(m.path / "A/block_0_0", block)
        stored = json.loads(dir_bucket.get(f"{kit.PREFIX}A/header"))
        assert np.dtype(pickle.loads(base64.b64decode(stored["dtype"]))) == np.dtype(name)
        assert dir_bucket.get(f"{kit.PREFIX}A/0_2_2_0_2_2_") == kit.npy(block)
        assert json.loads((m.path / "A/header.json").read_text())["dtype"] == descr


def test_blocks_written_in_every_way_are_the_objects_numpywren_would_make(mount, bucket, tmp_path):
    array = np.random.default_rng(1).standard_normal((10, 7))
    folder = mount.path / "A"
    make(folder, [10, 7], [4, 3])
    np.save(folder / "block_0_0", array[:4, :3])
    (tmp_path / "b").write_bytes(kit.npy(array[:4, 3:6]))
    kit.run("cp", tmp_path / "b", folder / "block_0_1")
    (tmp_path / "b").write_bytes(kit.npy(array[:4, 6:]))
    kit.run("dd", f"if={tmp_path}/b", f"of={folder}/block_0_2", "bs=50")
    (tmp_path / "b").write_bytes(kit.npy(array[4:8, :3]))
    kit.shell(f"cat {tmp_path}/b > block_1_0", folder)
    (tmp_path / ".tmp").write_bytes(kit.npy(array[4:8, 3:6]))
    kit.run("mv", tmp_path / ".tmp", folder / "block_1_1")
    with open(folder / ".bm-scratch", "wb") as f:
        f.write(kit.npy(array[4:8, 6:]))
    os.link(folder / ".bm-scratch", folder / "block_1_2")
    os.unlink(folder / ".bm-scratch")
    with open(folder / "tmpabcdefgh", "wb") as f:
        f.write(kit.npy(array[8:, :3]))
    os.replace(folder / "tmpabcdefgh", folder / "block_2_0")
    np.asfortranarray(array[8:, 3:6]).T.tofile(folder / "block_2_1.F.raw")
    array[8:, 6:].tofile(folder / "block_2_2.raw")
    keys = bucket.keys(f"{kit.PREFIX}A/")
    names = {f"{kit.PREFIX}A/{kit.object_name((i, j), (10, 7), (4, 3))}"
             for i in range(3) for j in range(3)}
    assert set(keys) == names | {f"{kit.PREFIX}A/header"}
    for i in range(3):
        for j in range(3):
            key = f"{kit.PREFIX}A/{kit.object_name((i, j), (10, 7), (4, 3))}"
            part = array[4 * i:4 * i + 4, 3 * j:3 * j + 3]
            if (i, j) == (2, 1):
                part = np.asfortranarray(part)
            assert bucket.get(key) == kit.npy(part), (i, j)
            assert np.array_equal(np.load(folder / f"block_{i}_{j}"), part)


def test_any_number_of_axes(mount, bucket):
    array = np.arange(60, dtype="<f4").reshape(5, 4, 3)
    make(mount.path / "T", [5, 4, 3], [2, 4, 2], "<f4")
    for i in range(3):
        for k in range(2):
            np.save(mount.path / f"T/block_{i}_0_{k}", array[2 * i:2 * i + 2, :, 2 * k:2 * k + 2])
    assert bucket.get(f"{kit.PREFIX}T/4_5_2_0_4_4_2_3_2_") == kit.npy(array[4:, :, 2:])
    make(mount.path / "v", [7], [3])
    np.save(mount.path / "v/block_2", np.ones(1))
    assert bucket.get(f"{kit.PREFIX}v/6_7_3_") == kit.npy(np.ones(1))
    make(mount.path / "empty", [0, 5], [2, 2])
    assert (mount.path / "empty/header.json").exists()
    make(mount.path / "one", [1, 1], [8, 8])
    np.save(mount.path / "one/block_0_0", np.ones((1, 1)))
    assert bucket.get(f"{kit.PREFIX}one/0_1_8_0_1_8_") == kit.npy(np.ones((1, 1)))


def test_odd_keys(mount, bucket):
    for key in ["nested/key/with space+%(x),1", "Cholesky(BigMatrix(A))", "ü/ß", "a%2Fb", "--x", "~"]:
        folder = mount.path / key
        folder.parent.mkdir(parents=True, exist_ok=True)
        make(folder, [2, 2], [2, 2])
        np.save(folder / "block_0_0", np.eye(2))
        assert bucket.get(f"{kit.PREFIX}{key}/0_2_2_0_2_2_") == kit.npy(np.eye(2))


def test_further_fields_of_a_header_are_kept(mount, bucket):
    make(mount.path / "A", [4, 4], [2, 2], fill_value=0, origin={"by": "test", "n": [1, 2.5]})
    stored = json.loads(bucket.get(f"{kit.PREFIX}A/header"))
    assert stored["fill_value"] == 0 and stored["origin"] == {"by": "test", "n": [1, 2.5]}
    shown = json.loads((mount.path / "A/header.json").read_text())
    assert shown["fill_value"] == 0 and shown["origin"] == stored["origin"]


def test_the_header_is_fixed_once_blocks_exist(mount, bucket):
    folder = mount.path / "A"
    make(folder, [4, 4], [2, 2])
    kit.shell("sed -i 's/\\[4, 4\\]/[6, 4]/' header.json", folder)
    assert json.loads(bucket.get(f"{kit.PREFIX}A/header"))["shape"] == [6, 4]
    np.save(folder / "block_2_0", np.ones((2, 2)))
    before = bucket.get(f"{kit.PREFIX}A/header")
    failed = kit.shell("sed -i 's/\\[6, 4\\]/[8, 4]/' header.json", folder, check=False)
    assert failed.returncode != 0
    with pytest.raises(PermissionError):
        (folder / "header.json").write_text(json.dumps(
            {"shape": [6, 4], "shard_sizes": [2, 2], "dtype": "<f4"}))
    assert bucket.get(f"{kit.PREFIX}A/header") == before
    assert "fixed once blocks exist" in mount.errors()


def test_copies_of_whole_matrices(mount, bucket, tmp_path):
    array = np.random.default_rng(2).standard_normal((10, 7))
    kit.put_matrix(bucket, "A", array, (4, 3))
    kit.shell("cp -r A B && diff -r A B", mount.path)
    assert {k.replace("/B/", "/A/") for k in bucket.keys(f"{kit.PREFIX}B/")} == \
        set(bucket.keys(f"{kit.PREFIX}A/"))
    kit.shell(f"rsync -a A/ {tmp_path}/out/ && diff -r A {tmp_path}/out", mount.path)
    kit.shell(f"mkdir C && cp {tmp_path}/out/header.json C/ && rsync -a {tmp_path}/out/ C/ && "
              "diff -r A C", mount.path)
    for key in bucket.keys(f"{kit.PREFIX}A/"):
        assert bucket.get(key) == bucket.get(key.replace("/A/", "/C/"))
    kit.shell("mv C D && diff -r A D && test ! -e C", mount.path)
    kit.shell("rm -r B && test ! -e B", mount.path)
    assert bucket.keys(f"{kit.PREFIX}B/") == [] and bucket.keys(f"{kit.PREFIX}C/") == []


def test_ordinary_files(mount, bucket):
    plain = mount.path / "notes/today.txt"
    plain.parent.mkdir()
    plain.write_text("one\n")
    with open(plain, "a") as f:
        f.write("two\n")
    assert bucket.get(f"{kit.PREFIX}notes/today.txt") == b"one\ntwo\n"
    with open(plain, "r+b") as f:
        f.seek(4)
        f.write(b"TWO")
    assert plain.read_text() == "one\nTWO\n"
    plain.rename(mount.path / "notes/later.txt")
    assert bucket.keys(f"{kit.PREFIX}notes/") == [f"{kit.PREFIX}notes/later.txt"]
    os.truncate(mount.path / "notes/later.txt", 8)
    (mount.path / "notes/later.txt").unlink()
    (mount.path / "notes").rmdir()
    own = {f"{kit.PREFIX}.bmfs/endpoint"}  # what it found out about the server
    assert set(bucket.keys(kit.PREFIX)) <= own
    kit.shell("touch empty", mount.path)
    kit.wait_for(lambda: set(bucket.keys(kit.PREFIX)) - own == {f"{kit.PREFIX}empty"},
                 what="the empty file")


def test_an_exclusive_create_is_a_lock(bucket, tmp_path):
    with kit.Mount(bucket, tmp_path, name="one") as one, kit.Mount(bucket, tmp_path, name="two") as two:
        os.close(os.open(one.path / "lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        with pytest.raises(FileExistsError):
            os.open(two.path / "lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        with pytest.raises(FileExistsError):
            os.open(one.path / "lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def test_no_view_of_a_block_is_renamed_to_another(mount, bucket):
    kit.put_matrix(bucket, "A", np.arange(16.0).reshape(4, 4), (4, 4))
    name = kit.object_name((0, 0), (4, 4), (4, 4))
    before = bucket.get(f"{kit.PREFIX}A/{name}")
    assert kit.shell("mv A/block_0_0.raw A/block_0_0.F.raw", mount.path, check=False).returncode
    assert bucket.get(f"{kit.PREFIX}A/{name}") == before


def test_rmdir_leaves_a_directory_that_holds_another(mount, bucket):
    (mount.path / "a/b").mkdir(parents=True)
    with pytest.raises(OSError) as e:
        (mount.path / "a").rmdir()
    assert e.value.errno == errno.ENOTEMPTY
    (mount.path / "a/b").rmdir()
    (mount.path / "a").rmdir()
    assert not (mount.path / "a").exists()


@pytest.mark.parametrize("nothing", ["touch B/block_0_0", ": > B/block_0_0", "false > B/header.json"])
def test_a_file_that_nobody_wrote_to_is_in_nobodys_way(mount, bucket, nothing):
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    kit.shell("mkdir B", mount.path)
    if "header" not in nothing:
        kit.shell("cp A/header.json B/", mount.path)
    kit.shell(nothing, mount.path, check=False)
    kit.shell("cp A/header.json B/" if "header" in nothing else "cp A/block_1_1 B/block_0_0",
              mount.path)
    kit.shell("cp A/block_0_1 B/", mount.path)
    assert (np.load(mount.path / "B/block_0_1") == np.eye(4)[:2, 2:]).all()
    kit.shell("touch B/block_1_0; rm -r B", mount.path)
    assert sorted(os.listdir(mount.path)) == ["A"]
    kit.shell("mkdir B; cp A/header.json B/; touch B/block_0_0", mount.path)
    assert "B" in os.listdir(mount.path)


def test_an_emptied_header_is_written_anew(mount, bucket):
    make(mount.path / "A", [4, 4], [2, 2])
    kit.shell("text=$(sed 's/4/6/' A/header.json) && "
              ": > A/header.json && echo \"$text\" >> A/header.json", mount.path)
    assert json.loads(bucket.get(f"{kit.PREFIX}A/header"))["shape"] == [6, 4]


def test_what_another_process_is_writing_is_not_moved(mount, bucket):
    begun = open(mount.path / "f", "wb", buffering=0)
    begun.write(b"a part")
    kit.shell("! cat f 2>/dev/null && echo whole > x && mv x f && cat f && mv f g && test ! -e f", mount.path)
    assert bucket.get(f"{kit.PREFIX}g") == b"whole\n"
    begun.close()
    assert bucket.get(f"{kit.PREFIX}f") == b"a part"


def test_who_has_lost_a_race_does_not_remove_what_has_won(mount, bucket):
    """As a program does that cleans up after an error."""
    f = open(mount.path / "f", "wb", buffering=0)
    f.write(b"ours")
    bucket.put(f"{kit.PREFIX}f", b"theirs")
    with pytest.raises(OSError) as failed:
        os.fsync(f.fileno())
    assert failed.value.errno == errno.ESTALE
    os.unlink(mount.path / "f")
    with contextlib.suppress(OSError):
        f.close()
    assert bucket.get(f"{kit.PREFIX}f") == b"theirs"


def test_a_removed_block_is_gone_though_others_have_lost_a_race_for_it(mount, bucket):
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    os.unlink(mount.path / "A/block_0_1")
    script = ("import os; fd = os.open('A/block_0_1', os.O_WRONLY | os.O_CREAT);"
              "os.write(fd, open('A/block_1_0', 'rb').read()); print(flush=True); input(); os.close(fd)")
    for _ in range(10):
        loser = subprocess.Popen([sys.executable, "-c", script], cwd=mount.path, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        loser.stdout.readline()
        bucket.put(f"{kit.PREFIX}A/0_2_2_2_4_2_", kit.npy(np.ones((2, 2))))
        loser.communicate("now\n", timeout=60)
        assert loser.returncode == 1
        os.unlink(mount.path / "A/block_0_1")
        assert "0_2_2_2_4_2_" not in "".join(bucket.keys(f"{kit.PREFIX}A/"))


def test_of_many_that_create_a_block_at_once_one_does(mount, bucket):
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    os.unlink(mount.path / "A/block_0_1")
    script = ("import os, sys; fd = os.open('A/block_0_1', os.O_WRONLY | os.O_CREAT | os.O_EXCL);"
              "os.write(fd, open('A/block_1_0', 'rb').read()); os.close(fd)")
    for _ in range(5):
        racers = [subprocess.Popen([sys.executable, "-c", script], cwd=mount.path,
                                   stderr=subprocess.DEVNULL) for _ in range(6)]
        assert [r.wait(timeout=60) for r in racers].count(0) == 1
        assert np.load(mount.path / "A/block_0_1").shape == (2, 2)
        os.unlink(mount.path / "A/block_0_1")


def test_a_block_replaced_before_its_old_bytes_were_fetched_says_so(s3_bucket, tmp_path):
    kit.put_matrix(s3_bucket, "A", np.zeros((512, 512)), (512, 512))
    with kit.Mount(s3_bucket, tmp_path) as m:
        with pytest.raises(OSError) as failed:
            with open(m.path / "A/block_0_0", "r+b", buffering=0) as f:
                theirs = kit.npy(np.ones((512, 512)))
                s3_bucket.put(f"{kit.PREFIX}A/{kit.object_name((0, 0), (512, 512), (512, 512))}", theirs)
                f.seek(1 << 20)
                f.write(b"12345678")
        assert failed.value.errno == errno.ESTALE
        assert "somebody else has stored it" in m.errors()
        assert (m.path / "A/block_0_0").read_bytes() == theirs


def test_a_file_that_was_made_and_removed_elsewhere_is_made_anew(dir_bucket, tmp_path):
    """All within a millisecond: what the store says last counts."""
    with kit.Mount(dir_bucket, tmp_path) as m:
        folder = m.path / "d"
        folder.mkdir()
        (folder / "kept").write_bytes(b"x")
        for i in range(kit.many(200, 5000, 50)):
            with open(folder / f"f{i}", "xb"):
                pass
            dir_bucket.delete(f"{kit.PREFIX}d/f{i}")
            with open(folder / f"f{i}", "ab") as f:
                f.write(b"new")
            assert dir_bucket.get(f"{kit.PREFIX}d/f{i}") == b"new"


def test_of_two_that_rename_one_file_none_is_told_that_it_is_stale(bucket, tmp_path):
    """As when an interrupted one goes on: the name is gone, whoever has taken it away."""
    with kit.Mount(bucket, tmp_path, name="a") as one, kit.Mount(bucket, tmp_path, name="b") as two:
        kit.put_matrix(bucket, "A", np.ones((8, 4)), (4, 4))
        told = set()

        def rename(m, turn, ready):
            ready.wait()
            try:
                os.rename(m.path / f"A/block_{turn % 2}_0", m.path / f"A/block_{1 - turn % 2}_0")
            except OSError as e:
                told.add(e.errno)

        os.unlink(one.path / "A/block_1_0")
        for turn in range(kit.many(60, 1000, 20)):
            ready = threading.Barrier(4)
            racers = [threading.Thread(target=rename, args=(m, turn, ready))
                      for m in (one, two, one, two)]
            for r in racers:
                r.start()
            for r in racers:
                r.join()
            stored = [n for n in bucket.keys(f"{kit.PREFIX}A/") if not n.endswith("header")]
            assert len(stored) == 1, (turn, stored)
        assert told <= {errno.ENOENT}, {errno.errorcode[e] for e in told}


@pytest.mark.parametrize("flags", [os.O_TRUNC, 0, os.O_APPEND])
@pytest.mark.parametrize("name", ["f", "A/block_0_0"])
def test_a_name_that_others_removed_is_made_anew_beside_an_open_file(mount, bucket, name, flags):
    """Whoever has the removed file open keeps it, and is told when it writes on."""
    path, key = mount.path / name, f"{kit.PREFIX}{name}"
    if name != "f":
        make(mount.path / "A", [2, 2], [2, 2])
        key = f"{kit.PREFIX}A/{kit.object_name((0, 0), (2, 2), (2, 2))}"
    bodies = [kit.npy(np.full((2, 2), i)) for i in (1.0, 2.0, 3.0)]
    first = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.write(first, bodies[0])
        os.fsync(first)
        bucket.delete(key)
        time.sleep(1.2)  # a listing may be a second old
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | flags), "wb", buffering=0) as second:
            second.write(bodies[1])
        assert bucket.get(key) == bodies[1]
        assert os.pread(first, 1000, 0) == bodies[0]
        os.pwrite(first, bodies[2], 0)
    finally:
        with pytest.raises(OSError) as told:
            os.close(first)
    assert told.value.errno == errno.ESTALE
    assert bucket.get(key) == bodies[1] == path.read_bytes()
