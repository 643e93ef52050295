"""bm chol and bm gemm on the engine: right, the same bits always, and able to go on."""

import io
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import kit
import numpy as np
import pytest

from tools_kit import (bm, environ, good, load, matrices, name, names, normal,  # noqa: F401
                       plain, program, refused, store)

EPS = {"f": 2.0 ** -23, "d": 2.0 ** -52, "F": 2.0 ** -23, "D": 2.0 ** -52}


def spd(n, dtype="f8", seed=1):
    """Positive definite and well conditioned."""
    x = normal((n, n + 8), seed, dtype)
    a = x @ x.conj().T / n
    return (a + a.conj().T) / 2


def kernel(n, jitter):
    """A Gaussian kernel: positive definite by its jitter alone, of condition n / jitter."""
    x = np.linspace(0, 1, n)
    return np.exp(-((x[:, None] - x) ** 2) / 0.02) + jitter * np.eye(n)


def minij(n):
    """Its factor is exactly ones, in every order of operations."""
    i = np.arange(1, n + 1)
    return np.minimum(i[:, None], i).astype("f8")


def factor(path, upper=False):
    """A factor, with numpy alone: the blocks that are absent are zeros."""
    header = json.loads((path / "header.json").read_text())
    assert header["fill_value"] == 0
    assert header["triangular"] == ("upper" if upper else "lower")
    n, b = header["shape"][0], header["shard_sizes"][0]
    out = np.zeros((n, n), header["dtype"])
    blocks = -(-n // b)
    for i in range(blocks):
        for j in range(blocks):
            stored = j >= i if upper else i >= j
            assert (path / name((i, j))).exists() == stored
            if stored:
                out[i * b:(i + 1) * b, j * b:(j + 1) * b] = np.load(path / name((i, j)))
    assert (np.tril(out, -1) == 0).all() if upper else (np.triu(out, 1) == 0).all()
    return out


def residual(a, low):
    n = max(len(a), 1)
    difference = np.linalg.norm(a.astype("c16") - low.astype("c16") @ low.astype("c16").conj().T)
    return difference / (n * EPS[np.dtype(low.dtype).char] * np.linalg.norm(a))


def same_files(a, b):
    assert names(a) == names(b)
    for block in (n for n in names(a) if n.startswith("block")):
        assert (a / block).read_bytes() == (b / block).read_bytes(), block


# --- right ---

@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", ">f8"])
@pytest.mark.parametrize("n,block", [(1, 1), (1, 9), (7, 10), (40, 40), (40, 8), (41, 8), (97, 13)])
@pytest.mark.parametrize("uplo", "lu")
def test_chol_is_right(plain, dtype, n, block, uplo):
    a = spd(n, dtype)
    half = np.tril(a) if uplo == "l" else np.triu(a)
    other = np.arange(-(-n // block))
    store(plain / "A", a, (block, block), dtype=dtype, order=random.choice("CF"))
    for i in other:  # the other triangle's blocks are not read
        for j in other:
            if (i < j) == (uplo == "l") and i != j:
                (plain / "A" / name((i, j))).write_bytes(b"not a block")
    tile = block * block * np.dtype(dtype).itemsize
    good("chol", "--uplo", uplo, "--memory", 3 * tile + random.randrange(9) * tile, "--verify",
         plain / "A", plain / "L")
    out = factor(plain / "L", uplo == "u")
    assert residual(a, out if uplo == "l" else out.conj().T) < 30
    assert half.shape == out.shape


@pytest.mark.parametrize("scale", [1e-10, 1e10])
def test_chol_keeps_the_scale(matrices, scale):
    a = spd(60) * scale
    store(matrices / "A", a, (16, 16))
    good("chol", matrices / "A", matrices / "L")
    assert residual(a, factor(matrices / "L")) < 30


def test_a_product_of_nan_is_not_called_wrong(plain):
    a = np.eye(4)
    a[1, 2] = np.nan
    store(plain / "A", a, (2, 2))
    refused(3, "cannot be verified: NaN or infinite elements", "gemm", "--verify", "--quiet",
            plain / "A", plain / "A", plain / "C", hint="bm norm")
    assert np.isnan(load(plain / "C")[1]).all()


@pytest.mark.parametrize("scale", [1e-10, 1e10])
@pytest.mark.parametrize("m,k,n,block", [(70, 50, 60, 16), (3, 2000, 5, 100), (900, 1, 2, 64),
                                         (30, 30, 30, 30)])
def test_gemm_keeps_the_scale(plain, scale, m, k, n, block):
    a, b = normal((m, k), 1) * scale, normal((k, n), 2) * scale
    store(plain / "A", a, (block, block))
    store(plain / "B", b, (block, block))
    good("gemm", "--verify", plain / "A", plain / "B", plain / "C")
    allowed = k * np.finfo("f8").eps * np.linalg.norm(a) * np.linalg.norm(b)
    assert np.linalg.norm(load(plain / "C") - a @ b) < 30 * allowed


@pytest.mark.parametrize("jitter", [1e-8, 4e-11])
def test_chol_of_an_ill_conditioned_matrix(plain, jitter):
    a = kernel(200, jitter)
    assert jitter > 1e-10 or np.linalg.eigvalsh(a)[-1] / jitter > 1e12
    store(plain / "A", a, (32, 32))
    good("chol", plain / "A", plain / "L", "--verify", "--memory", 4 * 32 * 32 * 8)
    assert residual(a, factor(plain / "L")) < 30


def test_chol_adds_a_ridge(matrices):
    a = np.ones((50, 50))
    store(matrices / "A", a, (16, 16))
    refused(3, "leading minor of order 2 is not positive definite", "chol", matrices / "A",
            matrices / "X")
    good("chol", "--reg", "0.5", "--verify", matrices / "A", matrices / "L")
    assert residual(a + 0.5 * np.eye(50), factor(matrices / "L")) < 30


@pytest.mark.parametrize("tiles", [3, 5, 13, 1000])
@pytest.mark.parametrize("threads", [1, 3])
def test_minij_has_a_factor_of_ones_and_fails_where_a_pivot_is_lowered(plain, tiles, threads):
    n, b = 1100, 100
    a = minij(n)
    memory = ["--memory", tiles * b * b * 8, "--threads", threads]
    store(plain / "A", a, (b, b))
    good("chol", *memory, plain / "A", plain / "L")
    assert (factor(plain / "L") == np.tril(np.ones((n, n)))).all()
    a[756, 756] -= 2
    store(plain / "N", a, (b, b))
    refused(3, "N: leading minor of order 757 is not positive definite (block 7,7 row 56, pivot -1)",
            "chol", *memory, plain / "N", plain / "M", hint="--reg")
    for i in range(7):  # what was made before it failed is right
        assert (np.load(plain / "M" / name((6, i))) == (np.ones((b, b)) if i < 6 else
                                                        np.tril(np.ones((b, b))))).all()


def test_minij_crosses_the_grain(plain):
    n, b = 1500, 1100
    store(plain / "A", minij(n), (b, b))
    good("chol", "--threads", 2, plain / "A", plain / "L")
    assert (factor(plain / "L") == np.tril(np.ones((n, n)))).all()
    a = minij(n)
    a[1400, 1400] -= 1
    store(plain / "N", a, (b, b))
    refused(3, "leading minor of order 1401 is not positive definite (block 1,1 row 300, pivot 0)",
            "chol", plain / "N", plain / "M")


@pytest.mark.parametrize("tiles", [4, 30])
def test_minij_is_exact_and_fails_in_the_same_place_again_and_twice_at_once(plain, tiles):
    n, b = 800, 50
    a = minij(n)
    store(plain / "A", a, (b, b))
    a[756, 756] -= 1
    store(plain / "N", a, (b, b))
    words = ["--resume", "--memory", tiles * b * b * 8]
    why = "N: leading minor of order 757 is not positive definite (block 15,15 row 6, pivot 0)"
    for turn in range(3):
        pair = [subprocess.Popen([program("bm"), *map(str, ["chol", *words, plain / k, plain / out])],
                                 env=environ(), stderr=subprocess.PIPE)
                for k, out in (("A", "L"), ("A", "L"), ("N", "M"), ("N", "M"))]
        errors = [p.communicate(timeout=120)[1].decode() for p in pair]
        codes = [p.returncode for p in pair]
        assert all(c in (0, 7) for c in codes[:2]) and 0 in codes[:2], errors
        assert all(c in (3, 7) for c in codes[2:]) and 3 in codes[2:], errors
        assert all(why in e for c, e in zip(codes, errors) if c == 3)
        assert (factor(plain / "L") == np.tril(np.ones((n, n)))).all()
        for block in random.sample([x for x in names(plain / "M") if x.startswith("block")], 9):
            os.unlink(plain / "M" / block)
        for block in random.sample([x for x in names(plain / "L") if x.startswith("block")], 9):
            os.unlink(plain / "L" / block)


def test_logdet_is_that_of_the_factored_matrix(matrices):
    a = spd(70, "c16")
    store(matrices / "A", a, (16, 16))
    good("chol", matrices / "A", matrices / "L")
    want = np.linalg.slogdet(a)[1]
    assert abs(float(good("logdet", matrices / "L").out) - want) < 1e-10 * abs(want)
    report = good("logdet", "--json", matrices / "L").json()
    assert abs(report["logdet"] - want) < 1e-10 * abs(want)
    store(matrices / "N", -np.eye(5), (2, 2), header={"triangular": "lower"})
    refused(3, "N: not a factor: element (0, 0) is -1", "logdet", matrices / "N")
    store(matrices / "R", np.ones((4, 6)), (2, 2))
    refused(2, "R: not square", "logdet", matrices / "R")


# --- errors ---

@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [(0, 0), (70, 70), (70, 3), (99, 69)])
def test_chol_says_where_a_number_is_none(plain, value, at):
    a = spd(100)
    a[at] = a[at[::-1]] = value
    store(plain / "A", a, (32, 32))
    refused(3, f"A: element ({at[0]}, {at[1]}) is NaN or infinite", "chol", plain / "A",
            plain / "L")


def test_chol_refuses_what_cannot_have_a_factor(plain):
    store(plain / "R", np.ones((4, 6)), (2, 2))
    store(plain / "B", np.ones((6, 6)), (2, 3))
    store(plain / "I", np.ones((6, 6), "i4"), (2, 2))
    crooked = spd(6)
    crooked[4, 5] += 1
    store(plain / "H", crooked, (3, 3))
    for key, says in [("R", "R: not square"), ("B", "B: its blocks are 2x3, not square"),
                      ("I", "I: type int32; factors are of float32"),
                      ("H", "H: not symmetric: (5, 4) is")]:
        refused(2, says, "chol", plain / key, plain / "L")
        assert not (plain / "L").exists()
    store(plain / "A", spd(6), (2, 2))
    refused(2, "--uplo: 'x' is none of l, u", "chol", "--uplo", "x", plain / "A", plain / "L")
    refused(2, "do not hold three blocks", "chol", "--memory", "90", plain / "A", plain / "L",
            hint="--memory 96 or more")
    os.unlink(plain / "A/block_2_1")
    refused(6, "A/block_2_1: the block is missing", "chol", plain / "A", plain / "L")
    refused(6, "N: no such matrix", "chol", plain / "N", plain / "L")


# --- the same bits ---

def ill(folder, n=1300, block=100):
    return store(folder / "A", kernel(n, 1e-6), (block, block))


def test_bits_depend_on_neither_threads_nor_memory(plain):
    ill(plain)
    store(plain / "B", normal((1300, 700)), (650, 100))
    first = None
    for threads, tiles in [(1, 64), (2, 13), (4, 32), (3, 5)]:
        out = plain / f"L{threads}"
        options = ["--threads", threads, "--memory", tiles * 100 * 100 * 8]
        good("chol", *options, plain / "A", out)
        options = ["--threads", threads, "--memory", tiles * 650 * 650 * 8]
        good("gemm", *options, "--transa", "t", plain / "B", plain / "B", plain / f"C{threads}")
        if first:
            same_files(out, plain / f"L{first}")
            same_files(plain / f"C{threads}", plain / f"C{first}")
        first = first or threads


def run_killed(delay, number, *words):
    process = subprocess.Popen([program("bm"), *(str(w) for w in words)], env=environ(),
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        _, err = process.communicate(timeout=delay)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    return process.returncode, err.decode()


@pytest.mark.parametrize("operation", ["chol", "gemm"])
def test_a_run_that_is_killed_goes_on_to_the_same_bits(plain, operation):
    ill(plain)
    words = [operation, "--memory", 13 * 100 * 100 * 8, plain / "A"]
    words += [plain / "A"] if operation == "gemm" else []
    started = time.monotonic()
    good(*words, plain / "whole")
    whole = time.monotonic() - started
    killed = 0
    for turn in range(5):
        number = signal.SIGKILL if turn % 2 else signal.SIGINT
        code, err = run_killed(whole * random.uniform(0.3, 0.8), number, *words, plain / "parts",
                               "--resume")
        assert code in (0, -2, -9, 130), err  # -2: all was done when the signal came
        killed += code != 0
        if code == 130:
            assert "interrupted at" in err and "--resume goes on" in err
    good(*words, plain / "parts", "--resume", "--verify")
    good("rm", "-n", plain / "parts")
    left = [n for n in names(plain / "parts") if n.startswith(".bm-")]
    for n in left:
        os.unlink(plain / "parts" / n)
    same_files(plain / "whole", plain / "parts")


def test_two_at_once_make_one_matrix(plain):
    ill(plain)
    good("chol", plain / "A", plain / "one")
    for turn in range(3):
        out = plain / f"two{turn}"
        words = [program("bm"), "chol", "--resume", "--memory", str(13 * 100 * 100 * 8),
                 str(plain / "A"), str(out)]
        subprocess.run([*words, "--plan"], check=True, capture_output=True, timeout=60)
        pair = [subprocess.Popen(words, env=environ(), stderr=subprocess.PIPE) for _ in range(2)]
        codes = [p.wait(timeout=120) for p in pair]
        errors = [p.stderr.read().decode() for p in pair]
        assert sorted(codes) in ([0, 0], [0, 7]), errors  # 7: both made the header at once
        same_files(plain / "one", out)


def two_cores():
    """Kinds of code that this processor can run."""
    flags = Path("/proc/cpuinfo").read_text()
    if "avx2" not in flags:
        pytest.skip("this processor has one kind of code only")
    return "Haswell", "SkylakeX" if "avx512dq" in flags else "Prescott"


def test_what_was_begun_on_another_processor_goes_on_with_its_code(plain):
    """Also where the program was started again before, for a better core than it would have had."""
    first, second = two_cores()
    store(plain / "A", spd(60), (16, 16))
    words = ["chol", plain / "A", plain / "L"]
    good(*words, env={"OPENBLAS_CORETYPE": first})
    whole = factor(plain / "L")
    other = {"OPENBLAS_CORETYPE": second, "BM_CORE_PINNED": f",{second}"}
    os.unlink(plain / "L/block_3_2")
    assert b"what is left reads" in good(*words, "--resume", "--plan", env=other).out
    good(*words, "--resume", env=other)
    assert (factor(plain / "L") == whole).all()


def test_two_at_once_on_other_processors_make_one_factor(plain):
    """One that comes later computes with the code of the one that came first."""
    cores = two_cores()
    a = kernel(900, 1e-8)
    store(plain / "A", a, (60, 60))
    words = [program("bm"), "chol", "--resume", "--memory", str(13 * 60 * 60 * 8), str(plain / "A")]
    alone = []
    for core in cores:
        subprocess.run([*words, str(plain / core)], env=environ(OPENBLAS_CORETYPE=core), check=True,
                       stderr=subprocess.DEVNULL, timeout=60)
        alone.append(factor(plain / core))
    assert (alone[0] != alone[1]).any()
    for turn in range(3):
        out = plain / f"L{turn}"
        pair = [subprocess.Popen([*words, str(out)], stderr=subprocess.PIPE,
                                 env=environ(OPENBLAS_CORETYPE=core))
                for core in cores]
        errors = [p.communicate(timeout=120)[1] for p in pair]
        assert sorted(p.returncode for p in pair) in ([0, 0], [0, 7]), errors
        assert residual(a, factor(out)) < 30
        assert any((factor(out) == one).all() for one in alone)


# --- going on ---

def test_resume_goes_on_and_only_with_the_same(matrices):
    m = matrices
    store(m / "A", spd(60), (16, 16))
    good("chol", m / "A", m / "L")
    first = factor(m / "L")
    refused(7, "L: it exists already", "chol", m / "A", m / "L", hint="--resume goes on with it, --force deletes it first")
    os.unlink(m / "L/block_3_1")
    os.unlink(m / "L/block_2_2")
    assert b"what is left reads " in good("chol", "--resume", "--plan", m / "A", m / "L").out
    good("chol", "--resume", m / "A", m / "L")
    assert (factor(m / "L") == first).all()
    done = good("chol", "--resume", m / "A", m / "L")
    assert done.err == b"bm-chol: " + bytes(m / "L") + b": it is complete already\n"
    done = good("chol", "--resume", "--plan", m / "A", m / "L")
    assert done.out == b"nothing to do: " + bytes(m / "L") + b" is complete\n"
    refused(2, "L: it was begun with --reg 0, not 1", "chol", "--resume", "--reg", 1, m / "A",
            m / "L", hint="--force")
    refused(2, "L: it was begun with --uplo l, not u", "chol", "--resume", "--uplo", "u", m / "A",
            m / "L")
    refused(2, "L: it was begun by bm chol, not gemm", "gemm", "--resume", m / "A", m / "A", m / "L")
    refused(2, "--resume goes on with what --force would delete", "chol", "--resume", "--force",
            m / "A", m / "L")


def test_resume_refuses_an_input_that_was_made_anew(plain):
    store(plain / "A", spd(60), (16, 16))
    good("chol", plain / "A", plain / "L")
    time.sleep(0.02)
    np.save(plain / "A/new.npy", spd(60)[:16, :16])
    os.rename(plain / "A/new.npy", plain / "A/block_0_0")
    refused(2, "L: its input A changed since it was begun", "chol", "--resume", plain / "A",
            plain / "L", hint="--force")
    good("chol", "--force", plain / "A", plain / "L")


def test_an_input_that_was_cut_short_is_refused_before_anything_is_made(plain):
    store(plain / "A", spd(60), (20, 20))
    os.truncate(plain / "A" / "block_2_1", 3000)
    refused(2, "A/block_2_1: 3000 bytes", "chol", plain / "A", plain / "L")
    refused(2, "A/block_2_1: 3000 bytes", "gemm", plain / "A", plain / "A", plain / "C")
    assert names(plain) == ["A"]


def test_an_input_that_vanishes_or_changes_ends_the_run_with_its_name(plain):
    for what, code, says in [(os.unlink, 6, "the block is missing"),
                             (os.utime, 5, "the block changed while the run worked on it")]:
        folder = plain / what.__name__
        folder.mkdir()
        store(folder / "A", normal((600, 600)), (100, 100))
        process = subprocess.Popen(
            [program("bm"), "gemm", "--memory", str(3 * 80000), "--threads", "1",
             str(folder / "A"), str(folder / "A"), str(folder / "C")],
            stderr=subprocess.PIPE, env=environ())
        while process.poll() is None and not (folder / "C/block_0_0").exists():
            pass
        what(folder / "A/block_5_5")
        _, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        assert f"A/block_5_5: {says}" in err.decode() and "--resume" in err.decode()


# --- plan and report ---

@pytest.mark.parametrize("tiles", [3, 5, 13, 64])
def test_a_run_moves_what_its_plan_said(matrices, tiles):
    store(matrices / "A", spd(120), (10, 10))
    for words in (["chol", matrices / "A"], ["gemm", matrices / "A", matrices / "A"]):
        words = [*words, matrices / words[0], "--json", "--memory", tiles * 800]
        plan = good(*words, "--plan").json()
        assert not (matrices / words[0]).exists()
        run = good(*words).json()
        for field in ("bytes_read", "bytes_written", "flops", "super_blocks", "requests"):
            assert plan[field] == run[field], field
        assert plan["tasks"]["total"] == run["tasks"]["done"]
        assert run["memory_held"] <= run["memory_peak"] <= tiles * 800
        assert plan["bytes_ratio"] >= 1 or plan["bytes_read"] == plan["bytes_bound"]


def test_bytes_are_near_the_lower_bound(plain):
    """64 blocks a side; numpywren's task graph reads and writes these many blocks."""
    blocks, size = 64, 2
    good("create", plain / "A", "--shape", f"{blocks * size}x{blocks * size}", "--block", size,
         "--fill", 1)
    for tiles in (13, 32, 64):
        for operation, limit, theirs in (("gemm", 1.3, {"read": 872448, "write": 352256}),
                                         ("chol", 2.0, {"read": 135136, "write": 45760})):
            words = [operation] + [plain / "A"] * (2 if operation == "gemm" else 1)
            plan = good(*words, plain / "X", "--plan", "--json", "--memory",
                        tiles * size * size * 8).json()
            assert plan["bytes_ratio"] <= limit, (operation, tiles)
            moved = plan["requests"]["read"] + plan["requests"]["write"]
            assert plan["numpywren"] == theirs
            assert moved * 4 < sum(theirs.values()), (operation, tiles)


def test_the_trace_is_one_of_chrome(plain):
    store(plain / "A", spd(60), (16, 16))
    refused(2, "/no/dir: No such file", "chol", plain / "A", plain / "L", "--trace", "/no/dir")
    good("chol", plain / "A", plain / "L", "--trace", plain / "t.json")
    events = json.loads((plain / "t.json").read_text())
    kinds = {e["name"] for e in events if e["ph"] == "X"}
    assert {"read", "write", "potrf", "trsm", "gemm", "herk"} <= kinds
    assert all(e["dur"] >= 0 for e in events if e["ph"] == "X")
    assert {e["args"]["name"] for e in events if e["ph"] == "M"} >= {"read 0", "compute 0", "write 0"}


# --- numpywren's own runs ---

@pytest.mark.parametrize("which", ["dir", "s3"])
def test_numpywrens_own_runs_are_repeated(which, tmp_path, request):
    """From its inputs; the results are read back with boto3, as numpywren would."""
    if which == "s3" and request.config.getoption("--only-dir"):
        pytest.skip("--only-dir")
    bucket = kit.DirBucket(tmp_path / "store") if which == "dir" else \
        request.getfixturevalue("server").bucket()
    objects = {}
    for run in ("cholesky_10_4", "gemm_8_8_8_4"):
        objects.update(kit.fixture_objects(kit.FIXTURES / "programs" / run / "objects"))
    for key, body in objects.items():
        bucket.put(key, body)
    with kit.Mount(bucket, tmp_path) as m:
        good("chol", m.path / "chol_A", m.path / "L", "--verify")
        good("gemm", m.path / "gA", m.path / "gB", m.path / "C", "--verify")
    for theirs, ours in (("Cholesky(chol_A)", "L"), ("matmul_test_C", "C")):
        blocks = [k for k in objects if k.startswith(f"{kit.PREFIX}{theirs}/")]
        stored = bucket.keys(f"{kit.PREFIX}{ours}/")
        assert stored == sorted(k.replace(theirs, ours) for k in blocks)
        for key in (k for k in blocks if not k.endswith("header")):
            want = np.load(io.BytesIO(objects[key]))
            got = np.load(io.BytesIO(bucket.get(key.replace(theirs, ours))))
            assert abs(got - want).max() <= 1e-12
