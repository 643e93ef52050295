"""bm reblock, transpose, add, scale, norm and trace: values against numpy, refusals."""

import json
import os
import subprocess
from decimal import Decimal

import numpy as np
import pytest

from tools_kit import (SANITIZED, bm, environ, good, load, names, normal, plain, program, refused,
                       store, tolerance)  # noqa: F401

TYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16",
         ">f8", ">i4", ">c8"]


@pytest.fixture(params=["plain", "dir", "s3"])
def place(request, tmp_path):
    """A directory for matrices: in a plain folder, on a mount of a directory and of an S3 bucket."""
    if request.param == "plain":
        folder = tmp_path / "matrices"
        folder.mkdir()
        yield folder
        return
    kit = pytest.importorskip("kit")
    if request.param == "s3" and request.config.getoption("--only-dir"):
        pytest.skip("--only-dir")
    bucket = (kit.DirBucket(tmp_path / "store") if request.param == "dir"
              else request.getfixturevalue("server").bucket())
    with kit.Mount(bucket, tmp_path) as mount:
        yield mount.path


def header(path):
    return json.loads((path / "header.json").read_text())


def any_type(shape, dtype):
    """Different elements of a type, as far as it has them."""
    count = int(np.prod(shape))
    array = (np.arange(count) % 2 if dtype == "?" else np.arange(count) % 100).astype(dtype)
    if array.dtype.kind == "c":
        array = (array + 1j * np.arange(count)[::-1]).astype(dtype)
    return array.reshape(shape)


# --- reblock ---

@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_reblock_keeps_every_type_and_value(plain, dtype, order):
    array = any_type((10, 7), dtype)
    store(plain / "A", array, (4, 3), order=order)
    good("reblock", plain / "A", plain / "B", "--block", "3x5")
    assert header(plain / "B")["shard_sizes"] == [3, 5]
    back = load(plain / "B")
    assert back.dtype == array.dtype and (back == array).all()


@pytest.mark.parametrize("shape,block,new", [
    ((10, 7), (4, 3), "3x7"), ((10, 7), (4, 3), "100"), ((10, 7), (10, 7), "1"),
    ((1, 1), (1, 1), "5x5"), ((23,), (5,), "7"), ((5, 4, 3), (2, 3, 2), "3x2x3"),
    ((4, 1, 3, 2, 2), (3, 1, 2, 1, 2), "2"), ((0, 4), (2, 2), "3x3")])
def test_reblock_on_every_kind_of_place(place, shape, block, new):
    array = normal(shape)
    store(place / "A", array, block)
    for memory in ("1", "200", "1GiB"):
        good("reblock", place / "A", place / "B", "--block", new, "--memory", memory, "--force")
        assert (load(place / "B") == array).all()
        good("diff", place / "A", place / "B")


def test_reblock_reads_each_byte_once_and_says_so(place):
    array = normal((64, 3000))
    store(place / "A", array, (20, 2000))
    for memory in ("0", "300KiB", "1GiB"):
        report = good("reblock", place / "A", place / "B", "--block", "16x1000", "--memory", memory,
                      "--force", "--json").json()
        assert report["bytes_read"] == report["bytes_written"] == array.nbytes
        assert report["shard_sizes"] == [16, 1000] and report["output"].endswith("/B")
    assert (load(place / "B") == array).all()


def peak_kib(*words):
    """Runs bm, which must succeed, and returns its peak of memory."""
    process = subprocess.Popen([program("bm"), *(str(w) for w in words)], env=environ(),
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


def test_reblock_takes_memory_for_a_region_and_two_blocks_only(plain):
    good("create", plain / "A", "--shape", "8192x2048", "--block", "1024", "--fill", "1", "-q")
    idle = peak_kib("info", plain / "A")
    peak = peak_kib("reblock", plain / "A", plain / "B", "--block", "700", "--memory", "8MiB", "-q")
    # A region of 8 MiB, a block of A of 8 and one of B of 4; and what two threads need.
    assert SANITIZED or peak - idle < (8 + 8 + 4 + 3) * 1024


def test_a_triangle_stays_one(place):
    """L as a Cholesky factor is stored: the upper blocks absent, 0 by the header."""
    array = np.tril(normal((9, 9)))
    fields = {"fill_value": 0, "triangular": "lower", "made_by": "something"}
    store(place / "L", array, (3, 3), header=fields)
    for gone in ("block_0_1", "block_0_2", "block_1_2"):
        (place / "L" / gone).unlink()

    good("reblock", place / "L", place / "R", "--block", "2")
    assert "block_0_4" not in names(place / "R") and "block_0_1" in names(place / "R")
    good("transpose", place / "L", place / "U")
    assert names(place / "U") == ["block_0_0", "block_0_1", "block_0_2", "block_1_1", "block_1_2",
                                  "block_2_2", "header.json"]
    good("scale", place / "L", place / "S", "--alpha", "-2")
    good("add", place / "L", place / "S", place / "D")
    good("add", place / "L", place / "U", place / "E")
    for key, want, says in (("R", array, "lower"), ("U", array.T, "upper"),
                            ("S", -2 * array, "lower"), ("D", -array, "lower"),
                            ("E", array + array.T, None)):
        good("export", place / key, place.parent / "x.npy", "--force")
        assert np.allclose(np.load(place.parent / "x.npy"), want, atol=1e-15)
        assert header(place / key).get("triangular") == says
        assert header(place / key)["fill_value"] == 0
        assert "made_by" not in header(place / key)
    assert float(good("norm", place / "L").out) == pytest.approx(np.linalg.norm(array), rel=1e-15)
    assert float(good("trace", place / "L").out) == pytest.approx(np.trace(array), rel=1e-14)


# --- transpose ---

@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("conj", [[], ["--conj"]])
def test_transpose_of_every_type(plain, dtype, order, conj):
    array = any_type((10, 7), dtype)
    store(plain / "A", array, (4, 3), order=order)
    good("transpose", plain / "A", plain / "B", *conj)
    back = load(plain / "B")
    assert back.dtype == array.dtype
    assert (back == (np.conj(array).T if conj else array.T)).all()


@pytest.mark.parametrize("shape,block", [((10, 7), (4, 3)), ((7,), (3,)), ((5, 4, 3), (2, 3, 2)),
                                         ((3, 2, 2, 3), (2, 1, 2, 2)), ((1, 1), (5, 5)),
                                         ((0, 4), (2, 2))])
def test_transpose_on_every_kind_of_place(place, shape, block):
    array = normal(shape, dtype="c16")
    store(place / "A", array, block)
    good("transpose", place / "A", place / "B")
    assert header(place / "B")["shape"] == list(shape)[::-1]
    assert header(place / "B")["shard_sizes"] == list(block)[::-1]
    assert (load(place / "B") == array.T).all()
    good("transpose", place / "B", place / "C")
    good("diff", place / "A", place / "C")


def test_a_complex_fill_value_is_conjugated(plain):
    good("create", plain / "A", "--shape", "4x2", "--dtype", "c16", "--fill-value", "1+2j")
    good("transpose", plain / "A", plain / "B", "--conj")
    assert header(plain / "B")["fill_value"] == [1, -2] and len(names(plain / "B")) == 1


# --- add and scale ---

@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", ">f8"])
def test_add_and_scale_agree_with_numpy(place, dtype):
    a, b = normal((10, 7), 1, dtype), normal((10, 7), 2, dtype)
    store(place / "A", a, (4, 3))
    store(place / "B", b, (4, 3), order="F")
    for alpha, beta in ((1, 1), (2.5, -1), (0, 3), (1e-3, 0)):
        good("add", place / "A", place / "B", place / "C", "--force", "--alpha", alpha,
             f"--beta={beta}")
        assert np.allclose(load(place / "C"), alpha * a + beta * b, rtol=tolerance(a.dtype, 1),
                           atol=1e-15)
    good("scale", place / "A", place / "S", "--alpha", "-0.1")
    assert np.allclose(load(place / "S"), -0.1 * a, rtol=tolerance(a.dtype, 1))
    assert header(place / "S")["dtype"] == np.dtype(dtype).newbyteorder("<").str


def test_add_of_vectors_and_cubes_and_by_complex_factors(plain):
    for shape, block in (((7,), (3,)), ((3, 4, 5), (2, 2, 2)), ((0, 3), (2, 2))):
        a, b = normal(shape, 1, "c16"), normal(shape, 2, "c16")
        store(plain / f"A{len(shape)}", a, block)
        store(plain / f"B{len(shape)}", b, block)
        good("add", plain / f"A{len(shape)}", plain / f"B{len(shape)}", plain / f"C{len(shape)}",
             "--alpha", "1+2j", "--beta", "-3j")
        assert np.allclose(load(plain / f"C{len(shape)}"), (1 + 2j) * a - 3j * b)


def test_scale_by_0_reads_nothing(plain):
    store(plain / "A", np.full((4, 4), np.nan), (2, 2))
    (plain / "A/block_1_1").unlink()
    report = good("scale", plain / "A", plain / "B", "--alpha", "0", "--json").json()
    assert report["bytes_read"] == 0 and (load(plain / "B") == 0).all()


# --- norm and trace ---

@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "c8", "c16", ">f8", "i4", "u8", "?"])
def test_norms_and_traces_agree_with_numpy(place, dtype):
    array = any_type((9, 9), dtype)
    if array.dtype.kind in "fc":
        array = normal((9, 9), 3, dtype)
    store(place / "A", array, (4, 2))
    wide = array.astype("c16" if array.dtype.kind == "c" else "f8")
    for kind, want in (("fro", np.linalg.norm(wide)), ("1", np.linalg.norm(wide, 1)),
                       ("inf", np.linalg.norm(wide, np.inf)), ("max", abs(wide).max())):
        result = good("norm", place / "A", "--norm", kind)
        assert float(result.out) == pytest.approx(want, rel=1e-14) and result.err == b""
        report = good("norm", place / "A", "--norm", kind, "--json").json()
        assert report["norm"] == pytest.approx(want, rel=1e-14)
        assert report["kind"] == kind and report["nan"] is False
    text = good("trace", place / "A").out.decode().strip()
    assert complex(text) == pytest.approx(np.trace(wide), rel=1e-13)
    report = good("trace", place / "A", "--json").json()
    assert complex(report["trace"], report["imaginary"]) == pytest.approx(np.trace(wide), rel=1e-13)


def test_norms_of_extreme_numbers(plain):
    for k, scale in enumerate([1e200, 1e-200, 1.7e308, 5e-324]):
        array = np.full((6, 5), scale)
        store(plain / f"A{k}", array, (4, 3))
        fro = Decimal(good("norm", plain / f"A{k}").out.decode().strip())
        digits = 15 if scale > 1e-300 else 5  # the smallest doubles have few
        assert abs(fro / (Decimal(scale) * Decimal(30).sqrt()) - 1) < Decimal(10) ** -digits
        assert float(good("norm", plain / f"A{k}", "--norm", "max").out) == scale


def test_norms_show_nan_and_infinity(plain):
    array = normal((6, 5))
    array[5, 1] = -np.inf
    store(plain / "I", array, (4, 3))
    array[2, 4] = np.nan
    store(plain / "N", array, (4, 3))
    for kind in ("fro", "1", "inf", "max"):
        assert good("norm", plain / "I", "--norm", kind).out == b"inf\n"
        assert good("norm", plain / "N", "--norm", kind).out == b"nan\n"
        report = good("norm", plain / "N", "--norm", kind, "--json").json()
        assert report["norm"] is None and report["nan"] is True


def test_norm_of_vectors_cubes_and_nothing(plain):
    store(plain / "v", np.array([3.0, -4.0, 0.0]), (2,))
    store(plain / "c", np.arange(24.0).reshape(2, 3, 4), (1, 2, 3))
    store(plain / "e", np.zeros((0, 3)), (2, 2))
    for kind, want in (("fro", 5), ("1", 7), ("inf", 4), ("max", 4)):
        assert float(good("norm", plain / "v", "--norm", kind).out) == want
        assert good("norm", plain / "e", "--norm", kind).out == b"0\n"
    assert float(good("norm", plain / "c", "--norm", "max").out) == 23
    refused(2, "c: 3 axes, where this norm needs rows and columns", "norm", plain / "c", "--norm",
            "1")


# --- refusals ---

TWO = [["reblock", "--block", "2"], ["transpose"], ["scale", "--alpha", "2"], ["add"]]


def operands(words, plain, out="C"):
    """The command with as many inputs A as it takes."""
    inputs = [plain / "A"] * (2 if words[0] == "add" else 1)
    return [*words, *inputs, plain / out]


@pytest.mark.parametrize("words", TWO)
def test_outputs_are_new(place, words):
    store(place / "A", normal((4, 4)), (2, 2))
    good(*operands(words, place))
    before = load(place / "C")
    refused(7, "C: it exists already", *operands(words, place), hint="--force deletes it first")
    good(*operands(words, place), "--force")
    assert (load(place / "C") == before).all()
    refused(2, "A: the output is an input too", *operands(words, place, "A"), "--force")
    refused(2, "the output is an input too", *operands(words, place, "../" + place.name + "/A"),
            "--force")
    assert (load(place / "A") == normal((4, 4))).all()


@pytest.mark.parametrize("words", TWO)
def test_missing_inputs_are_named_before_anything_is_made(plain, words):
    refused(6, "A: no such matrix", *operands(words, plain))
    store(plain / "A", normal((4, 4)), (2, 2))
    (plain / "A/block_1_0").unlink()
    refused(6, "A/block_1_0: the block is missing (1 of 4 are)", *operands(words, plain),
            hint="fill_value")
    assert names(plain) == ["A"]


@pytest.mark.parametrize("words", TWO + [["norm"], ["trace"]])
def test_a_bad_block_is_named(plain, words):
    store(plain / "A", normal((4, 4)), (2, 2))
    (plain / "A/block_1_1").write_bytes(b"not an array")
    words = operands(words, plain) if words in TWO else [*words, plain / "A"]
    refused(2, "A/block_1_1: ", *words)


@pytest.mark.parametrize("code,says,words,hint", [
    (2, "--block is missing", ["reblock", "A", "B"], "--block 2048x2048"),
    (2, "--block: 3 axes, where the matrix has 2", ["reblock", "A", "B", "--block", "2x2x2"], None),
    (2, "--block: '0' is less than 1", ["reblock", "A", "B", "--block", "0"], None),
    (2, "--alpha is missing", ["scale", "A", "B"], "--alpha 0.5"),
    (2, "--alpha: 'x' is not a number", ["scale", "A", "B", "--alpha", "x"], None),
    (2, "--alpha: 'inf' is no finite number", ["scale", "A", "B", "--alpha", "inf"], None),
    (2, "A: a complex factor, where the type is float64", ["scale", "A", "B", "--alpha", "1j"],
     None),
    (2, "I: type int32", ["scale", "I", "B", "--alpha", "2"], None),
    (2, "S: shapes differ: axis 1 is 5, in A 4", ["add", "A", "S", "B"], None),
    (2, "F: types differ: A is float64, F is float32", ["add", "A", "F", "B"], None),
    (2, "O: it is cut into other blocks than A", ["add", "A", "O", "B"],
     "bm reblock O NEW --block 2x2 makes one that fits"),
    (2, "--norm: '2' is none of fro, 1, inf, max", ["norm", "A", "--norm", "2"], None),
    (2, "S: it is 4x5, where a trace needs a square matrix", ["trace", "S"], None),
    (2, "missing operand: got 1, usage: bm-transpose", ["transpose", "A"], None),
    (6, "nothing: no such matrix", ["norm", "nothing"], None),
    (2, "the directory around it does not exist", ["transpose", "A", "no/B"], "mkdir -p"),
])
def test_refusals_say_what_and_where(plain, code, says, words, hint):
    store(plain / "A", normal((4, 4)), (2, 2))
    store(plain / "S", normal((4, 5)), (2, 2))
    store(plain / "F", normal((4, 4)), (2, 2), dtype="f4")
    store(plain / "O", normal((4, 4)), (3, 2))
    store(plain / "I", np.ones((4, 4)), (2, 2), dtype="i4")
    before = names(plain)
    refused(code, says, *words, cwd=plain, hint=hint)
    assert names(plain) == before


def test_the_hint_of_other_blocks_does_what_it_says(plain):
    a = normal((5, 4))
    store(plain / "A", a, (2, 3))
    store(plain / "O", a, (5, 1))
    hint = bm("add", "A", "O", "C", cwd=plain).err.decode().splitlines()[1]
    words = hint.removeprefix("  hint: bm ").split(" makes ")[0].split()
    good(*words, cwd=plain)
    good("add", "A", "NEW", "C", cwd=plain)
    assert (load(plain / "C") == 2 * a).all()


@pytest.mark.parametrize("words", [["transpose", "A", "B"], ["scale", "--alpha", "2", "A", "B"],
                                   ["add", "A", "A", "B"], ["reblock", "A", "B", "--block", "3"]])
def test_what_is_left_unfinished_does_not_pass_for_whole(plain, words):
    """Blocks that have not been made yet are missing, and not of the fill value."""
    array = normal((6, 6))
    store(plain / "A", array, (2, 2), header={"fill_value": 5})
    good_block = (plain / "A/block_2_2").read_bytes()
    (plain / "A/block_2_2").write_bytes(good_block[:-1])
    refused(2, "A/block_2_2", *words, cwd=plain, hint="B is incomplete")
    assert json.loads((plain / "B/header.json").read_text())["fill_value"] is None
    refused(6, "the block is missing", "norm", "B", cwd=plain)
    (plain / "A/block_2_2").write_bytes(good_block)
    good(*words, "--force", cwd=plain)
    fill = json.loads((plain / "B/header.json").read_text())["fill_value"]
    assert fill == (5 if words[0] in ("transpose", "reblock") else 10)
    good("norm", "B", cwd=plain)


def test_a_failed_pass_says_what_became_of_the_output(plain):
    store(plain / "A", normal((4, 4)), (2, 2))
    (plain / "A/block_1_1").write_bytes(b"x")
    refused(2, "A/block_1_1", "transpose", "A", "B", cwd=plain, hint="B is incomplete")
    report = bm("transpose", "A", "B", "--json", "--force", cwd=plain).json()
    assert report["status"] == "error" and report["error"]["code"] == "EBADMSG"
    assert "block_1_1" in report["error"]["message"] and report["output"] == "B"
