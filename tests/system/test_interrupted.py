"""Programs are signalled and killed while the mount works for them: the work goes on without them,
and with nothing that went with them."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import kit
import numpy as np

FSYNC = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.write(fd, b"x" * 1000)
print("written", flush=True)
sys.stdin.readline()
os.fsync(fd)
"""

GETDENTS64 = 217


def start(program, *words):
    return subprocess.Popen([sys.executable, "-c", program, *map(str, words)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill_all(programs):
    for p in programs:
        p.kill()
    for p in programs:
        p.communicate(timeout=30)


def test_killed_writers_take_nothing_with_them(s3_bucket, server, tmp_path):
    names = [f"f{i}" for i in range(30)]  # more than can be stored at a time
    with kit.Mount(s3_bucket, tmp_path) as m:
        (m.path / "before").write_bytes(b"x")
        programs = [start(FSYNC, m.path / n) for n in names]
        assert all(p.stdout.readline() == "written\n" for p in programs)
        with server.paused():
            for p in programs:
                p.stdin.write("\n")
                p.stdin.flush()
            time.sleep(0.5)  # until all of them wait
            kill_all(programs)
            time.sleep(0.5)
        kit.wait_for(lambda: len(s3_bucket.keys(kit.PREFIX + "f")) == len(names))
        assert (m.path / "before").read_bytes() == b"x"


def test_a_killed_ls_takes_nothing_with_it(s3_bucket, server, tmp_path):
    kit.put_matrix(s3_bucket, "A", np.zeros((4, 4)), (2, 2))
    with kit.Mount(s3_bucket, tmp_path) as m:
        os.listdir(m.path / "A")
        for _ in range(3):
            time.sleep(2.1)  # until the listing is asked for again
            os.stat(m.path / "A/header.json")
            with server.paused():
                ls = [subprocess.Popen(["ls", "-f", m.path / "A"], stdout=subprocess.DEVNULL)
                      for _ in range(4)]
                time.sleep(0.3)
                for p in ls:
                    p.kill()
                    p.wait(timeout=30)
                time.sleep(0.2)
            assert len(os.listdir(m.path / "A")) == 5


def read_names(path, seconds):
    """Reads a directory over and over while a signal comes every now and then."""
    libc = ctypes.CDLL(None, use_errno=True)
    room = ctypes.create_string_buffer(1 << 20)
    end = time.monotonic() + seconds
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.00027)
    while time.monotonic() < end:
        if libc.syscall(GETDENTS64, fd, room, len(room)) <= 0:
            os.lseek(fd, 0, os.SEEK_SET)
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(fd)


def test_signals_while_a_directory_is_read(dir_bucket, tmp_path):
    folder = dir_bucket.path / kit.PREFIX / "d"
    folder.mkdir(parents=True)
    for i in range(5000):
        (folder / f"some-rather-long-name-{i}").touch()
    program = f"""
import signal, sys
sys.path.insert(0, {str(kit.ROOT / "tests/system")!r})
import test_interrupted
signal.signal(signal.SIGALRM, lambda *a: None)
signal.siginterrupt(signal.SIGALRM, True)
test_interrupted.read_names(sys.argv[1], {kit.many(3, 30)})
"""
    with kit.Mount(dir_bucket, tmp_path) as m:
        programs = [start(program, m.path / "d") for _ in range(3)]
        assert all(p.wait(timeout=120) == 0 for p in programs)
        assert len(os.listdir(m.path / "d")) == 5000
