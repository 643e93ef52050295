"""bm syrk, trsm and solve, and sums over a long k, against numpy."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess

import kit
import numpy as np
import pytest

from test_engine import EPS, factor, residual, run_killed, same_files, spd
from tools_kit import (environ, good, load, matrices, name, names, normal, plain,  # noqa: F401
                       program, refused, store)

TYPES = ["f4", "f8", "c8", "c16"]


def op(a, trans):
    return {"n": a, "t": a.T, "c": a.conj().T}[trans]


def error(got, want, scale, k):
    """The largest error, in units of what rounding allows."""
    unit = EPS[np.dtype(got.dtype).char] * max(k, 1) * max(scale, 1e-300)
    return np.linalg.norm(got.astype("c16") - want) / unit


def some_memory(tile, least):
    return ["--memory", least * tile + random.randrange(12) * tile, "--threads",
            random.choice([1, 2, 3])]


# --- syrk ---

@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("m,k,bm,bk", [(1, 1, 1, 1), (9, 7, 20, 20), (40, 24, 8, 8),
                                       (41, 23, 8, 5), (23, 0, 8, 5), (5, 100, 5, 7)])
def test_syrk_is_right_and_hermitian(plain, dtype, m, k, bm, bk):
    item = np.dtype(dtype).itemsize
    for trans, lower in itertools.product("nc", (False, True)):
        a = normal((m, k) if trans == "n" else (k, m), dtype=dtype)
        block = (bm, bk) if trans == "n" else (bk, bm)
        place = plain / f"{trans}{lower}"
        place.mkdir()
        store(place / "A", a, block, order=random.choice("CF"))
        tile = max(bm, bk) ** 2 * item
        good("syrk", "--trans", trans, *(["--lower"] if lower else []), *some_memory(tile, 4),
             "--verify", place / "A", place / "C")
        x = op(a, "n" if trans == "n" else "c").astype("c16")
        want = x @ x.conj().T
        if lower:
            blocks = range(-(-m // bm))
            for i, j in itertools.product(blocks, blocks):
                assert (place / "C" / name((i, j))).exists() == (i >= j)
                if i >= j:
                    got = np.load(place / "C" / name((i, j)))
                    part = want[i * bm:(i + 1) * bm, j * bm:(j + 1) * bm]
                    assert error(got, part, np.linalg.norm(a) ** 2, k) < 30
        else:
            got = load(place / "C")
            assert (got == got.conj().T).all()
            assert error(got, want, np.linalg.norm(a) ** 2, k) < 30


def test_syrk_makes_what_chol_takes(matrices):
    x = normal((60, 40), dtype="c16")
    store(matrices / "X", x, (16, 16))
    good("syrk", "--trans", "c", "--lower", matrices / "X", matrices / "N")
    good("chol", "--verify", matrices / "N", matrices / "L")
    report = good("syrk", "--json", matrices / "X", matrices / "C").json()
    plan = good("syrk", "--json", "--plan", matrices / "X", matrices / "P").json()
    for field in ("bytes_read", "bytes_written", "flops", "requests"):
        assert plan[field] == report[field]
    refused(2, "--trans t does not conjugate", "syrk", "--trans", "t", matrices / "X",
            matrices / "T", hint="bm gemm --transa t")
    refused(2, "--trans: 'x' is none of", "syrk", "--trans", "x", matrices / "X", matrices / "T")


def test_syrk_fills_in_what_is_missing_with_the_same_bytes(plain):
    store(plain / "A", normal((70, 50)), (16, 16))
    words = ["syrk", "--memory", 6 * 16 * 16 * 8, plain / "A"]
    good(*words, plain / "C")
    good(*words, plain / "D")
    for block in ("block_0_4", "block_3_1", "block_2_2", "block_4_3"):
        os.unlink(plain / "D" / block)
    good(*words, plain / "D", "--resume")
    same_files(plain / "C", plain / "D")


# --- triangular systems ---

def triangle(n, uplo, dtype, diag="n"):
    t = normal((n, n), 3, dtype) / max(n, 1)
    t = np.tril(t) if uplo == "l" else np.triu(t)
    t[np.diag_indices(n)] += 1 if diag == "n" else 77
    return t.astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("n,k,b,bk", [(1, 1, 1, 1), (7, 3, 10, 10), (40, 24, 8, 8),
                                      (41, 23, 8, 5), (33, 1, 8, 4)])
def test_trsm_is_right(plain, dtype, n, k, b, bk):
    item = np.dtype(dtype).itemsize
    for side, uplo, trans, diag in itertools.product("lr", "lu", "ntc", "nu"):
        place = plain / f"{side}{uplo}{trans}{diag}"
        place.mkdir()
        t = triangle(n, uplo, dtype, diag)
        rhs = normal((n, k) if side == "l" else (k, n), dtype=dtype)
        junk = t + (np.triu(np.full((n, n), 9), 1) if uplo == "l" else
                    np.tril(np.full((n, n), 9), -1)).astype(dtype)
        store(place / "T", junk, (b, b), order=random.choice("CF"))
        store(place / "B", rhs, (b, bk) if side == "l" else (bk, b), order=random.choice("CF"))
        good("trsm", "--side", side, "--uplo", uplo, "--trans", trans, "--diag", diag,
             *some_memory(b * max(b, bk) * item, 3), "--verify", place / "T", place / "B",
             place / "X")
        if diag == "u":
            t[np.diag_indices(n)] = 1
        x = load(place / "X").astype("c16")
        a = op(t.astype("c16"), trans)
        back = a @ x if side == "l" else x @ a
        scale = np.linalg.norm(t) * np.linalg.norm(x) + np.linalg.norm(rhs)
        assert error(rhs, back, scale, n) < 30


@pytest.mark.parametrize("side", "lr")
@pytest.mark.parametrize("trans", "nt")
def test_trsm_has_the_same_bits_with_any_memory_and_goes_on(plain, side, trans):
    n = 130
    store(plain / "T", triangle(n, "l", "f8"), (10, 10))
    store(plain / "B", normal((n, 70) if side == "l" else (70, n)), (10, 10))
    words = ["trsm", "--side", side, "--trans", trans, plain / "T", plain / "B"]
    good(*words, plain / "X")
    for tiles in (3, 4, 9, 20, 50):
        plan = good(*words, plain / "Y", "--memory", tiles * 800, "--plan", "--json").json()
        run = good(*words, plain / "Y", "--memory", tiles * 800, "--json").json()
        for field in ("bytes_read", "bytes_written", "flops", "super_blocks", "requests"):
            assert plan[field] == run[field], field
        assert run["memory_peak"] <= tiles * 800
        same_files(plain / "X", plain / "Y")
        for block in random.sample([f for f in names(plain / "Y") if f.startswith("b")], 20):
            os.unlink(plain / "Y" / block)
        good(*words, plain / "Y", "--memory", tiles * 800, "--resume")
        same_files(plain / "X", plain / "Y")
        good("rm", plain / "Y")


def test_trsm_takes_the_triangle_from_the_header(matrices):
    a = spd(40)
    store(matrices / "A", a, (16, 16))
    store(matrices / "B", normal((40, 3)), (16, 3))
    good("chol", "--uplo", "u", matrices / "A", matrices / "U")
    good("trsm", "--trans", "c", matrices / "U", matrices / "B", matrices / "Y")
    good("trsm", matrices / "U", matrices / "Y", matrices / "X")
    assert np.allclose(a @ load(matrices / "X"), normal((40, 3)))


def test_trsm_says_what_is_wrong(plain):
    t = triangle(30, "l", "f8")
    store(plain / "B", normal((30, 5)), (8, 5))
    store(plain / "T", t, (8, 8))
    t[20, 20] = 0
    store(plain / "S", t, (8, 8))
    refused(3, "S: singular: element (20, 20) is 0", "trsm", plain / "S", plain / "B", plain / "X")
    good("trsm", "--diag", "u", plain / "S", plain / "B", plain / "U")
    b = normal((30, 5))
    b[9, 3] = np.nan
    store(plain / "N", b, (8, 5))
    refused(3, "N: element (9, 3) is NaN or infinite", "trsm", plain / "T", plain / "N",
            plain / "Z")
    store(plain / "R", normal((30, 5)), (10, 5))
    refused(2, "R: it is cut every 10 rows", "trsm", plain / "T", plain / "R", plain / "W",
            hint="--block 8x5")
    refused(2, "B: 5 columns, where", "trsm", "--side", "r", plain / "T", plain / "B", plain / "W")
    refused(2, "--side: 'x' is none of l, r", "trsm", "--side", "x", plain / "T", plain / "B",
            plain / "W")
    refused(2, "B: not square", "trsm", plain / "B", plain / "B", plain / "W")
    refused(2, "do not hold three blocks", "trsm", "--memory", 900, plain / "T", plain / "B",
            plain / "W", hint="--memory 1152 or more")
    assert not (plain / "W").exists()


# --- systems with a factor ---

@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("n,k,b,bk", [(1, 1, 1, 1), (7, 3, 10, 10), (41, 23, 8, 5), (33, 1, 8, 4)])
@pytest.mark.parametrize("uplo", "lu")
def test_solve_is_right(plain, dtype, n, k, b, bk, uplo):
    a = spd(n, dtype)
    rhs = normal((n, k), 7, dtype)
    store(plain / "A", a, (b, b))
    store(plain / "B", rhs, (b, bk), order=random.choice("CF"))
    good("chol", "--uplo", uplo, plain / "A", plain / "L")
    column = -(-n // b) * b * bk * np.dtype(dtype).itemsize
    least = b * b * np.dtype(dtype).itemsize + column
    good("solve", "--memory", least + random.randrange(4) * column, "--verify", plain / "L",
         plain / "B", plain / "X")
    x = load(plain / "X").astype("c16")
    scale = np.linalg.norm(a) * np.linalg.norm(x) + np.linalg.norm(rhs)
    assert error(rhs, a.astype("c16") @ x, scale, n) < 30


def test_solve_has_the_same_bits_with_any_memory_and_goes_on(matrices):
    store(matrices / "A", spd(90), (10, 10))
    store(matrices / "B", normal((90, 50)), (10, 10))
    good("chol", matrices / "A", matrices / "L")
    words = ["solve", matrices / "L", matrices / "B"]
    good(*words, matrices / "X")
    want = load(matrices / "X")
    for columns in (1, 2, 5):
        out = matrices / f"Y{columns}"
        memory = ["--memory", (columns * 9 + 1) * 800]
        plan = good(*words, out, *memory, "--plan", "--json").json()
        run = good(*words, out, *memory, "--json").json()
        for field in ("bytes_read", "bytes_written", "flops", "super_blocks", "requests"):
            assert plan[field] == run[field], field
        assert 0 < plan["bytes_bound"] <= plan["bytes_read"]
        os.unlink(out / "block_3_1")
        os.unlink(out / "block_8_4")
        good(*words, out, *memory, "--resume")
        assert (load(out) == want).all()


def test_solve_wants_a_whole_factor(matrices):
    m = matrices
    store(m / "A", spd(30), (8, 8))
    store(m / "B", normal((30, 2)), (8, 2))
    good("chol", m / "A", m / "L")
    refused(2, "do not hold a column of B's blocks", "solve", "--memory", 800, m / "L", m / "B",
            m / "X", hint="--memory 992")
    os.unlink(m / "L/block_2_1")  # absent blocks of the other triangle are zeros, this one is lost
    refused(6, "L/block_2_1: the block is missing", "solve", m / "L", m / "B", m / "X")
    refused(6, "L/block_2_1: the block is missing", "gemm", m / "L", m / "B", m / "X")
    good("chol", "--resume", m / "A", m / "L")
    good("solve", m / "L", m / "B", m / "X")


# --- systems with the matrix itself ---

@pytest.mark.parametrize("options", [[], ["--uplo", "u"], ["--reg", "0.5"]])
def test_solve_factors_a_matrix_first(matrices, options):
    m = matrices
    a, rhs = spd(41, "c16"), normal((41, 9), 7, "c16")
    store(m / "A", a, (8, 8))
    store(m / "B", rhs, (8, 4))
    report = good("solve", "--verify", "--json", *options, m / "A", m / "B", m / "X").json()
    if "--reg" in options:
        a = a + 0.5 * np.eye(41)
    x = load(m / "X")
    scale = np.linalg.norm(a) * np.linalg.norm(x) + np.linalg.norm(rhs)
    assert error(rhs, a @ x, scale, 41) < 30
    assert report["residual"] < 30 and report["factor"]["residual"] < 30
    assert report["output"] == str(m / "X")
    assert not (m / "X.factor").exists()
    good("chol", *options, m / "A", m / "L")
    good("solve", m / "L", m / "B", m / "Y")
    assert (load(m / "Y") == x).all()


def test_solve_says_what_does_not_fit_of_the_matrix_that_was_given(plain):
    store(plain / "A", spd(24, "c16"), (8, 8))
    for number, (b, says) in enumerate([
            (normal((24, 3)), "types differ: {}/A is complex128"),
            (normal((23, 3), dtype="c16"), "23 rows, where {}/A has 24")]):
        store(plain / f"B{number}", b, (8, 8))
        refused(2, says.format(plain), "solve", plain / "A", plain / f"B{number}", plain / "X")


def test_solve_keeps_the_factor_where_it_is_told_to(plain):
    store(plain / "A", spd(30), (8, 8))
    store(plain / "B", normal((30, 2)), (8, 2))
    words = ["solve", "--factor", plain / "F", plain / "A", plain / "B", plain / "X"]
    good(*words)
    good("chol", plain / "A", plain / "L")
    assert good("diff", plain / "F", plain / "L")
    refused(2, "F: it is a factor: --factor", "solve", "--factor", plain / "G", plain / "F",
            plain / "B", plain / "Y")
    refused(7, "X: it exists already", *words)
    good("rm", plain / "X")
    refused(7, "F: it exists already", *words)
    good(*words, "--force")
    refused(2, "B: the output is an input too", *words[:2], plain / "B", *words[3:], "--force")
    assert (load(plain / "B") == normal((30, 2))).all()


def test_solve_plans_factor_and_solution(plain):
    store(plain / "A", spd(60), (8, 8))
    store(plain / "B", normal((60, 10)), (8, 5))
    words = ["solve", plain / "A", plain / "B", plain / "X", "--memory", "6000"]
    text = good(*words, "--plan").out.decode()
    assert text.startswith(f"factor {plain}/X.factor\ntasks ")
    assert f"\nsolution {plain}/X\ntasks " in text
    plan = good(*words, "--plan", "--json").json()
    assert not (plain / "X").exists() and not (plain / "X.factor").exists()
    run = good(*words, "--json").json()
    for field in ("bytes_read", "bytes_written", "flops", "super_blocks", "requests"):
        assert plan[field] == run[field], field
        assert plan["factor"][field] == run["factor"][field], field


def test_solve_goes_on_with_factor_and_solution(plain):
    store(plain / "A", spd(60), (8, 8))
    store(plain / "B", normal((60, 10)), (8, 5))
    words = ["solve", "--resume", plain / "A", plain / "B", plain / "X"]
    good(*words[:1], *words[2:])
    want = load(plain / "X")
    os.unlink(plain / "X/block_3_1")
    report = good(*words, "--json").json()  # the factor is gone: made again, and removed again
    assert report["factor"]["tasks"]["done"] > 0
    assert (load(plain / "X") == want).all() and not (plain / "X.factor").exists()
    store(plain / "X.factor", np.ones((3, 3)), (2, 2))  # of somebody else's
    assert "factor" not in good(*words, "--json").json()  # nothing to do
    assert (load(plain / "X.factor") == 1).all()
    good("rm", plain / "X.factor")
    shutil.rmtree(plain / "X")
    good("chol", plain / "A", plain / "X.factor")  # as if killed between the two
    os.unlink(plain / "X.factor/block_7_2")
    report = good(*words, "--json").json()
    assert report["factor"]["requests"]["write"] == 1
    assert (load(plain / "X") == want).all() and not (plain / "X.factor").exists()
    np.save(plain / "A/block_1_0.npy", np.ones((8, 8)))
    os.rename(plain / "A/block_1_0.npy", plain / "A/block_1_0")
    os.unlink(plain / "X/block_3_1")
    refused(2, "X: its input A changed", *words)
    assert not (plain / "X.factor").exists()


def test_solve_says_why_there_is_no_factor(plain):
    store(plain / "A", -spd(20), (8, 8))
    store(plain / "B", normal((20, 2)), (8, 2))
    store(plain / "C", normal((20, 20)), (8, 8))
    refused(3, "A: leading minor of order 1 is not positive definite", "solve", plain / "A",
            plain / "B", plain / "X", hint="--reg")
    refused(2, "C: not symmetric", "solve", plain / "C", plain / "B", plain / "X")
    assert sorted(p.name for p in plain.iterdir()) == ["A", "B", "C"]


# --- a long k ---

def test_a_long_sum_has_the_same_bits_with_any_memory_and_threads(plain):
    """X'X of many rows: partial sums over 4096 rows each, added in order."""
    x = normal((20000, 30))
    store(plain / "X", x, (1000, 10))
    want = x.T @ x
    tile = 1000 * 10 * 8
    first = None
    for threads, tiles in [(1, 3), (2, 5), (3, 50)]:
        for words in (["gemm", "--transa", "t", plain / "X", plain / "X"],
                      ["syrk", "--trans", "t", plain / "X"]):
            out = plain / f"{words[0]}{tiles}"
            run = good(*words, out, "--threads", threads, "--memory", tiles * tile, "--json",
                       "--verify").json()
            plan = good(*words, "--plan", "--memory", tiles * tile, "--json",
                        plain / "none").json()
            assert plan["bytes_read"] == run["bytes_read"]
            assert run["memory_peak"] <= tiles * tile
            assert abs(load(out) - want).max() < 1e-9
            if first:
                same_files(out, plain / f"{words[0]}{first}")
        first = first or tiles


def test_a_long_sum_of_whole_numbers_is_exact(plain):
    rng = np.random.default_rng(5)
    x = rng.integers(-50, 50, (9001, 17)).astype("f8")
    d = rng.integers(-50, 50, (17, 17)).astype("f8")
    store(plain / "X", x, (700, 6))
    store(plain / "D", d, (6, 6))
    good("gemm", "--transa", "t", "--add", plain / "D", "--beta", 2, plain / "X", plain / "X",
         plain / "C")
    assert (load(plain / "C") == x.T @ x + 2 * d).all()
    good("syrk", "--trans", "t", plain / "X", plain / "S")
    assert (load(plain / "S") == x.T @ x).all()


def tall(folder):
    """X'X of 400,000 rows: the sums of six spans of 73,728 rows are stored on the way."""
    store(folder / "X", np.random.default_rng(6).standard_normal((400_000, 30), dtype="f4"),
          (4096, 10))
    words = ["--memory", "3M", "--threads", "2", folder / "X"]
    return {"gemm": ["gemm", "--transa", "t", *words, folder / "X"],
            "syrk": ["syrk", "--trans", "t", *words]}


def stored_sums(out):
    return list(out.with_name(out.name + ".sums").glob("*/block_*"))


@pytest.mark.parametrize("operation", ["gemm", "syrk"])
def test_a_long_sum_that_is_killed_goes_on_behind_what_it_had_read(matrices, operation):
    words = tall(matrices)[operation]
    plan = good(*words, "--plan", "--json", matrices / "none").json()
    run = good(*words, "--json", matrices / "whole", "--verify").json()
    for field in ("bytes_read", "bytes_written", "requests", "flops"):
        assert plan[field] == run[field]
    out, stored = matrices / "parts", 0
    for _ in range(kit.many(50, 200)):
        code, err = run_killed(run["run_seconds"] * random.uniform(0.2, 1), signal.SIGKILL, *words,
                               out, "--resume")
        assert code in (0, -2, -9), err
        stored = len(stored_sums(out))
        if stored > 9:
            break
        if code != -9:
            good("rm", out)
    assert stored > 9  # the first span's nine blocks need not be there, but one span's are
    rest = good(*words, "--json", out, "--resume", "--verify").json()
    assert rest["bytes_read"] < run["bytes_read"]
    assert not (matrices / "parts.sums").exists()
    for left in (n for n in names(out) if n.startswith(".bm-")):
        os.unlink(out / left)
    same_files(matrices / "whole", out)


def test_a_long_sum_goes_on_when_another_run_has_finished_it(matrices):
    """Two runs of one job: the sums that both use go with the first one that ends."""
    words = [program("bm"), *map(str, tall(matrices)["gemm"])]
    good(*words[1:], matrices / "whole")
    for _ in range(kit.many(3, 30)):
        command = [*words, matrices / "C", "--resume", "--progress", "none"]
        slow = subprocess.Popen(command, env=environ(), stderr=subprocess.PIPE)
        kit.wait_for(lambda: slow.poll() is not None or len(stored_sums(matrices / "C")) > 2)
        slow.send_signal(signal.SIGSTOP)
        good(*words[1:], matrices / "C", "--resume")
        assert not (matrices / "C.sums").exists()
        slow.send_signal(signal.SIGCONT)
        _, err = slow.communicate(timeout=60)
        assert slow.returncode == 0, err.decode()
        same_files(matrices / "whole", matrices / "C")
        assert sorted(p.name for p in matrices.iterdir()) == ["C", "X", "whole"]
        good("rm", matrices / "C")


def test_sums_on_the_way_go_with_the_result_that_they_were_for(plain):
    words = tall(plain)["syrk"]
    code, err = run_killed(0.05, signal.SIGINT, *words, plain / "C")
    for number in (0, 1, 7):
        (plain / "C.sums" / str(number)).mkdir(parents=True, exist_ok=True)
    good(*words, plain / "C", "--force")
    assert sorted(p.name for p in plain.iterdir()) == ["C", "X"]
    code, err = run_killed(0.3, signal.SIGKILL, *words, plain / "C", "--force")
    good("rm", plain / "C")
    assert names(plain) == ["X"]
    code, err = run_killed(0.3, signal.SIGKILL, *words, plain / "C", "--force")
    good("create", plain / "C", "--shape", "4x4", "--eye", "--force")  # which has no sums
    assert names(plain) == ["C", "X"]
    good("rm", plain / "C")
    (plain / "D.sums").mkdir()
    store(plain / "D.sums" / "0", normal((8, 8)), (4, 4))
    good(*words, plain / "D")
    assert names(plain / "D.sums") == ["0"]
    assert names(plain / "D.sums" / "0") == sorted(["header.json"] + [
        name((i, j)) for i in (0, 1) for j in (0, 1)])


def test_sums_of_another_input_are_not_taken_up(plain):
    """Also where only the fill value is another, and C was removed by hand."""
    words = tall(plain)["gemm"]
    header = json.loads((plain / "X/header.json").read_text())
    for block in names(plain / "X"):
        if block.startswith("block_9"):
            os.unlink(plain / "X" / block)
    for turn, fill in enumerate([1, 3]):
        (plain / "X/header.json").write_text(json.dumps({**header, "fill_value": fill}))
        good(*words, plain / f"want{fill}")
        while turn == 0 and not (plain / "C.sums/5/header.json").exists():
            shutil.rmtree(plain / "C", ignore_errors=True)
            run_killed(random.uniform(0.1, 0.5), signal.SIGKILL, *words, plain / "C")
        for resume in ([], ["--resume"]):  # with the same header, or anew
            kept = plain / f"kept{turn}{len(resume)}"
            shutil.copytree(plain / "C.sums", kept)
            shutil.rmtree(plain / "C", ignore_errors=True)
            good(*words, plain / "C", *resume)
            same_files(plain / f"want{fill}", plain / "C")
            shutil.rmtree(plain / "C.sums", ignore_errors=True)
            kept.rename(plain / "C.sums")


def test_a_long_sum_needs_no_right_to_delete(tmp_path):
    """Nor does a result that is complete look incomplete when its sums cannot be removed."""
    with kit.Mount(kit.DirBucket(tmp_path / "store"), tmp_path) as mount:
        words = tall(mount.path)["syrk"]
        good(*words, mount.path / "whole")
    with kit.Mount(kit.DirBucket(tmp_path / "store"), tmp_path, "--no-delete") as mount:
        said = good(*words, mount.path / "C").err.decode()
        assert "C.sums/0: cannot remove" in said and "C is complete" in said
        same_files(mount.path / "whole", mount.path / "C")


def test_two_runs_that_end_together_both_succeed(matrices):
    words = [program("bm"), *map(str, tall(matrices)["syrk"])]
    good(*words[1:], matrices / "whole")
    for _ in range(kit.many(5, 100)):
        command = [*words, matrices / "C", "--resume", "--progress", "none"]
        runs = [subprocess.Popen(command, env=environ(), stderr=subprocess.PIPE) for _ in range(2)]
        for run in runs:
            _, err = run.communicate(timeout=60)
            assert run.returncode == 0, err.decode()
        same_files(matrices / "whole", matrices / "C")
        good("rm", matrices / "C")
        assert names(matrices) == ["X", "whole"]


def test_a_sum_on_the_way_is_no_result(plain):
    words = tall(plain)["syrk"]
    while not (plain / "C.sums/0/header.json").exists():  # killed while it computes
        good("rm", "-f", plain / "C")
        run_killed(random.uniform(0.1, 0.5), signal.SIGKILL, *words, plain / "C")
    refused(2, "it was begun with 'sum'", *words, plain / "C.sums" / "0", "--resume",
            hint="--force")


# --- the record of what was made ---

def test_a_block_that_is_lost_later_is_made_again_or_the_difference_is_named(matrices):
    m = matrices
    a = spd(60)
    store(m / "A", a, (16, 16))
    good("chol", m / "A", m / "L")
    crc = json.loads((m / "L/header.json").read_text())["made_by"]["crc32c"]
    assert len(crc) == 16 * 8 and crc.count("--------") == 6
    for block in names(m / "L"):
        if block.startswith("block"):
            was = (m / "L" / block).read_bytes()
            os.unlink(m / "L" / block)
            good("chol", "--resume", m / "A", m / "L")
            assert (m / "L" / block).read_bytes() == was
    assert json.loads((m / "L/header.json").read_text())["made_by"]["crc32c"] == crc
    header = (m / "L/header.json").read_text()
    wrong = header.replace(crc, crc[:5 * 8] + "0123abcd" + crc[6 * 8:])
    assert wrong != header
    with open(m / "L/header.json", "w") as f:
        f.write(wrong)
    os.unlink(m / "L/block_1_1")
    refused(2, "L/block_1_1: made again, it is not the block that was lost", "chol", "--resume",
            m / "A", m / "L", hint="the one that was lost is in block_2_1, block_2_2, block_3_1, "
            "block_3_2, block_3_3: --force makes all anew")
    assert not (m / "L/block_1_1").exists()
    good("chol", "--force", m / "A", m / "L")
    assert residual(a, factor(m / "L")) < 30


def test_what_a_killed_run_made_is_not_in_the_record(plain):
    store(plain / "A", spd(60), (16, 16))
    good("chol", plain / "A", plain / "L")
    header = json.loads((plain / "L/header.json").read_text())
    del header["made_by"]["crc32c"]
    (plain / "L/header.json").write_text(json.dumps(header))
    os.unlink(plain / "L/block_2_1")
    good("chol", "--resume", plain / "A", plain / "L")
    crc = json.loads((plain / "L/header.json").read_text())["made_by"]["crc32c"]
    assert [i for i in range(16) if crc[8 * i:8 * i + 8] != "--------"] == [9]
