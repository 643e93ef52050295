"""What is asked of the server and how many bytes move: counted in the server's own log."""

import os
import subprocess
import time

import kit
import numpy as np
import pytest

from tools_kit import good

SIDE = 2048  # a block of 32 MiB


@pytest.fixture
def matrix(s3_bucket, server, tmp_path):
    """A mounted matrix of two cold blocks; nothing was asked about them yet."""
    array = np.random.default_rng(8).standard_normal((2 * SIDE, SIDE))
    kit.put_matrix(s3_bucket, "A", array, (SIDE, SIDE))
    with kit.Mount(s3_bucket, tmp_path) as m:
        assert "header.json" in os.listdir(m.path / "A")
        time.sleep(1.2)  # what the listing said is not trusted any more
        yield m, server, array


def block_requests(server, mark):
    """Requests for blocks, without the listing of names."""
    return [r for r in server.settled_requests(mark) if "/0_" in r[1] or f"/{SIDE}_" in r[1]]


def test_a_small_read_of_a_cold_block_is_one_small_get(matrix):
    m, server, _ = matrix
    mark = server.mark()
    subprocess.run(["head", "-c", "128", m.path / "A/block_0_0"], check=True, capture_output=True)
    asked = block_requests(server, mark)
    assert [r[0] for r in asked] == ["GET"], asked
    assert asked[0][3] <= 256 << 10


def test_reading_a_cold_block_moves_each_byte_once_and_asks_for_no_head(matrix):
    m, server, array = matrix
    mark = server.mark()
    assert np.array_equal(np.load(m.path / "A/block_0_0"), array[:SIDE])
    asked = block_requests(server, mark)
    size = 128 + SIDE * SIDE * 8
    assert {r[0] for r in asked} == {"GET"}
    assert sum(r[3] for r in asked) == size
    assert len(asked) <= 20
    assert all("bytes=" in r[4] for r in asked)


def test_opening_a_cached_block_is_one_conditional_request(matrix):
    m, server, array = matrix
    path = m.path / "A/block_0_0"
    np.load(path)
    time.sleep(1.2)
    mark = server.mark()
    for _ in range(5):
        with open(path, "rb") as f:
            f.read()
    asked = block_requests(server, mark)
    assert [(r[0], r[2], r[3]) for r in asked] == [("GET", 304, 0)] * 5, asked
    time.sleep(1.2)
    mark = server.mark()
    assert np.array_equal(np.load(path), array[:SIDE])
    assert len(server.settled_requests(mark)) <= 3  # the block's, and the directory's after a second


def test_an_immutable_mount_asks_nothing_twice(s3_bucket, server, tmp_path):
    array = np.random.default_rng(9).standard_normal((64, 64))
    kit.put_matrix(s3_bucket, "A", array, (64, 64))
    with kit.Mount(s3_bucket, tmp_path, "-o", "immutable") as m:
        np.load(m.path / "A/block_0_0")
        time.sleep(1.2)
        mark = server.mark()
        for _ in range(5):
            assert np.array_equal(np.load(m.path / "A/block_0_0"), array)
            (m.path / "A/header.json").read_bytes()
            os.stat(m.path / "A")
        assert server.settled_requests(mark) == []


def test_listing_a_matrix_costs_lists_only(s3_bucket, server, tmp_path):
    blocks, pages, commands = 1200, 2, 3
    s3_bucket.put(f"{kit.PREFIX}A/header", kit.header([blocks], [1]))
    for i in range(blocks):
        s3_bucket.put(f"{kit.PREFIX}A/{i}_{i + 1}_1_", b"x" * 136)
    with kit.Mount(s3_bucket, tmp_path) as m:
        mark = server.mark()
        assert kit.shell("ls -l A | wc -l", m.path).stdout.strip() == str(blocks + 2)
        assert kit.shell("find A -type f -size -2 | wc -l", m.path).stdout.strip() == str(blocks + 1)
        assert kit.shell("du -s --apparent-size -B1 A", m.path).stdout.startswith(str(blocks * 136)[:2])
        asked = server.settled_requests(mark)
        lists = [r for r in asked if "list-type=2" in r[1]]
        others = [r for r in asked if "list-type=2" not in r[1]]
        assert len(lists) <= commands * (pages + 2) and len(others) <= 4, (len(lists), others)
        assert not [r for r in asked if "_1_" in r[1].split("?")[0]]


def test_absence_is_never_remembered(matrix):
    m, server, _ = matrix
    m.bucket.delete(f"{kit.PREFIX}A/{kit.object_name((1, 0), (2 * SIDE, SIDE), (SIDE, SIDE))}")
    mark = server.mark()
    for _ in range(5):
        assert not (m.path / "A/block_1_0").exists()
    asked = block_requests(server, mark)
    # One more is the kernel's, which finds first that the name it knew is gone.
    assert len(asked) in (5, 6) and all(r[2] == 404 for r in asked)


def test_storing_a_block_is_one_conditional_put(matrix):
    m, server, array = matrix
    np.save(m.path / "A/block_1_0", array[:SIDE])  # the first write asks what the server can do
    mark = server.mark()
    np.save(m.path / "A/block_1_0", array[SIDE:])
    asked = block_requests(server, mark)
    assert {r[0] for r in asked} == {"GET", "PUT"} and len(asked) <= 3, asked
    puts = [r for r in asked if r[0] == "PUT"]
    assert len(puts) == 1 and puts[0][2] == 200
    assert all(r[3] == 0 or r[0] == "PUT" for r in asked), asked
    mark = server.mark()
    assert np.array_equal(np.load(m.path / "A/block_1_0"), array[SIDE:])
    assert sum(r[3] for r in block_requests(server, mark)) == 0  # what was written is in the cache


def test_slow_readers_do_not_delay_ls(s3_bucket, tmp_path):
    """Ten readers of cold blocks through a slow line; names come through another one."""
    import threading

    array = np.random.default_rng(10).standard_normal((10 * 512, 1024))
    kit.put_matrix(s3_bucket, "A", array, (512, 1024))
    kit.put_matrix(s3_bucket, "B", np.eye(4), (2, 2))
    with kit.SlowLine(s3_bucket.server.env["AWS_ENDPOINT_URL"], bytes_per_second=400_000) as line, \
            kit.Mount(s3_bucket, tmp_path, env={"AWS_ENDPOINT_URL": line.url}) as m:
        readers = [threading.Thread(target=lambda i=i: (m.path / f"A/block_{i}_0").read_bytes(),
                                    daemon=True) for i in range(10)]
        for r in readers:
            r.start()
        kit.wait_for(lambda: line.busy() >= 10, what="ten slow readers")
        times = []
        for _ in range(5):
            begun = time.monotonic()
            assert len(kit.shell("ls B", m.path).stdout.split()) == 5
            times.append(time.monotonic() - begun)
        assert any(r.is_alive() for r in readers)
        assert sorted(times)[2] < 2, times
        line.bytes_per_second = None
        for r in readers:
            r.join(timeout=60)


@pytest.mark.parametrize("operation", ["gemm", "chol"])
def test_computing_moves_at_the_server_what_the_plan_said(s3_bucket, server, tmp_path, operation):
    """Within 5 %. The cache holds few blocks beside those that are being read, so that nearly each
    read of the tool is one of the server; each block is read again and again."""
    side, blocks, cached = 64, 13, 20
    array = np.eye(side * blocks) + 1e-3
    kit.put_matrix(s3_bucket, "A", array, (side, side))
    with kit.Mount(s3_bucket, tmp_path, "--cache-size", str(cached * (side * side * 8 + 128))) as m:
        words = [operation, *[m.path / "A"] * (2 if operation == "gemm" else 1), m.path / "C",
                 "--memory", 13 * side * side * 8, "--json"]
        plan = good(*words, "--plan").json()
        mark = server.mark()
        run = good(*words).json()
        asked = [r for r in server.settled_requests(mark) if f"_{side}_" in r[1]]
    assert run["bytes_read"] == plan["bytes_read"]
    read = sum(r[3] for r in asked if r[0] == "GET" and r[2] in (200, 206))
    written = sum(r[3] for r in asked if r[0] == "PUT" and r[2] == 200)
    print(f"{operation}: read {read / plan['bytes_read']:.3f} of the plan")
    assert 0.85 * plan["bytes_read"] < read <= 1.05 * plan["bytes_read"]
    assert plan["bytes_written"] < written <= 1.05 * plan["bytes_written"]
