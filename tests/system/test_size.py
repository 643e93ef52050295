"""A logical terabyte: 8,192 names of one block of 128 MiB."""

import os
import subprocess
import time

import kit
import numpy as np
import pytest

SIDE = 4096
BLOCKS = (128, 64)  # 8,192 blocks of 128 MiB: 1 TiB


@pytest.fixture
def terabyte(dir_bucket, tmp_path):
    """A matrix whose blocks are hard links to one file."""
    shape = (BLOCKS[0] * SIDE, BLOCKS[1] * SIDE)
    dir_bucket.put(f"{kit.PREFIX}huge/header", kit.header(shape, (SIDE, SIDE)))
    folder = dir_bucket.path / kit.PREFIX / "huge"
    first = folder / kit.object_name((0, 0), shape, (SIDE, SIDE))
    block = np.random.default_rng(4).standard_normal(SIDE)
    first.write_bytes(kit.npy(np.broadcast_to(block, (SIDE, SIDE))))
    for i in range(BLOCKS[0]):
        for j in range(BLOCKS[1]):
            if (i, j) != (0, 0):
                os.link(first, folder / kit.object_name((i, j), shape, (SIDE, SIDE)))
    return dir_bucket


def test_a_terabyte_mounts_lists_and_reads_within_its_memory(terabyte, tmp_path):
    begun = time.monotonic()
    with kit.Mount(terabyte, tmp_path, prefix="") as m:
        mounted = time.monotonic() - begun
        folder = m.path / "huge"
        times = {"mount": mounted}

        def timed(name, *command):
            start = time.monotonic()
            out = subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=m.path)
            times[name] = time.monotonic() - start
            return out.stdout

        assert timed("ls", "ls", "huge").count(b"\n") == 8193
        assert timed("ls -l", "ls", "-l", "huge").count(b"\n") == 8194
        for index in ((0, 0), (63, 31), (127, 63)):
            head = timed(f"head {index}", "head", "-c", "128", f"huge/block_{index[0]}_{index[1]}")
            assert head[:6] == b"\x93NUMPY"
        total = int(timed("du", "du", "-s", "--apparent-size", "-B1", "huge").split()[0])
        assert total >= 1 << 40
        assert b"blocks: 8192 of 8192" in timed("bm info", kit.BUILD / "tools/bm", "info", "huge")
        x = np.load(folder / "block_100_50", mmap_mode="r")
        assert x.shape == (SIDE, SIDE) and x[17, 33] == x[4000, 33]
        del x  # a mapping keeps the mount busy
        print({name: round(seconds, 3) for name, seconds in times.items()},
              "peak KiB:", kit.rss_kib(m.process.pid))
        assert kit.rss_kib(m.process.pid) < 512 << 10
        # Bounds of order of magnitude, far from what they take: nothing here may grow with the bytes.
        assert all(seconds < 20 for seconds in times.values()), times
