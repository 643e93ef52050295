"""bm gemm against numpy, and what it refuses."""

import json
import os

import numpy as np
import pytest

from tools_kit import (bm, good, load, matrices, names, normal, plain, refused,  # noqa: F401
                       store, tolerance)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", ">f8"])
@pytest.mark.parametrize("transa", "ntc")
@pytest.mark.parametrize("transb", "ntc")
def test_gemm_agrees_with_numpy(matrices, dtype, transa, transb):
    def op(array, trans):
        return {"n": array, "t": array.T, "c": array.conj().T}[trans]

    a = normal((13, 9) if transa == "n" else (9, 13), 1, dtype)
    b = normal((9, 11) if transb == "n" else (11, 9), 2, dtype)
    d = normal((13, 11), 3, dtype)
    store(matrices / "A", a, (5, 4) if transa == "n" else (4, 5))
    store(matrices / "B", b, (4, 6) if transb == "n" else (6, 4), order="F")
    store(matrices / "D", d, (5, 6))
    is_complex = np.dtype(dtype).kind == "c"
    alpha, beta = (1.5 - 0.5j, -2j) if is_complex else (-1.5, 0.25)
    words = ["--transa", transa, "--transb", transb]
    good("gemm", *words, matrices / "A", matrices / "B", matrices / "C")
    good("gemm", *words, f"--alpha={str(alpha).strip('()')}", f"--beta={str(beta).strip('()')}",
         "--add", matrices / "D", matrices / "A", matrices / "B", matrices / "E")
    product = op(a, transa) @ op(b, transb)
    for path, want in [("C", product), ("E", alpha * product + beta * d)]:
        c = load(matrices / path)
        assert c.dtype == np.dtype(dtype).newbyteorder("<")
        assert abs(c - want).max() <= tolerance(c.dtype, 9) * 10
    header = json.loads((matrices / "C/header.json").read_text())
    assert header["shard_sizes"] == [5, 6]


def test_gemm_of_1x1_and_of_nothing(matrices):
    store(matrices / "one", np.array([[3.0]]), (7, 7))
    store(matrices / "row", np.ones((1, 5)), (1, 2))
    store(matrices / "empty", np.ones((5, 0)), (2, 2))
    good("gemm", matrices / "one", matrices / "one", matrices / "nine")
    assert load(matrices / "nine") == [[9.0]]
    good("gemm", matrices / "one", matrices / "row", matrices / "threes", "--force")
    assert (load(matrices / "threes") == np.full((1, 5), 3)).all()
    good("gemm", matrices / "row", matrices / "empty", matrices / "nothing")
    assert load(matrices / "nothing").shape == (1, 0)


def test_gemm_lets_nan_through_and_does_not_read_what_counts_for_nothing(matrices):
    a = np.full((70, 70), np.nan)
    store(matrices / "A", a, (40, 40))
    store(matrices / "B", np.ones((70, 70)), (40, 40))
    good("gemm", matrices / "A", matrices / "B", matrices / "C")
    assert np.isnan(load(matrices / "C")).all()
    good("gemm", "--alpha", "0", matrices / "A", matrices / "B", matrices / "Z")
    assert (load(matrices / "Z") == 0).all()
    good("gemm", "--add", matrices / "A", "--beta", "0", matrices / "B", matrices / "B",
         matrices / "P")
    assert (load(matrices / "P") == 70).all()


def test_gemm_says_what_does_not_fit(matrices):
    for key, shape, block, dtype in [("A", (8, 6), (4, 3), "f8"), ("B", (5, 4), (3, 2), "f8"),
                                     ("B2", (6, 4), (2, 2), "f8"), ("S", (6, 4), (3, 2), "f4"),
                                     ("I", (6, 4), (3, 2), "i4"), ("V", (6,), (3,), "f8"),
                                     ("G", (6, 4), (3, 2), "f8"), ("D", (8, 5), (4, 2), "f8"),
                                     ("D2", (8, 4), (2, 2), "f8")]:
        store(matrices / key, np.ones(shape, dtype), block)
    m = matrices
    c = m / "C"
    refused(2, f"{m}/B: inner dimensions differ: the first matrix, {m}/A, has 6 columns (8x6), the "
            f"second, {m}/B, has 5 rows (5x4)", "gemm", m / "A", m / "B", c)
    refused(2, f"{m}/B transposed, has 4 rows (4x5)", "gemm", m / "A", m / "B", c, "--transb", "t")
    refused(2, f"{m}/B2: inner blocks differ: {m}/A is cut every 3 columns, {m}/B2 every 2 rows",
            "gemm", m / "A", m / "B2", c)
    refused(2, f"{m}/S: types differ: {m}/A is float64, {m}/S is float32", "gemm", m / "A", m / "S",
            c)
    refused(2, "type int32; products are of float32", "gemm", m / "I", m / "I", c)
    refused(2, f"{m}/V: 1 axes, where a product needs 2", "gemm", m / "A", m / "V", c)
    refused(2, f"{m}/D: shapes differ: the product is 8x4, {m}/D is 8x5", "gemm", m / "A", m / "G",
            c, "--add", m / "D")
    refused(2, f"{m}/D2: blocks differ: those of the product are 4x2, those of {m}/D2 2x2", "gemm",
            m / "A", m / "G", c, "--add", m / "D2")
    refused(2, "--transa: 'x' is none of n, t, c", "gemm", m / "A", m / "G", c, "--transa", "x")
    refused(2, "--alpha: 'two' is not a number", "gemm", m / "A", m / "G", c, "--alpha", "two")
    refused(2, "--alpha: 'nan' is no finite number", "gemm", m / "A", m / "G", c, "--alpha", "nan")
    refused(2, "a complex factor, where the type is float64", "gemm", m / "A", m / "G", c,
            "--alpha", "2j")
    refused(2, "--beta is a factor of the matrix that --add names", "gemm", m / "A", m / "G", c,
            "--beta", "2", hint="--add D")
    assert not c.exists()


def test_gemm_names_what_is_missing_before_it_makes_anything(matrices):
    store(matrices / "A", np.ones((4, 4)), (2, 2))
    store(matrices / "B", np.ones((4, 4)), (2, 2))
    os.unlink(matrices / "B/block_0_1")
    os.unlink(matrices / "B/block_1_0")
    refused(6, "B/block_0_1: the block is missing (2 of 4 are)", "gemm", matrices / "A",
            matrices / "B", matrices / "C", hint="bm ls --missing")
    refused(6, "N: no such matrix", "gemm", matrices / "A", matrices / "N", matrices / "C")
    assert not (matrices / "C").exists()


def test_gemm_takes_fill_values(matrices):
    b = np.ones((4, 4))
    store(matrices / "A", np.ones((4, 4)), (2, 2))
    store(matrices / "B", b, (2, 2), header={"fill_value": 5})
    os.unlink(matrices / "B/block_0_1")
    b[0:2, 2:4] = 5
    good("gemm", matrices / "A", matrices / "B", matrices / "C")
    assert (load(matrices / "C") == np.ones((4, 4)) @ b).all()


def test_gemm_refuses_an_output_that_is_there_or_an_input(matrices):
    store(matrices / "A", normal((4, 4)), (2, 2))
    m = matrices
    good("gemm", m / "A", m / "A", m / "C")
    first = load(m / "C")
    refused(7, "C: it exists already", "gemm", m / "A", m / "A", m / "C",
            hint="--force deletes it first")
    good("gemm", "--alpha", "2", m / "A", m / "A", m / "C", "--force")
    assert np.allclose(load(m / "C"), 2 * first)
    for same in (m / "A", f"{m}/A/", f"{m}/C/../A/."):
        refused(2, "the output is an input too", "gemm", m / "A", m / "A", same, "--force")
    refused(2, "the output is an input too", "gemm", m / "A", m / "A", m / "C", "--add", m / "C",
            "--force")
    assert np.allclose(load(m / "C"), 2 * first)


def test_gemm_sees_an_input_through_a_link(plain):
    store(plain / "A", normal((4, 4)), (2, 2))
    os.symlink("A", plain / "link")
    refused(2, "the output is an input too", "gemm", plain / "A", plain / "A", plain / "link",
            "--force")


def test_gemm_reports_itself(matrices):
    store(matrices / "A", normal((8, 6)), (4, 3))
    store(matrices / "B", normal((6, 4)), (3, 2))
    report = good("gemm", "--json", matrices / "A", matrices / "B", matrices / "C").json()
    assert report["schema"] == "bmfs-report/1"
    assert report["tool"] == "bm-gemm" and report["status"] == "ok" and report["error"] is None
    assert report["inputs"] == [str(matrices / "A"), str(matrices / "B")]
    assert report["output"] == str(matrices / "C")
    assert report["shape"] == [8, 4] and report["dtype"] == "<f8"
    assert report["tasks"] == {"total": 8, "done": 8, "retried": 0, "failed": 0}
    assert report["bytes_written"] == 8 * 4 * 8
    assert report["seconds"] > 0 and report["gflops"] > 0
    result = bm("gemm", "--json", matrices / "A", matrices / "A", matrices / "X")
    report = result.json()
    assert result.code == 2 and report["status"] == "error"
    assert report["error"]["code"] == "EINVAL"
    assert "inner dimensions differ" in report["error"]["message"]


def test_gemm_says_which_block_is_bad(plain):
    store(plain / "A", np.ones((4, 4)), (2, 2))
    np.save(plain / "A/x.npy", np.ones((3, 2)))
    os.rename(plain / "A/x.npy", plain / "A/block_1_0")
    refused(2, "A/block_1_0: shape (3, 2), where the block has (2, 2)", "gemm", plain / "A",
            plain / "A", plain / "C", "--progress", "none", hint="C is incomplete")
    assert names(plain / "C") in (["block_0_0", "header.json"], ["header.json"])
