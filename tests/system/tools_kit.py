"""What the tests of the command-line tools share: a place for matrices, and running commands."""

import itertools
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kit import BUILD, SANITIZED  # noqa: F401


def environ(**more):
    """The environment of a user at no terminal, in no continuous integration."""
    env = {k: v for k, v in os.environ.items() if k not in ("CI", "TERM", "BMFS_BUILD")}
    return {**env, "LC_ALL": "C", **more}


class Result:
    """What a command said and did."""

    def __init__(self, command, process):
        self.command = command
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    def json(self):
        lines = self.out.decode().splitlines()
        assert len(lines) == 1, lines
        return json.loads(lines[0])

    def __repr__(self):
        return f"{self.command}: exit {self.code}\n{self.out[:2000]!r}\n{self.err.decode()}"


def program(name):
    return str(BUILD / "tools" / name)


def bm(*words, stdin=subprocess.DEVNULL, data=None, cwd=None, env=None):
    """Runs `bm WORD...` whatever comes of it."""
    command = [program("bm"), *(str(w) for w in words)]
    source = {"input": data} if data is not None else {"stdin": stdin}
    return Result(command, subprocess.run(command, capture_output=True, timeout=120, cwd=cwd,
                                          env=environ(**(env or {})), **source))


def good(*words, **options):
    """Runs `bm WORD...`, which must succeed."""
    result = bm(*words, **options)
    assert result.code == 0, result
    return result


def refused(code, says, *words, hint=None, **options):
    """Runs `bm WORD...`, which must fail with that status and one clear line."""
    result = bm(*words, **options)
    assert result.code == code, result
    lines = result.err.decode(errors="replace").splitlines()
    tool = f"bm-{words[0]}: "
    assert lines and lines[0].startswith(tool), result
    assert says in lines[0], result
    if hint is not None:
        assert lines[1].startswith("  hint: ") and hint in lines[1], result
    assert len(lines) <= 2, result
    return result


def store(path, array, block, dtype=None, header=None, order="C"):
    """Makes a matrix with numpy alone, as the files are documented."""
    path = Path(path)
    dtype = np.dtype(dtype or array.dtype)
    path.mkdir()
    fields = {"shape": list(array.shape), "shard_sizes": list(block), "dtype": dtype.str,
              **(header or {})}
    (path / "header.json").write_text(json.dumps(fields))
    for index in indices(array.shape, block):
        part = array[slices(index, block)].astype(dtype)
        with open(path / name(index), "wb") as f:
            np.save(f, np.asarray(part, order=order))
    return path


def load(path):
    """Reads a matrix with numpy alone."""
    path = Path(path)
    header = json.loads((path / "header.json").read_text())
    array = np.full(header["shape"], 77, dtype=header["dtype"])
    block = header["shard_sizes"]
    for index in indices(header["shape"], block):
        part = np.load(path / name(index))
        assert part.dtype == array.dtype
        assert part.shape == array[slices(index, block)].shape
        array[slices(index, block)] = part
    return array


def indices(shape, block):
    return itertools.product(*(range(-(-n // b)) for n, b in zip(shape, block)))


def slices(index, block):
    return tuple(slice(i * b, (i + 1) * b) for i, b in zip(index, block))


def name(index):
    return "block" + "".join(f"_{i}" for i in index)


def names(path):
    """All names in a directory, those of scratch files too."""
    return sorted(os.listdir(path))


def normal(shape, seed=1, dtype="f8"):
    rng = np.random.default_rng(seed)
    array = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        array = array + 1j * rng.standard_normal(shape)
    return array.astype(dtype)


def tolerance(dtype, k):
    return 8 * (k + 4) * np.finfo(dtype).eps


@pytest.fixture(params=["plain", "mount"])
def matrices(request, tmp_path):
    """A directory for matrices: in a plain folder, and on a mount of an empty bucket."""
    if request.param == "plain":
        folder = tmp_path / "matrices"
        folder.mkdir()
        yield folder
        return
    kit = pytest.importorskip("kit")
    with kit.Mount(kit.DirBucket(tmp_path / "store"), tmp_path) as mount:
        yield mount.path


@pytest.fixture
def plain(tmp_path):
    """A plain folder only: for what a mount does not let happen."""
    folder = tmp_path / "matrices"
    folder.mkdir()
    return folder
