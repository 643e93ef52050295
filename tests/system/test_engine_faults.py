"""What deaths, full disks, failing stores and vanished inputs do to a run on the engine: it ends
with a reason, and --resume finishes it to the same bits."""

import os
import random
import signal
import subprocess
import time

import kit
import pytest

from test_engine import kernel, run_killed, same_files
from test_tools_trouble import small_disk  # noqa: F401
from tools_kit import (bm, environ, good, names, normal, plain, program, refused,  # noqa: F401
                       store)

N, BLOCK = 1300, 100
MEMORY = ["--memory", 13 * BLOCK * BLOCK * 8]


def commands(folder):
    """Each operation with its operands, made where they are wanted."""
    store(folder / "A", kernel(N, 1e-6), (BLOCK, BLOCK))
    store(folder / "B", normal((N, 300)), (BLOCK, BLOCK))
    good("chol", folder / "A", folder / "L")
    return {"chol": ["chol", *MEMORY, folder / "A"],
            "gemm": ["gemm", *MEMORY, folder / "A", folder / "B"],
            "syrk": ["syrk", *MEMORY, folder / "B"],
            "trsm": ["trsm", *MEMORY, folder / "L", folder / "B"],
            "solve": ["solve", "--memory", 20 * BLOCK * BLOCK * 8, folder / "L", folder / "B"]}


@pytest.mark.parametrize("operation", ["chol", "gemm", "syrk", "trsm", "solve"])
def test_deaths_at_random_moments_cost_nothing_but_time(plain, operation):
    words = commands(plain)[operation]
    started = time.monotonic()
    good(*words, plain / "whole")
    whole = time.monotonic() - started
    for turn in range(kit.many(4, 40)):
        number = random.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
        code, err = run_killed(whole * random.uniform(0, 1), number, *words, plain / "parts",
                               "--resume")
        assert code in (0, -2, -9, -15, 130, 143), err
    good(*words, plain / "parts", "--resume", "--verify")
    for left in (n for n in names(plain / "parts") if n.startswith(".bm-")):
        os.unlink(plain / "parts" / left)
    same_files(plain / "whole", plain / "parts")


@pytest.mark.parametrize("operation", ["chol", "gemm"])
def test_a_disk_that_is_full_ends_a_run_which_goes_on_when_there_is_room(plain, small_disk,
                                                                         operation):
    a = store(plain / "A", kernel(600, 1e-6), (100, 100))
    operands = [a] if operation == "chol" else [a, a]
    refused(5, "No space left on device", operation, *operands, small_disk / "out", "--progress",
            "none", hint="--resume goes on")
    left = names(small_disk / "out")
    assert not any(n.startswith(".bm-") for n in left)
    assert 1 < len(left) < 21
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True, timeout=60)
    good(operation, *operands, small_disk / "out", "--resume", "--verify")
    good(operation, *operands, plain / "out")
    same_files(plain / "out", small_disk / "out")


def test_an_input_block_that_is_deleted_in_the_middle_is_named_and_may_come_back(plain):
    store(plain / "A", kernel(600, 1e-6), (100, 100))
    words = ["chol", "--memory", 3 * 80000, "--threads", 1, plain / "A"]
    good(*words, plain / "whole")
    process = subprocess.Popen([program("bm"), *map(str, words), str(plain / "L")], env=environ(),
                               stderr=subprocess.PIPE)
    while process.poll() is None and not (plain / "L/block_0_0").exists():
        pass
    os.rename(plain / "A/block_5_5", plain / "away")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 6, err
    assert "A/block_5_5: the block is missing" in err.decode() and "--resume" in err.decode()
    refused(6, "A/block_5_5: the block is missing", *words, plain / "L", "--resume")
    os.rename(plain / "away", plain / "A/block_5_5")
    good(*words, plain / "L", "--resume")
    same_files(plain / "whole", plain / "L")


def test_a_store_that_fails_for_a_while_ends_a_run_at_worst(tmp_path, request, plain):
    """Behind the mount the server answers 503, or nothing, and is itself again."""
    if request.config.getoption("--only-dir"):
        pytest.skip("--only-dir")
    server = request.getfixturevalue("server")
    bucket = server.bucket()
    a = kernel(600, 1e-6)
    store(plain / "A", a, (100, 100))
    good("chol", plain / "A", plain / "L")
    kit.put_matrix(bucket, "A", a, (100, 100))
    with kit.Proxy(server.env["AWS_ENDPOINT_URL"]) as proxy:
        env = {"AWS_ENDPOINT_URL": proxy.url}
        with kit.Mount(bucket, tmp_path, "--timeout", "2", env=env) as m:
            words = ["chol", "--memory", 5 * 80000, m.path / "A", m.path / "L", "--resume"]
            struck = 0
            for kind in ("503", "refuse", "reset", "half"):
                for nth in (7, 23):
                    proxy.do("add", kind=kind, nth=nth, always=kind != "half", method=".*",
                             target=".*")
                    done = bm(*words)
                    struck += sum(proxy.do("clear"))
                    assert done.code in (0, 5, 6), done
                    assert done.code == 0 or done.err, done
            assert struck > 0
            good(*words, "--verify")
            for block in (n for n in names(plain / "L") if n.startswith("block")):
                assert (m.path / "L" / block).read_bytes() == (plain / "L" / block).read_bytes()
