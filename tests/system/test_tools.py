"""bm itself: names, help, versions, manual pages."""

import shutil
import subprocess

import numpy as np
import pytest

from tools_kit import BUILD, bm, environ, good, program, refused, store  # noqa: F401

COMMANDS = ["add", "create", "diff", "export", "free", "fsck", "gemm", "import", "info", "ls", "map",
            "norm", "reblock", "recover", "rm", "scale", "trace", "transpose"]


def test_bm_alone_lists_the_commands():
    result = bm()
    assert result.code == 2
    assert result.out == b""
    for command in COMMANDS:
        assert f"  {command} ".encode() in result.err


def test_help_lists_the_commands_and_explains_each():
    listing = good("help").out.decode()
    for command in COMMANDS:
        assert f"  {command} " in listing
        for words in (["help", command], [command, "--help"]):
            text = good(*words).out.decode()
            assert text.startswith(f"bm-{command} - ")
            assert "\nexit status:\n" in text and "143  terminated" in text
    assert good("--help").out.decode() == listing


def test_help_explains_exit_codes():
    text = good("help", "exit-codes").out.decode()
    assert [line.split()[0] for line in text.splitlines()] == [
        "0", "1", "2", "3", "4", "5", "6", "7", "130", "143"]


def test_version_says_what_computes(tmp_path):
    first, second = good("--version").out.decode().splitlines()
    assert first.startswith("bm ")
    assert second.startswith("OpenBLAS ") and "running on " in second
    store(tmp_path / "A", np.eye(4), (2, 2))
    report = good("gemm", "--json", tmp_path / "A", tmp_path / "A", tmp_path / "C").json()
    assert second.endswith(f"running on {report['core']}")
    assert good("gemm", "--version").out.decode() == first.replace("bm", "bm-gemm", 1) + "\n"


def test_an_unknown_command_gets_a_suggestion():
    result = bm("exprot")
    assert result.code == 2
    assert result.err.decode().splitlines() == ["bm: there is no command 'exprot'",
                                                "  hint: did you mean bm export?"]
    result = bm("fly-to-the-moon")
    assert result.code == 2
    assert result.err.decode().splitlines()[1] == "  hint: bm help lists the commands"
    assert bm("help", "fly").code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_a_program_too(command):
    path = program(f"bm-{command}")
    done = subprocess.run([path, "--version"], capture_output=True, timeout=60, env=environ())
    assert done.returncode == 0
    assert done.stdout.decode().startswith(f"bm-{command} ")


def test_an_unknown_option_gets_a_suggestion():
    refused(2, "unknown or ambiguous option '--sead'", "create", "--sead", "1",
            hint="did you mean --seed?")
    refused(2, "missing operands: got 2, usage: bm-gemm [OPTION]... A B C", "gemm", "A", "B",
            hint="bm-gemm --help")


@pytest.mark.parametrize("command", ["bm", "bmfs"] + [f"bm-{c}" for c in COMMANDS])
def test_manual_pages_are_built_and_well_formed(command):
    page = BUILD / "tools" / f"{command}.1"
    text = page.read_text()
    assert f".TH {command} 1" in text
    assert ".SH EXIT STATUS" in text
    if shutil.which("man"):
        done = subprocess.run(["man", "--warnings", "-l", str(page)], capture_output=True,
                              timeout=60, env=environ(MANPAGER="cat", MAN_KEEP_STDERR="1"))
        assert done.returncode == 0 and done.stderr == b"", done


def test_only_openblas_computes():
    """Not libblas or liblapack, which the system may point to something else."""
    if not shutil.which("readelf"):
        pytest.skip("readelf is missing")
    text = subprocess.run(["readelf", "-d", program("bm")], capture_output=True, text=True,
                          timeout=60, check=True).stdout
    needed = [line for line in text.splitlines() if "NEEDED" in line]
    assert any("libopenblas" in line for line in needed)
    assert not any("libblas" in line or "liblapack" in line for line in needed)
