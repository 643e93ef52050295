"""bm map: programs over blocks, what goes wrong with them, and their end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from test_tools_more import place  # noqa: F401
from tools_kit import (bm, environ, good, load, names, normal, plain, program, refused,
                       store)  # noqa: F401

PYTHON = sys.executable


def script(body):
    """A Python program whose block is x, and whose result is y."""
    return [PYTHON, "-c", "import os, sys, numpy as np\nx = np.load(sys.stdin.buffer)\n"
            f"{body}\nnp.save(sys.stdout.buffer, y)"]


def fails(says, *words):
    """Runs `bm map`, whose program must fail so; a slow one must not show its progress first."""
    return refused(4, says, "map", "--progress", "none", *words)


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_numpy_over_every_block(place):
    a = normal((10, 7))
    store(place / "A", a, (4, 3))
    good("map", place / "A", place / "B", "--jobs", "3", "--", *script("y = np.exp(x)"))
    assert np.allclose(load(place / "B"), np.exp(a))
    assert len(names(place / "B")) == 10


def test_any_program_will_do(place):
    a = normal((10, 7), dtype="c16")
    store(place / "A", a, (4, 3), order="F")
    report = good("map", place / "A", place / "B", "--json", "--", "cat").json()
    assert report["tasks"] == {"total": 9, "done": 9, "retried": 0, "failed": 0}
    assert report["bytes_read"] == report["bytes_written"] == a.nbytes
    assert (load(place / "B") == a).all()
    good("diff", place / "A", place / "B")


@pytest.mark.parametrize("shape,block", [((7,), (3,)), ((3, 4, 5), (2, 2, 2)), ((0, 4), (2, 2)),
                                         ((1, 1), (5, 5))])
def test_map_of_any_number_of_axes(plain, shape, block):
    a = normal(shape)
    store(plain / "A", a, block)
    good("map", plain / "A", plain / "B", "--", *script("y = -x"))
    assert (load(plain / "B") == -a).all()


def test_the_environment_tells_which_block_it_is(plain):
    store(plain / "A", np.zeros((10, 7)), (4, 3))
    good("map", plain / "A", plain / "B", "--", *script(
        "e = os.environ; i = [int(t) for t in e['BM_INDEX'].split()]\n"
        "s = [int(t) for t in e['BM_START'].split()]; m, n = map(int, e['BM_SHAPE'].split())\n"
        "assert e['BM_BLOCK'] == 'block_%d_%d' % tuple(i) and (m, n) == (10, 7)\n"
        "assert i == [int(e['BM_I']), int(e['BM_J'])] and s == [4 * i[0], 3 * i[1]]\n"
        "y = x + np.add.outer(10. * np.arange(x.shape[0]), np.arange(x.shape[1])) "
        "+ 10 * s[0] + s[1]"))
    assert (load(plain / "B") == np.add.outer(10 * np.arange(10), np.arange(7))).all()


def test_other_types_and_sizes(place):
    a = normal((10, 7))
    store(place / "A", a, (4, 3))
    good("map", place / "A", place / "F", "--dtype", "f4", "--", *script("y = x.astype('f4')"))
    assert (load(place / "F") == a.astype("f4")).all()
    good("map", place / "A", place / "S", "--shape", "3x3", "--block", "1", "--",
         *script("y = x.sum(keepdims=True)"))
    assert load(place / "S").sum() == pytest.approx(a.sum())
    refused(2, "A: 3 blocks along axis 0, where the output would have 4", "map", place / "A",
            place / "X", "--shape", "4x3", "--block", "1", "--", "cat")
    assert "X" not in names(place)


def test_a_missing_block_is_given_as_the_fill_value(plain):
    a = np.tril(np.ones((6, 6)))
    store(plain / "L", a, (3, 3), header={"fill_value": 0, "triangular": "lower"})
    (plain / "L/block_0_1").unlink()
    good("map", plain / "L", plain / "E", "--", *script("y = np.exp(x)"))
    assert np.allclose(load(plain / "E"), np.exp(a))
    fields = json.loads((plain / "E/header.json").read_text())
    assert "fill_value" not in fields and "triangular" not in fields


def test_a_failing_block_is_named_with_what_was_said(place):
    store(place / "A", normal((10, 7)), (4, 3))
    result = bm("map", place / "A", place / "B", "--jobs", "1", "--json",
                "--progress", "none", "--", *script(
        "print('so far', file=sys.stderr)\n"
        "if os.environ['BM_BLOCK'] == 'block_2_1': raise ValueError('not this one')\ny = x"))
    assert result.code == 4
    lines = result.err.decode().splitlines()
    assert lines[0] == "  | so far" and lines[1].startswith("  | Traceback")
    assert lines[-3] == "  | ValueError: not this one"
    assert lines[-2] == (f"bm-map: {place}/A/block_2_1: the command ended with exit status 1: "
                         "ValueError: not this one")
    assert lines[-1] == (f"  hint: {place}/B is incomplete: remove it, or start again with --force")
    report = result.json()
    assert report["tasks"]["done"] == 7 and report["tasks"]["failed"] == 1
    assert report["error"]["code"] == "ECHILD"
    assert report["stderr"].endswith("ValueError: not this one\n")
    assert sorted(n for n in names(place / "B") if n != "header.json") == [
        "block_0_0", "block_0_1", "block_0_2", "block_1_0", "block_1_1", "block_1_2", "block_2_0"]


def test_retries_get_over_what_passes(plain, tmp_path):
    a = normal((6, 4))
    store(plain / "A", a, (2, 2))
    flaky = script("p = sys.argv[1] + '/' + os.environ['BM_BLOCK']\n"
                   "open(p, 'a').write('x')\n"
                   "if os.path.getsize(p) < 3: sys.exit('not yet')\ny = 2 * x") + [str(tmp_path)]
    result = bm("map", plain / "A", plain / "B", "--retries", "1", "--jobs", "1", "--", *flaky)
    assert result.code == 4
    assert b"ended with exit status 1 (try 2 of 2): not yet" in result.err
    report = good("map", plain / "A", plain / "B", "--force", "--retries", "2", "--json", "--",
                  *flaky).json()
    assert report["tasks"]["done"] == 6 and report["tasks"]["retried"] == 10
    assert (load(plain / "B") == 2 * a).all()


@pytest.mark.parametrize("body,says", [
    ("y = x[:1]", "the command's output: shape (1, 3), where the block has (4, 3)"),
    ("y = x.astype('f4')", "the command's output: type <f4, where the matrix has <f8"),
    ("y = x.astype('>f8')", "the command's output: type >f8, where the matrix has <f8"),
    ("y = x; sys.stdout.write('hello'); sys.stdout.flush()", "the command's output: npy: "),
    ("sys.exit(0)", "the command wrote nothing"),
])
def test_outputs_are_checked(plain, body, says):
    store(plain / "A", normal((10, 7)), (4, 3))
    result = fails(says, plain / "A", plain / "B", "--jobs", "1", "--", *script(body))
    assert b"A/block_0_0: " in result.err
    assert names(plain / "B") == ["header.json"]


def test_the_block_at_the_edge_is_checked_too(plain):
    """A program that believes in whole blocks."""
    store(plain / "A", normal((10, 7)), (4, 3))
    fails("A/block_0_2: the command's output: shape (4, 3), where the block has (4, 1)",
          plain / "A", plain / "B", "--jobs", "1", "--", *script("y = np.zeros((4, 3))"))
    assert names(plain / "B") == ["block_0_0", "block_0_1", "header.json"]


def test_refusals_come_before_anything_is_made_or_deleted(plain):
    store(plain / "A", normal((4, 4)), (2, 2))
    store(plain / "B", normal((4, 4)), (2, 2))
    for code, says, words in (
            (2, "no-such-program: no such program in PATH",
             ["A", "B", "--force", "--", "no-such-program"]),
            (2, "./A/header.json: no program that can be run",
             ["A", "B", "--force", "--", "./A/header.json"]),
            (7, "B: it exists already", ["A", "B", "--", "cat"]),
            (2, "A: the output is an input too", ["A", "A", "--force", "--", "cat"]),
            (2, "--jobs: -1 is not between 1 and 1024", ["A", "C", "--jobs", "-1", "--", "cat"]),
            (2, "--retries: 5000 is not between 0", ["A", "C", "--retries", "5000", "--", "cat"]),
            (2, "type 'word'", ["A", "C", "--dtype", "word", "--", "cat"]),
            (6, "X: no such matrix", ["X", "C", "--", "cat"])):
        refused(code, says, "map", *words, cwd=plain)
    refused(2, "missing operand", "map", "A", "C", cwd=plain)
    assert names(plain) == ["A", "B"]
    assert (load(plain / "B") == normal((4, 4))).all()
    (plain / "A/block_1_1").unlink()
    refused(6, "A/block_1_1: the block is missing (1 of 4 are)", "map", "A", "C", "--", "cat",
            cwd=plain)
    assert names(plain) == ["A", "B"]


SLEEPS = ["sh", "-c", 'echo $$ > "$0/pid_$BM_BLOCK"; sleep 1000 & echo $! >> "$0/pid_$BM_BLOCK"; '
          'wait']


def pids(folder):
    found = [p.read_text().split() for p in folder.glob("pid_*")]
    return [int(p) for pair in found for p in pair] if all(len(f) == 2 for f in found) else []


@pytest.mark.parametrize("number,code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_programs(plain, tmp_path, number, code):
    store(plain / "A", normal((4, 4)), (2, 2))
    process = subprocess.Popen([program("bm"), "map", str(plain / "A"), str(plain / "B"), "--jobs",
                                "3", "--", *SLEEPS, str(tmp_path)], env=environ(),
                               stderr=subprocess.PIPE)
    running = wait_for(lambda: len(p := pids(tmp_path)) == 6 and p)
    process.send_signal(number)
    assert process.wait(timeout=30) == code
    process.stderr.close()
    wait_for(lambda: not any(is_running(p) for p in running))
    assert names(plain / "B") == ["header.json"]


def test_a_failure_lets_those_under_way_end_and_starts_no_other(plain, tmp_path):
    store(plain / "A", normal((8, 2)), (2, 2))
    fails("A/block_0_0: the command ended with exit status 1", plain / "A", plain / "B", "--jobs",
          "2", "--", "sh", "-c",
          'if [ $BM_BLOCK = block_0_0 ]; then echo $$ > "$0/tmp"; mv "$0/tmp" "$0/pid";'
          ' until [ -e "$0/go" ]; do sleep 0.02; done; exit 1; fi;'
          ' : > "$0/go"; until [ -e "$0/pid" ]; do sleep 0.02; done;'
          ' while kill -0 $(cat "$0/pid"); do sleep 0.02; done 2>/dev/null;'  # until it is noticed
          ' sleep 0.2; exec cat', tmp_path)
    assert names(plain / "B") == ["block_1_0", "header.json"]


def test_what_a_program_leaves_running_is_ended(plain, tmp_path):
    store(plain / "A", normal((2, 2)), (2, 2))
    good("map", plain / "A", plain / "B", "--", "sh", "-c",
         f'sleep 1000 & echo $! > {tmp_path}/pid; cat')
    wait_for(lambda: not is_running(int((tmp_path / "pid").read_text())))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_change_nothing(plain, closed):
    a = normal((6, 6))
    store(plain / "A", a, (2, 2))
    subprocess.run(f"{program('bm')} map A B --progress log --jobs 2 {closed} -- sh -c "
                   "'echo noise >&2; cat'", shell=True, cwd=plain, timeout=60,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ())
    assert (load(plain / "B") == a).all()


def test_progress_counts_blocks(plain):
    store(plain / "A", normal((6, 6)), (2, 2))
    lines = good("map", plain / "A", plain / "B", "--progress", "log", "--", "cat"
                 ).err.decode().splitlines()
    assert "map  9/9 blocks  100%" in lines[-2]


def test_a_program_that_is_run_has_its_own_signals_and_no_descriptor_of_ours(plain):
    store(plain / "A", normal((2, 2)), (2, 2))
    good("map", plain / "A", plain / "B", "--", *script(
        "import signal\n"
        "assert sorted(os.listdir('/proc/self/fd'))[:3] == ['0', '1', '2']\n"
        "assert len(os.listdir('/proc/self/fd')) == 4  # that of listdir itself\n"
        "assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL\n"
        "assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])\ny = x"))
    assert os.path.exists(plain / "B/block_0_0")
