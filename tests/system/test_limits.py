"""The limits hold: memory under many readers, ten thousand open files, a cache that is too small,
and a mixed load that leaks nothing."""

import errno
import os
import re
import resource
import statistics
import subprocess
import threading
import time
from pathlib import Path

import kit
import numpy as np
import pytest

from tools_kit import SANITIZED  # they take memory

SIDE = 1024  # blocks of 8 MiB


def in_threads(count, act):
    """Runs act(0), act(1), ... at the same time; the first error of any is the caller's."""
    failed = []

    def run(i):
        try:
            act(i)
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=300)
    if failed:
        raise failed[0]
    assert not any(t.is_alive() for t in threads)


def descriptors(mount):
    return len(os.listdir(f"/proc/{mount.process.pid}/fd"))


def rss_kib(mount):
    """Resident memory now."""
    status = Path(f"/proc/{mount.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))


@pytest.mark.parametrize("room", ["1GiB", "40MiB"])
def test_64_readers_of_cold_blocks_stay_within_the_memory(s3_bucket, tmp_path, room):
    """Also where most of them find no room in the cache and read around it."""
    readers, blocks = 64, 16
    array = np.repeat(np.arange(float(blocks)), SIDE)[:, None] * np.ones((1, SIDE))
    kit.put_matrix(s3_bucket, "A", array, (SIDE, SIDE))
    with kit.Mount(s3_bucket, tmp_path, "--cache-size", room, "--memory", "64MiB") as m:
        def read(i):
            for turn in range(kit.many(2, 50)):
                block = (i + turn) % blocks
                assert (np.load(m.path / f"A/block_{block}_0") == block).all()

        in_threads(readers, read)
        peak = kit.rss_kib(m.process.pid) / 1024
        print(f"{readers} readers, cache of {room}: peak of {peak:.0f} MiB")
        assert SANITIZED or peak < 160  # --memory, and as much for code, stacks and connections


def test_ten_thousand_open_files(dir_bucket, tmp_path):
    count = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * count:
        pytest.skip(f"at most {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    dir_bucket.put(f"{kit.PREFIX}A/header", kit.header([count], [1]))
    for i in range(count):
        dir_bucket.put(f"{kit.PREFIX}A/{i}_{i + 1}_1_", kit.npy(np.array([float(i)])))
    fds = []
    try:
        with kit.Mount(dir_bucket, tmp_path) as m:
            before = descriptors(m)
            try:
                for i in range(count):
                    fds.append(os.open(m.path / f"A/block_{i}", os.O_RDONLY))
                print(f"{count} open: {rss_kib(m) / 1024:.0f} MiB, {descriptors(m)} descriptors")
                assert SANITIZED or rss_kib(m) < 200 << 10
                for i in (0, count // 2, count - 1):
                    assert os.pread(fds[i], 200, 0)[-8:] == np.array([float(i)]).tobytes()
            finally:
                for fd in fds:
                    os.close(fd)
            kit.wait_for(lambda: descriptors(m) <= before + 100, 30, "the descriptors to close")  # some versions stay at hand
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.alone  # others' names are forgotten, too
@pytest.mark.skipif(SANITIZED, reason="sanitizers keep what is freed")
@pytest.mark.skipif(not os.access("/proc/sys/vm/drop_caches", os.W_OK),
                    reason="the kernel cannot be told to forget names here")
def test_memory_of_many_names_is_given_back(dir_bucket, tmp_path):
    """Also what is freed below things that are still in use."""
    count = 20000
    dir_bucket.put(f"{kit.PREFIX}A/header", kit.header([count], [1]))
    for i in range(count):
        dir_bucket.put(f"{kit.PREFIX}A/{i}_{i + 1}_1_", b"")
    with kit.Mount(dir_bucket, tmp_path) as m:
        before = rss_kib(m)
        kit.run("ls", "-l", m.path / "A")
        most = rss_kib(m)

        def given_back():
            Path("/proc/sys/vm/drop_caches").write_text("2")  # what was just used stays once
            time.sleep(1)
            return rss_kib(m) < before + (most - before) / 3

        kit.wait_for(given_back, 60, f"memory to go back from {most} to {before} KiB")


def test_a_cache_smaller_than_what_is_written_refuses_and_stores_the_rest(bucket, tmp_path):
    kit.put_matrix(bucket, "A", np.zeros((4 * SIDE, SIDE)), (SIDE, SIDE), with_header=True)
    with kit.Mount(bucket, tmp_path, "--cache-size", "20MiB") as m:
        result = [None] * 4

        def write(i):
            try:
                np.save(m.path / f"A/block_{i}_0", np.full((SIDE, SIDE), i + 1.0))
                result[i] = 0
            except OSError as e:
                result[i] = e.errno

        in_threads(4, write)
        assert set(result) <= {0, errno.ENOSPC} and 0 in result, result
        for i in range(4):
            value = np.load(m.path / f"A/block_{i}_0")
            assert (value == (i + 1.0 if result[i] == 0 else 0.0)).all(), (i, result)


@pytest.mark.skipif(not kit.have("fio"), reason="no fio here")
@pytest.mark.parametrize("job", ["write", "randwrite", "rw"])
def test_fio_verifies_what_it_wrote(mount, job):
    """Blocks of 4 to 256 KiB with a checksum each, read back through the mount, and once more from
    the store by a process that knows nothing of the cache."""
    size = f"{kit.many(4, 64)}m"
    common = ["--name=v", f"--directory={mount.path}", f"--size={size}", "--bsrange=4k-256k",
              "--verify=crc32c", "--verify_fatal=1", "--numjobs=2", "--randseed=7",
              "--fallocate=none", "--ioengine=psync", "--thread", "--verify_state_save=0"]
    done = kit.run("fio", *common, f"--rw={job}", "--end_fsync=1", "--do_verify=1", check=False,
                   timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verify:" not in done.stderr
    if job == "write":
        again = kit.run("fio", *common, "--rw=read", check=False, timeout=600)
        assert again.returncode == 0, again.stdout + again.stderr


def level(points):
    """Whether no more descriptors are open than after a third of the time."""
    return points[-1][1] <= points[len(points) // 3][1] + 8


def warm_up(m):
    """Many at once, so that all threads run and have touched their buffers, which they keep."""
    def act(i):
        path = m.path / f"warm-{i}"
        for _ in range(4):
            path.write_bytes(bytes(2 << 20))
            os.listdir(m.path / "A")
            np.load(m.path / f"A/block_{i % 16}_0")
            assert len(path.read_bytes()) == 2 << 20
        path.unlink()

    in_threads(64, act)


def test_a_long_mixed_load_leaks_nothing(s3_bucket, tmp_path):
    """Memory and descriptors after a warm-up, and after all the minutes, or somewhat more where a
    busy machine is not warm by then."""
    minutes = float(os.environ.get("BMFS_SOAK_MINUTES", 0.1))
    kit.put_matrix(s3_bucket, "A", np.zeros((16 * 256, 256)), (256, 256))
    expected = (errno.ESTALE, errno.EIO, errno.EINVAL)  # two write a block at once
    failed = []
    with kit.Mount(s3_bucket, tmp_path, "--cache-size", "64MiB") as m:
        warm_up(m)
        end = time.monotonic() + minutes * 60
        ended = threading.Event()

        def work(i):
            turn = 0
            while not ended.is_set():
                turn += 1
                turns[i] = turn
                path = m.path / f"A/block_{(i + turn) % 16}_0"
                try:
                    if turn % 4 == i:
                        np.save(path, np.full((256, 256), float(turn)))
                    else:
                        value = np.load(path)
                        assert (value == value[0, 0]).all()
                    os.listdir(m.path / "A")
                    (m.path / f"plain-{i}").write_bytes(bytes(turn % 5000))
                    (m.path / f"plain-{i}").rename(m.path / f"moved-{i}")
                    (m.path / f"moved-{i}").unlink()
                except OSError as e:
                    if e.errno not in expected:
                        failed.append((i, turn, e))
                except Exception as e:
                    failed.append((i, turn, e))

        turns = [0] * 4
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        points = []
        try:
            while time.monotonic() < end or not (level(points) or time.monotonic() > end + 60):
                time.sleep(min(60, minutes * 6))
                heap = m.stats()["heap_bytes"]
                points.append((rss_kib(m) / 1024, descriptors(m), heap / 2**20))
        finally:
            ended.set()
            for t in threads:
                t.join(timeout=60)
        print(f"{sum(turns)} turns; MiB, descriptors, MiB of the heap in use:",
              [(round(a, 1), b, round(c, 2)) for a, b, c in points])
        assert not failed and not any(t.is_alive() for t in threads), failed
        assert level(points), points
        if "BMFS_SOAK_MINUTES" in os.environ:  # seconds are no time for memory to level off
            third = len(points) // 3
            for column in (0, 2):
                middle, last = ([p[column] for p in points[i * third:][:third]] for i in (1, 2))
                assert statistics.median(last) <= statistics.median(middle) * 1.05, points
        subprocess.run(["ls", "-lR", m.path], check=True, stdout=subprocess.DEVNULL, timeout=60)
