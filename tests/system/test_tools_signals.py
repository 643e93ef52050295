"""Progress of long commands, and signals."""

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tools_kit import (SANITIZED, environ, good, names, normal, plain, program,
                       store)  # noqa: F401


def wait_for(condition, seconds=30.0):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    return value


def npy(array):
    head = np.lib.format.header_data_from_array_1_0(array)
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, head)
    return out.getvalue(), array.tobytes()


class HalfImport:
    """An import that has got one row of blocks of three, and waits for the rest."""

    def __init__(self, folder, *options, **popen):
        array = normal((6, 4))
        self.head, self.data = npy(array)
        self.folder = folder
        self.process = subprocess.Popen(
            [program("bm"), "import", "-", str(folder / "A"), "--block", "2x4", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ(),
            **popen)
        self.process.stdin.write(self.head + self.data[:100])
        self.process.stdin.flush()
        wait_for(lambda: (folder / "A/block_0_0").exists())

    def line(self):
        """The next line on standard error."""
        ready, _, _ = select.select([self.process.stderr], [], [], 30)
        assert ready, "no line in time"
        return self.process.stderr.readline().decode()

    def finish(self):
        out, err = self.process.communicate(self.data[100:], timeout=60)
        assert self.process.returncode == 0, err
        return err.decode()

    def stop(self, number):
        self.process.send_signal(number)
        self.process.wait(timeout=60)
        return self.process.returncode, self.process.stdout.read(), self.process.stderr.read()


@pytest.mark.parametrize("progress", ["none", "auto", "log"])
def test_usr1_prints_a_line_at_once(plain, progress):
    half = HalfImport(plain, f"--progress={progress}")
    half.process.send_signal(signal.SIGUSR1)
    while " 0/3 " in half.line():  # a block is counted a moment after it is there
        half.process.send_signal(signal.SIGUSR1)
    for _ in range(3):
        half.process.send_signal(signal.SIGUSR1)
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ import  1/3 blocks  33%  in .*B/s  "
                            r"out .*B/s  ETA \d+:\d\d\n", half.line())
    half.finish()
    assert len(names(plain / "A")) == 4


def test_usr1_before_the_work_does_no_harm(plain):
    """It would end the process, if nobody cared."""
    process = subprocess.Popen([program("bm"), "import", "-", str(plain / "A")],
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environ())

    def ignores():
        status = Path(f"/proc/{process.pid}/status").read_text()
        mask = int(re.search(r"SigIgn:\s+([0-9a-f]+)", status).group(1), 16)
        return mask >> (signal.SIGUSR1 - 1) & 1

    wait_for(ignores)
    process.send_signal(signal.SIGUSR1)
    head, data = npy(normal((3, 3)))
    _, err = process.communicate(head + data, timeout=60)
    assert process.returncode == 0, err


@pytest.mark.parametrize("number,code,word", [(signal.SIGINT, 130, "interrupted"),
                                              (signal.SIGTERM, 143, "terminated")])
def test_signals_end_a_command_with_their_status(plain, number, code, word):
    half = HalfImport(plain)
    status, out, err = half.stop(number)
    assert status == code
    assert out == b""
    assert err.decode() == (f"bm-import: {word} at 1/3 blocks\n  hint: {plain}/A is incomplete: "
                            "remove it, or start again with --force\n")
    assert names(plain / "A") == ["block_0_0", "header.json"]


def test_an_ignored_signal_stays_ignored(plain):
    """As nohup and shells want it for jobs in the background."""
    half = HalfImport(plain, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    half.process.send_signal(signal.SIGINT)
    half.process.send_signal(signal.SIGUSR1)
    assert "1/3 blocks" in half.line()
    half.finish()


def test_a_report_is_printed_when_a_signal_ends_a_command(plain):
    status, out, _ = HalfImport(plain, "--json").stop(signal.SIGINT)
    report = json.loads(out)
    assert status == 130
    assert report["status"] == "interrupted" and report["error"]["message"] == "interrupted"
    assert report["output"] == str(plain / "A") and "start again with --force" in report["error"]["hint"]
    assert report["seconds"] > 0.0005


def test_no_scratch_file_survives_a_signal(plain):
    """Ended in the middle of writing blocks, at any moment."""
    for turn in range(12):
        folder = plain / f"A{turn}"
        process = subprocess.Popen(
            [program("bm"), "create", str(folder), "--shape", "4000x4000", "--block", "100",
             "--rand", "uniform", "--progress", "none"], stderr=subprocess.PIPE, env=environ())
        wait_for(lambda: folder.exists() and len(names(folder)) > turn)
        process.send_signal(signal.SIGINT if turn % 2 else signal.SIGTERM)
        assert process.wait(timeout=60) == (130 if turn % 2 else 143)
        process.stderr.close()
        left = names(folder)
        assert not any(n.startswith(".bm-") for n in left)
        for block in (n for n in left if n.startswith("block_")):
            assert np.load(folder / block).shape == (100, 100)


def test_killed_commands_leave_no_half_block_under_its_name(plain):
    for turn in range(8):
        folder = plain / f"A{turn}"
        process = subprocess.Popen(
            [program("bm"), "create", str(folder), "--shape", "4000x4000", "--block", "200",
             "--rand", "uniform", "--progress", "none"], env=environ())
        wait_for(lambda: folder.exists() and len(names(folder)) > turn + 1)
        process.kill()
        process.wait(timeout=60)
        for block in (n for n in names(folder) if n.startswith("block_")):
            assert np.load(folder / block).shape == (200, 200)
        good("rm", folder)  # scratch files that were left too
        assert not folder.exists()


def test_one_of_many_that_make_a_matrix_makes_it(plain):
    for turn in range(5):
        crowd = [subprocess.Popen(
            [program("bm"), "create", str(plain / f"A{turn}"), "--shape", "40x40", "--block", "10",
             "--fill", str(i)], stderr=subprocess.DEVNULL, env=environ()) for i in range(6)]
        codes = [p.wait(timeout=60) for p in crowd]
        assert sorted(codes) == [0, 7, 7, 7, 7, 7]
        winner = codes.index(0)
        assert (np.load(plain / f"A{turn}/block_3_3") == winner).all()


def test_short_commands_show_no_progress(plain):
    assert good("create", plain / "A", "--shape", "10x10", "--block", "2", "--fill", "1"
                ).err.count(b"\n") == 1
    assert good("create", plain / "B", "--shape", "10x10", "--fill", "1", "-q").err == b""


def test_log_progress_reaches_100_percent(plain):
    lines = good("create", plain / "A", "--shape", "100x100", "--block", "10", "--fill", "1",
                 "--progress", "log").err.decode().splitlines()
    assert "create  100/100 blocks  100%" in lines[-2]
    assert "\r" not in "".join(lines) and "\x1b" not in "".join(lines)


def test_lines_of_a_log_are_seconds_apart(plain):
    """A run of some seconds says nothing between its begin and its end."""
    store(plain / "A", normal((6, 1)), (1, 1))
    *lines, last, result = good("map", plain / "A", plain / "B", "--jobs", "1", "--progress", "log",
                                "--", "sh", "-c", "sleep 1.1; cat").err.decode().splitlines()
    assert len(lines) == 1 and re.search(r"map  [45]/6 blocks", lines[0]), lines
    assert "map  6/6 blocks  100%" in last and result.startswith("bm-map: ")


def test_json_progress_is_objects_that_grow(plain):
    result = good("create", plain / "A", "--shape", "2000x2000", "--block", "50", "--rand",
                  "normal", "--progress", "json")
    *events, last = result.err.decode().splitlines()
    seen = [json.loads(e) for e in events]
    assert [e["done"] for e in seen] == sorted(e["done"] for e in seen)
    assert seen[-1]["done"] == seen[-1]["total"] == 1600
    assert seen[-1]["bytes_written"] == 2000 * 2000 * 8
    assert last.startswith("bm-create: ")


def on_terminal(*words, **env):
    """Runs bm with a terminal for its standard error and returns what was shown there."""
    control, terminal = pty.openpty()
    process = subprocess.Popen([program("bm"), *(str(w) for w in words)], stderr=terminal,
                               stdin=subprocess.DEVNULL, env=environ(**env))
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(control, 65536):
            shown += chunk
    except OSError:  # the last one has closed the terminal
        pass
    os.close(control)
    assert process.wait(timeout=60) == 0
    return shown.decode()


LONG = ["--shape", "2000x2000" if SANITIZED else "5000x5000", "--block", "500", "--rand", "normal"]


def test_a_terminal_gets_a_bar_that_goes_away(plain):
    shown = on_terminal("create", plain / "A", *LONG, "--progress", "bar", TERM="xterm")
    bars = [s for s in shown.split("\r") if s.startswith("create  [")]
    assert bars and all(len(b.split("\x1b")[0]) < 80 for b in bars)
    assert shown.rstrip().endswith("16 of 16 blocks" if SANITIZED else "100 of 100 blocks")
    assert "\r\x1b[Kbm-create: " in shown


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": "xterm", "CI": "1"}, {}])
def test_a_bar_is_only_for_terminals_that_can(plain, env):
    shown = on_terminal("create", plain / "A", *LONG, **env)
    assert "\x1b" not in shown and "\r" not in shown.replace("\r\n", "\n")
