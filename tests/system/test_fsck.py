"""bm fsck: faults of plain directories and of mounts, and bits that have turned."""

import json
import os

import kit
import numpy as np
import pytest

from tools_kit import bm, good, normal, refused, store

SHAPE, SHARDS = (8, 4), (4, 4)
KEY = f"{kit.PREFIX}A/{kit.object_name((0, 0), SHAPE, SHARDS)}"


def faults(*words):
    """The lines of faults of a check that must find some."""
    result = bm("fsck", *words)
    assert result.code == 1, result
    return result.out.decode().splitlines()


def flip(path, at):
    """What a disk does: a bit turns, and nobody has written."""
    before = path.stat()
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_healthy_matrices_have_no_faults(tmp_path, deep):
    store(tmp_path / "A", normal(SHAPE), SHARDS)
    store(tmp_path / "B", normal((5, 3), dtype="c8"), (2, 2))
    (tmp_path / "B/block_0_0").unlink()
    result = good("fsck", *deep, tmp_path)
    assert result.out == b"" and b"2 matrices, 7 blocks (1 missing" in result.err
    report = good("fsck", *deep, "--json", tmp_path / "A").json()
    assert report["faults"] == [] and report["blocks"] == 2 and report["status"] == "ok"
    assert report["blocks_unchecked"] == (2 if deep else 0)  # no mount, no checksum


def test_names_sizes_and_headers(tmp_path):
    for name in "ABCD":
        store(tmp_path / name, normal(SHAPE), SHARDS)
    (tmp_path / "A/block_0_0").write_bytes(b"short")
    (tmp_path / "A/block_9_9").write_bytes(b"")
    (tmp_path / "A/notes").write_bytes(b"")
    (tmp_path / "B/header.json").write_text("{}")
    (tmp_path / "C/block_0_0").unlink()
    (tmp_path / "C/block_0_0").mkdir()
    lines = faults(tmp_path)
    assert len(lines) == 5, lines
    for name, words in [("A", "1 block outside"), ("A", "1 file: neither"),
                        ("A/block_0_0", "5 bytes"), ("B", "shape"), ("C/block_0_0", "not a file")]:
        assert any(f"{tmp_path}/{name}" in line and words in line for line in lines), (name, lines)
    report = bm("fsck", "--json", tmp_path).json()
    assert report["faults_found"] == 5 and sorted(report["faults"]) == sorted(lines)
    refused(6, "nowhere", "fsck", tmp_path / "nowhere")
    (tmp_path / "A/header.json").unlink()  # never "no matrix, no fault"
    refused(2, "A: not a matrix", "fsck", tmp_path / "A", hint="write header.json")


def test_only_a_deep_check_sees_the_npy_header(tmp_path):
    folder = store(tmp_path / "A", normal(SHAPE), SHARDS)
    np.save(folder / "block_0_0", np.ones((4, 4), dtype="i8"))
    (folder / "block_0_0.npy").rename(folder / "block_0_0")
    good("fsck", folder)
    assert "block_0_0" in faults("--deep", folder)[0]


def test_a_deep_check_of_a_mount_holds_blocks_against_their_checksums(mount, bucket):
    (mount.path / "A").mkdir()
    (mount.path / "A/header.json").write_text(json.dumps(
        {"shape": SHAPE, "shard_sizes": SHARDS, "dtype": "<f8"}))
    for i in range(2):
        (mount.path / f"A/block_{i}_0").write_bytes(kit.npy(np.full((4, 4), float(i))))
    report = good("fsck", "--deep", "--json", mount.path).json()
    assert report["blocks"] == 2 and report["blocks_unchecked"] == 0
    bucket.put(KEY, kit.npy(np.ones((4, 4))))  # by a program that stores no checksum
    report = good("fsck", "--deep", "--json", mount.path).json()
    assert report["blocks"] == 2 and report["blocks_unchecked"] == 1


def test_a_turned_bit_in_the_store_is_found(dir_bucket, tmp_path):
    with kit.Mount(dir_bucket, tmp_path) as m:
        (m.path / "A").mkdir()
        (m.path / "A/header.json").write_text(json.dumps(
            {"shape": SHAPE, "shard_sizes": SHARDS, "dtype": "<f8"}))
        (m.path / "A/block_0_0").write_bytes(kit.npy(np.ones((4, 4))))
    flip(dir_bucket.file(KEY), 200)
    with kit.Mount(dir_bucket, tmp_path) as m:
        good("fsck", m.path)
        lines = faults("--deep", m.path)
        assert len(lines) == 1 and "A/block_0_0" in lines[0] and "CRC-32C" in lines[0]


def test_a_block_of_a_result_that_is_another_is_a_fault(tmp_path):
    """Also where nothing is stored with the bytes: the header says what the run had made."""
    store(tmp_path / "A", normal((8, 8)), (4, 4))
    good("gemm", tmp_path / "A", tmp_path / "A", tmp_path / "C")
    report = good("fsck", "--deep", "--json", tmp_path / "C").json()
    assert report["blocks_unchecked"] == 0
    os.unlink(tmp_path / "C/block_1_0")
    np.save(tmp_path / "block", normal((4, 4), 99))
    os.rename(tmp_path / "block.npy", tmp_path / "C/block_1_0")
    good("fsck", tmp_path / "C")
    (line,) = faults("--deep", tmp_path / "C")
    assert "C/block_1_0: not what the run made" in line
