"""What a tool takes of the machine, inside a cgroup: of version 1 or 2, whichever can be made here."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools_kit import environ, good, normal, plain, program, store  # noqa: F401

ROOT = Path("/sys/fs/cgroup")
LIMIT = 1 << 30


@contextlib.contextmanager
def group(controller, files):
    """A new cgroup below our own of a controller, with some limits; or the test is skipped."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            own[name] = ROOT / names / path.lstrip("/") if names else ROOT / path.lstrip("/")
    parent = own.get(controller, own.get(""))
    made = parent / f"bmfs-test-{os.getpid()}" if parent else None
    try:
        made.mkdir()
    except (OSError, AttributeError) as e:
        pytest.skip(f"no cgroup of the controller {controller} can be made: {e}")
    try:
        for name, text in files[0 if controller in own else 1].items():
            try:
                (made / name).write_text(text)
            except OSError as e:
                pytest.skip(f"the controller {controller} is not ours to use: {e}")
        yield made
    finally:
        made.rmdir()


def plan(folder, made):
    """The plan of a product, made by a process of that cgroup."""
    enter = f"import os, sys; open({str(made / 'cgroup.procs')!r}, 'w').write(str(os.getpid())); " \
            "os.execv(sys.argv[1], sys.argv[1:])"
    words = [program("bm"), "gemm", "--plan", "--json", folder / "A", folder / "A", folder / "C"]
    run = subprocess.run([sys.executable, "-c", enter, *map(str, words)], env=environ(),
                         capture_output=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_memory_is_half_of_what_the_cgroup_has(plain):
    store(plain / "A", normal((8, 8)), (4, 4))
    files = {"memory.limit_in_bytes": str(LIMIT)}, {"memory.max": str(LIMIT)}
    with group("memory", files) as made:
        assert plan(plain, made)["memory"] == LIMIT // 2


def test_threads_are_what_the_cgroup_has_time_for(plain):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor only")
    store(plain / "A", normal((8, 8)), (4, 4))
    assert good("gemm", "--plan", "--json", plain / "A", plain / "A",
                plain / "C").json()["threads"] > 1
    files = {"cpu.cfs_quota_us": "50000"}, {"cpu.max": "50000 100000"}
    with group("cpu", files) as made:
        assert plan(plain, made)["threads"] == 1
