"""Whole matrices that are copied to a mount in whatever order their files come: blocks before their
header wait as ordinary files and are in their places once it is there."""

import errno
import json
import os
import threading

import kit
import numpy as np
import pytest

SHAPE, SHARDS = (300, 200), (128, 96)
GRID = [(i, j) for i in range(3) for j in range(3)]
HEADER = json.dumps({"shape": SHAPE, "shard_sizes": SHARDS, "dtype": "<f8"})


@pytest.fixture
def array():
    return np.random.default_rng(5).standard_normal(SHAPE)


def block(array, i, j):
    return np.ascontiguousarray(array[i * 128:(i + 1) * 128, j * 96:(j + 1) * 96])


@pytest.fixture
def source(tmp_path, array):
    """A local copy of a matrix, the header written last."""
    folder = tmp_path / "source"
    folder.mkdir()
    for i, j in GRID:
        (folder / f"block_{i}_{j}").write_bytes(kit.npy(block(array, i, j)))
    (folder / "header.json").write_text(HEADER)
    return folder


def assert_stored(bucket, array, name="A"):
    """The prefix holds the matrix as numpywren would have written it, and nothing else."""
    at = f"{kit.PREFIX}{name}/"
    keys = {at + kit.object_name(index, SHAPE, SHARDS): index for index in GRID}
    kit.wait_for(lambda: sorted(bucket.keys(at)) == sorted([*keys, at + "header"]), 20, "the blocks")
    for key, index in keys.items():
        assert bucket.get(key) == kit.npy(block(array, *index))
    # A mount that starts does this beside its users: the note goes last.
    kit.wait_for(lambda: not bucket.keys(f"{kit.PREFIX}.bmfs/early/"), 20, "the end of the note")


def assert_read(folder, array):
    assert sorted(os.listdir(folder)) == sorted(["header.json"] + [f"block_{i}_{j}" for i, j in GRID])
    for i, j in GRID:
        assert np.array_equal(np.load(folder / f"block_{i}_{j}"), block(array, i, j))


@pytest.mark.parametrize("command", [
    "rsync -a {source}/ A/",
    "cp -r {source} A",
    "cp -a {source} A",
    "cp {source}/block_* {source}/header.json A/",
    "mv {source} A",
    "tar -C {source} -cf - $(cd {source} && ls -r header.json block_* | sort) | tar -C A -xf -",
    "for f in {source}/*; do cat $f > A/$(basename $f); done",
])
def test_a_copied_matrix_may_come_in_any_order(bucket, tmp_path, source, array, command):
    with kit.Mount(bucket, tmp_path) as m:
        make = "mkdir A && " if " A/" in command or "-C A" in command else ""
        kit.shell("set -o pipefail; " + make + command.format(source=source), m.path)
        assert_read(m.path / "A", array)
        assert_stored(bucket, array)
        assert kit.shell("rm -r A && ls", m.path).stdout == ""
    assert not bucket.keys(kit.PREFIX + "A")


def test_early_blocks_are_files_for_everybody_until_the_header_comes(bucket, tmp_path, source, array):
    with kit.Mount(bucket, tmp_path) as m, kit.Mount(bucket, tmp_path, name="other") as other:
        (m.path / "A").mkdir()
        kit.shell(f"cp {source}/block_* A/", m.path)
        want = kit.npy(block(array, 1, 1))
        assert (m.path / "A/block_1_1").read_bytes() == want
        assert (other.path / "A/block_1_1").read_bytes() == want
        assert "header.json" not in os.listdir(other.path / "A")
        with open(m.path / "A/block_2_2", "rb") as f:  # a snapshot, as always
            (other.path / "A/header.json").write_text(HEADER)
            assert f.read() == kit.npy(block(array, 2, 2))
        assert_stored(bucket, array)
        assert_read(other.path / "A", array)
        kit.wait_for(lambda: "header.json" in os.listdir(m.path / "A"), 10, "the listing")
        assert_read(m.path / "A", array)


def test_bare_elements_may_come_first_too(bucket, tmp_path, array):
    with kit.Mount(bucket, tmp_path) as m:
        (m.path / "A").mkdir()
        for i, j in GRID:
            part = block(array, i, j)
            if j == 0:
                (m.path / f"A/block_{i}_{j}.raw").write_bytes(part.tobytes())
            elif j == 1:
                (m.path / f"A/block_{i}_{j}.npy").write_bytes(kit.npy(part))
            else:
                (m.path / f"A/block_{i}_{j}.F.raw").write_bytes(part.tobytes(order="F"))
        (m.path / "A/header.json").write_text(HEADER)
        assert_read(m.path / "A", array)
        assert not [k for k in bucket.keys(kit.PREFIX) if "block" in k or "early" in k]


@pytest.mark.parametrize("name, body", [
    ("block_1_1", b"not a block"),
    ("block_1_1", kit.npy(np.zeros((128, 96)))[:-1]),
    ("block_2_2", kit.npy(np.zeros((128, 96)))),
    ("block_3_0", kit.npy(np.zeros((128, 96)))),
    ("block_0_0", kit.npy(np.zeros((128, 96), "<f4"))),
    ("block_0_0.raw", b"12345678"),
    ("block_x", b"x"),
    ("block_0", b"x"),
], ids=["no block", "cut short", "another shape", "outside", "another type", "too few elements",
        "no index", "too few indices"])
def test_a_header_that_early_blocks_do_not_fit_is_refused(bucket, tmp_path, source, array, name, body):
    with kit.Mount(bucket, tmp_path) as m:
        (m.path / "A").mkdir()
        kit.shell(f"cp {source}/block_* A/", m.path)
        (m.path / "A" / name).write_bytes(body)
        before = bucket.keys(f"{kit.PREFIX}A/")
        with pytest.raises(OSError) as failed:
            (m.path / "A/header.json").write_text(HEADER)
        assert failed.value.errno == errno.EINVAL
        assert name in m.errors()
        assert bucket.keys(f"{kit.PREFIX}A/") == before
        assert not bucket.keys(f"{kit.PREFIX}.bmfs/early/")
        (m.path / "A" / name).unlink()
        kit.shell(f"rsync -a {source}/ A/", m.path)
        assert_stored(bucket, array)


def test_a_file_that_is_open_when_the_header_comes_becomes_the_block(bucket, tmp_path, source, array):
    with kit.Mount(bucket, tmp_path) as m:
        (m.path / "A").mkdir()
        kit.shell(f"cp {source}/block_[012]_[12] A/", m.path)
        mapped = np.lib.format.open_memmap(m.path / "A/block_0_0", "w+", "<f8", (128, 96))
        mapped[:] = 0
        mapped.flush()  # stored as a file
        late = open(m.path / "A/block_1_0", "wb", buffering=0)
        late.write(kit.npy(block(array, 1, 0)))  # not stored yet
        (m.path / "A/header.json").write_text(HEADER)
        mapped[:] = block(array, 0, 0)
        mapped.flush()
        del mapped
        late.close()
        (m.path / "A/block_2_0").write_bytes(kit.npy(block(array, 2, 0)))
        assert_stored(bucket, array)
        assert_read(m.path / "A", array)


def test_a_block_that_is_in_its_place_already_is_not_replaced(bucket, tmp_path, source, array):
    there = f"{kit.PREFIX}A/{kit.object_name((1, 1), SHAPE, SHARDS)}"
    same = f"{kit.PREFIX}A/{kit.object_name((0, 1), SHAPE, SHARDS)}"
    with kit.Mount(bucket, tmp_path) as m:
        (m.path / "A").mkdir()
        kit.shell(f"cp {source}/block_* A/", m.path)
        bucket.put(there, kit.npy(np.ones((128, 96))))
        with pytest.raises(OSError) as failed:
            (m.path / "A/header.json").write_text(HEADER)
        assert failed.value.errno == errno.EEXIST
        assert there in m.errors()
        assert bucket.get(there) == kit.npy(np.ones((128, 96)))
        assert bucket.get(f"{kit.PREFIX}A/block_1_1") == kit.npy(block(array, 1, 1))
        assert bucket.get(same) == kit.npy(block(array, 0, 1))
        bucket.delete(there)
    with kit.Mount(bucket, tmp_path) as m:  # which does what was left to do
        assert_stored(bucket, array)


def test_a_mount_that_deletes_nothing_wants_the_header_first(bucket, tmp_path, source, array):
    with kit.Mount(bucket, tmp_path, "--no-delete") as m:
        (m.path / "A").mkdir()
        with pytest.raises(OSError) as failed:
            (m.path / "A/block_0_0").write_bytes(b"x")
        assert failed.value.errno == errno.ENODATA
        assert "header.json first" in m.errors()
        kit.shell(f"cp {source}/header.json {source}/block_* A/", m.path)
        assert_read(m.path / "A", array)
    with kit.Mount(bucket, tmp_path, name="other") as other:
        (other.path / "B").mkdir()
        (other.path / "B/block_0_0").write_bytes(kit.npy(block(array, 0, 0)))
        with kit.Mount(bucket, tmp_path, "--no-delete") as m:
            with pytest.raises(PermissionError):
                (m.path / "B/header.json").write_text(HEADER)
            assert "deletes nothing" in m.errors()


def test_no_death_between_the_header_and_its_blocks_leaves_one_behind(request, s3_bucket, server,
                                                                      tmp_path):
    side, count = 512, 6  # blocks of 2 MiB
    blocks = [np.full((side, side), float(i)) for i in range(count)]
    shape = (count * side, side)
    at = f"{kit.PREFIX}A/"
    keys = [at + kit.object_name((i, 0), shape, (side, side)) for i in range(count)]
    header = json.dumps({"shape": shape, "shard_sizes": (side, side), "dtype": "<f8"})
    with kit.Proxy(server.env["AWS_ENDPOINT_URL"]) as proxy:
        m = kit.Mount(s3_bucket, tmp_path, "--endpoint-url", proxy.url)
        request.addfinalizer(m.clean_up)
        m.start()
        (m.path / "A").mkdir()
        for i, part in enumerate(blocks):
            (m.path / f"A/block_{i}_0").write_bytes(kit.npy(part))
        proxy.do("rate", rate=8 << 20)
        writer = threading.Thread(target=kit.run, args=("tee", str(m.path / "A/header.json")),
                                  kwargs={"check": False, "input": header})
        writer.start()
        kit.wait_for(lambda: at + "header" in s3_bucket.keys(), 20, "the header")
        m.kill()
        writer.join()
    assert [k for k in s3_bucket.keys(at) if "block" in k], "the daemon was quicker than the test"
    assert s3_bucket.keys(f"{kit.PREFIX}.bmfs/early/")
    with kit.Mount(s3_bucket, tmp_path, cache=tmp_path / "empty") as m:
        kit.wait_for(lambda: sorted(s3_bucket.keys(at)) == sorted([*keys, at + "header"]), 20,
                     "the blocks")
        for i, part in enumerate(blocks):
            assert np.array_equal(np.load(m.path / f"A/block_{i}_0"), part)
    assert not s3_bucket.keys(f"{kit.PREFIX}.bmfs/early/")


def test_a_header_from_another_mount_in_the_middle_leaves_no_block_behind(bucket, tmp_path, array):
    rounds = kit.many(8, 200)
    with kit.Mount(bucket, tmp_path) as m, kit.Mount(bucket, tmp_path, name="other") as other:
        for turn in range(rounds):
            name = f"A{turn}"
            (m.path / name).mkdir()
            (m.path / name / "block_0_0").write_bytes(kit.npy(block(array, 0, 0)))

            def store(half):
                for i, j in half:
                    (m.path / f"{name}/block_{i}_{j}").write_bytes(kit.npy(block(array, i, j)))

            threads = [threading.Thread(target=store, args=(GRID[1 + k::2],)) for k in range(2)]
            for thread in threads:
                thread.start()
            (other.path / name / "header.json").write_text(HEADER)
            for thread in threads:
                thread.join()
            assert_stored(bucket, array, name)


def test_a_mount_that_takes_nothing_to_change_puts_its_blocks_beside_anothers_header(bucket, tmp_path,
                                                                                      array):
    with kit.Mount(bucket, tmp_path, "--immutable") as m, \
            kit.Mount(bucket, tmp_path, name="other") as other:
        (m.path / "A").mkdir()
        (m.path / "A/block_0_0").write_bytes(kit.npy(block(array, 0, 0)))
        (other.path / "A/header.json").write_text(HEADER)
        for i, j in GRID[1:]:
            (m.path / f"A/block_{i}_{j}").write_bytes(kit.npy(block(array, i, j)))
        assert_stored(bucket, array)


def test_a_renamed_header_that_meets_a_conflict_says_so(bucket, tmp_path, source):
    there = f"{kit.PREFIX}A/{kit.object_name((1, 1), SHAPE, SHARDS)}"
    with kit.Mount(bucket, tmp_path) as m:
        (m.path / "A").mkdir()
        kit.shell(f"cp {source}/block_* A/", m.path)
        bucket.put(there, kit.npy(np.ones((128, 96))))
        assert kit.shell(f"rsync -a {source}/header.json A/", m.path, check=False).returncode != 0
        assert there in m.errors()
