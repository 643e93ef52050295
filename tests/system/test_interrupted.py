"""Programs are signalled and killed while the mount works for them: the work goes on without them,
and with nothing that went with them."""

import ctypes
import itertools
import os
import random
import signal
import subprocess
import sys
import time

import kit
import numpy as np
import pytest
from scenarios import SCENARIOS, STEP_S, TIMEOUT_S, Step, heals, settle

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


# --- killed in the middle of everything ---

def act_until(act, step, seconds):
    """In a process that is killed after so long (None: never): whether it was done. A killed one that
    does not go away would wait for the mount."""
    ready, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(say, b".")
            act(step)
            code = 0
        finally:
            os._exit(code)
    os.close(say)
    os.read(ready, 1)
    os.close(ready)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGINT)
    end = time.monotonic() + STEP_S
    while True:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            return status == 0
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"{step.name}: does not end")
        time.sleep(0.0005)


@pytest.fixture(scope="module")
def mounted(server, tmp_path_factory):
    bucket = server.bucket()
    with kit.Mount(bucket, tmp_path_factory.mktemp("mounted"), "-d", "--timeout", f"{TIMEOUT_S}s") as m:
        for text in (b"x", b"y"):  # asks what the server can do
            (m.path / "warm").write_bytes(text)
        (m.path / "warm").unlink()
        yield m, bucket


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_interrupted_is_done_or_not(mounted, name):
    mount, bucket = mounted
    scenario = SCENARIOS[name]
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    killed = 0
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the children are to have it
    try:
        step = Step(mount, bucket, f"{name}-timed")
        scenario.prepare(step)
        begun = time.monotonic()
        assert act_until(scenario.act, step, None)
        took = longest = time.monotonic() - begun
        tries = kit.many(15, 300)
        # What is done at once ends before most signals come: these come earlier and earlier then.
        for i in itertools.takewhile(lambda i: i < tries or killed == 0, range(10 * tries)):
            step = Step(mount, bucket, f"{name}-{i}")
            step.written = False
            scenario.prepare(step)
            if act_until(scenario.act, step, rng.uniform(0, longest)):
                longest *= 0.9
            else:
                longest = took
                killed += 1
                settle(scenario, step)
                try:
                    heals(scenario, step)
                except AssertionError as e:
                    # A rename that goes on takes the name away that is written anew.
                    gone = "Stale file handle" in str(e) or "No such file" in str(e)
                    if name != "tree" or not gone:
                        raise
                    heals(scenario, step)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"{name}: {killed} killed")
    assert killed > 0
