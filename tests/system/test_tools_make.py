"""bm create, import and export: values against numpy, refusals."""

import json
import os
import stat

import numpy as np
import pytest

from tools_kit import bm, good, load, matrices, names, normal, plain, refused  # noqa: F401

TYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]


def test_create_makes_an_empty_matrix(matrices):
    result = good("create", matrices / "A", "--shape", "10x7", "--block", "4x3")
    assert result.out == b""
    assert result.err.decode() == (
        f"bm-create: {matrices}/A: 10x7 float64, 0 of 9 blocks\n")
    header = json.loads((matrices / "A/header.json").read_text())
    assert header["shape"] == [10, 7]
    assert header["shard_sizes"] == [4, 3]
    assert header["dtype"] == "<f8"
    assert names(matrices / "A") == ["header.json"]


@pytest.mark.parametrize("dtype", TYPES + [">f8", ">i4"])
def test_create_fills_blocks_of_every_type(matrices, dtype):
    good("create", matrices / "A", "--shape", "5x3x2", "--block", "2x2x2", "--dtype", dtype,
         "--fill", "1")
    array = load(matrices / "A")
    assert array.dtype == np.dtype(dtype)
    assert (array == 1).all()


def test_create_rand_depends_on_the_seed_and_not_on_the_blocks(matrices):
    words = ["--shape", "30x20", "--rand", "normal", "--seed"]
    good("create", matrices / "A", "--block", "30x20", *words, "7")
    good("create", matrices / "B", "--block", "7x6", *words, "7")
    good("create", matrices / "C", "--block", "7x6", *words, "8")
    a, b, c = (load(matrices / x) for x in "ABC")
    assert (a == b).all() and (a != c).all()


def test_create_rand_is_philox_as_numpy_has_it(matrices):
    good("create", matrices / "U", "--shape", "4x5", "--block", "3", "--rand", "uniform",
         "--seed", "12345")
    good("create", matrices / "N", "--shape", "4x5", "--block", "3", "--rand", "normal",
         "--seed", "12345", "--dtype", "c16")
    uniform, pairs = load(matrices / "U").ravel(), load(matrices / "N").ravel()
    for x in range(20):
        # numpy counts once before it takes a block of four words.
        counter = (x - 1) % 2**256
        words = np.random.Philox(key=12345, counter=counter).random_raw(4)
        assert uniform[x] == float(words[0] >> np.uint64(11)) * 2.0**-53
        u = float((words[0] >> np.uint64(11)) + np.uint64(1)) * 2.0**-53
        v = float(words[1] >> np.uint64(11)) * 2.0**-53
        want = np.sqrt(-2 * np.log(u)) * np.exp(2j * np.pi * v)
        assert abs(pairs[x] - want) < 1e-14


def test_create_eye_and_default_blocks(matrices):
    good("create", matrices / "I", "--shape", "5x4", "--eye", "--dtype", "f4")
    assert (load(matrices / "I") == np.eye(5, 4, dtype="f4")).all()
    header = json.loads((matrices / "I/header.json").read_text())
    assert header["shard_sizes"] == [5, 4]
    good("create", matrices / "L", "--shape", "9Kix3")
    header = json.loads((matrices / "L/header.json").read_text())
    assert header["shape"] == [9216, 3] and header["shard_sizes"] == [4096, 3]


def test_create_fill_value_stands_for_missing_blocks(matrices):
    for number, json_value in [("0", 0), ("nan", "NaN"), ("-inf", "-Infinity"), ("2.5", 2.5)]:
        good("create", matrices / "F", "--shape", "3x3", "--fill-value", number, "--force")
        header = json.loads((matrices / "F/header.json").read_text())
        assert header["fill_value"] == json_value
        good("export", matrices / "F", matrices.parent / "f.npy", "--force")
        want = np.full((3, 3), float(number))
        np.testing.assert_array_equal(np.load(matrices.parent / "f.npy"), want)
    good("create", matrices / "Z", "--shape", "2", "--dtype", "c16", "--fill-value", "1-2j")
    assert json.loads((matrices / "Z/header.json").read_text())["fill_value"] == [1, -2]


@pytest.mark.parametrize("shape,blocks", [("0x5", 0), ("1x1", 1), ("0", 0), ("7", 1),
                                          ("2x3x4x5", 1)])
def test_create_takes_small_and_empty_shapes(matrices, shape, blocks):
    block = "x".join("9" for _ in shape.split("x"))
    good("create", matrices / "A", "--shape", shape, "--block", block, "--rand", "uniform")
    assert len(names(matrices / "A")) == 1 + blocks
    good("info", matrices / "A")
    good("diff", matrices / "A", matrices / "A")


def test_create_refuses_what_is_there(matrices):
    good("create", matrices / "A", "--shape", "4x4", "--block", "2", "--fill", "1")
    refused(7, "A: it exists already", "create", matrices / "A", "--shape", "2x2",
            hint="--force deletes it first")
    good("create", matrices / "A", "--shape", "2x2", "--force")
    assert names(matrices / "A") == ["header.json"]


@pytest.mark.parametrize("words,says", [
    ([], "--shape is missing"),
    (["--shape", "10x"], "--shape: '' is not a number of elements"),
    (["--shape", "1.5x2"], "--shape: '1.5' is not a number of elements"),
    (["--shape", "-1x2"], "--shape: '-1' is less than 0"),
    (["--shape", "10x10", "--block", "0"], "--block: '0' is less than 1"),
    (["--shape", "10x10", "--block", "2x2x2"], "--block: 3 axes, where the matrix has 2"),
    (["--shape", "1000000000000x1000000000000"], "too many elements"),
    (["--shape", "x".join(["1"] * 33)], "more than 32 axes"),
    (["--shape", "2x2", "--dtype", "f16"], "--dtype: type 'f16'"),
    (["--shape", "2x2", "--rand", "cauchy"], "--rand: 'cauchy' is neither normal nor uniform"),
    (["--shape", "2x2", "--rand", "normal", "--dtype", "i4"], "not int32"),
    (["--shape", "2x2", "--fill", "1", "--eye"], "only one of"),
    (["--shape", "2x2", "--fill", "300", "--dtype", "u1"], "300 is no value of type uint8"),
    (["--shape", "2x2", "--fill", "1j"], "a complex number, where the type is float64"),
    (["--shape", "2x2", "--fill", "red"], "--fill: 'red' is not a number"),
    (["--shape", "2", "--eye"], "only a matrix of 2 axes has a diagonal"),
    (["--shape", "2x2", "--progress", "loud", "--eye"], "--progress: 'loud'"),
])
def test_create_refuses_impossible_matrices_and_leaves_nothing(matrices, words, says):
    refused(2, says, "create", matrices / "A", *words)
    assert names(matrices) == []


def test_create_needs_a_directory_around_it(matrices):
    refused(2, "the directory around it does not exist", "create", matrices / "no/A", "--shape",
            "2")


@pytest.mark.parametrize("dtype", TYPES + [">f8", ">c8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_import_and_export_keep_every_value(matrices, tmp_path, dtype, order):
    array = np.asarray((np.arange(10 * 7) % 2 if dtype == "?" else np.arange(10 * 7) + 30)
                       .reshape(10, 7).astype(dtype), order=order)
    np.save(tmp_path / "x.npy", array)
    good("import", tmp_path / "x.npy", matrices / "A", "--block", "4x3")
    back = load(matrices / "A")
    assert back.dtype == array.dtype
    assert (back == array).all()
    good("export", matrices / "A", tmp_path / "y.npy")
    out = np.load(tmp_path / "y.npy")
    assert out.dtype == array.dtype.newbyteorder("<")
    assert out.flags.c_contiguous and (out == array).all()


@pytest.mark.parametrize("shape,block", [((9,), (4,)), ((1, 1), (5, 5)), ((5, 4, 3), (2, 3, 2)),
                                         ((3, 2, 2, 3), (2, 1, 2, 2)), ((0, 4), (2, 2))])
@pytest.mark.parametrize("memory", ["1", "1MiB"])
def test_import_and_export_of_any_number_of_axes(matrices, tmp_path, shape, block, memory):
    array = normal(shape)
    np.save(tmp_path / "x.npy", array)
    np.save(tmp_path / "f.npy", np.asfortranarray(array))
    sizes = "x".join(str(b) for b in block)
    for source in "xf":
        good("import", tmp_path / f"{source}.npy", matrices / "A", "--block", sizes, "--memory",
             memory, "--force")
        assert (load(matrices / "A") == array).all()
        good("export", matrices / "A", tmp_path / "y.npy", "--memory", memory, "--force")
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), array)


def test_export_is_what_numpy_would_write(matrices, tmp_path):
    np.save(tmp_path / "x.npy", normal((10, 7)))
    good("import", tmp_path / "x.npy", matrices / "A", "--block", "4")
    good("export", matrices / "A", tmp_path / "y.npy")
    assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
    assert good("export", matrices / "A", "-").out == (tmp_path / "x.npy").read_bytes()


def test_raw_files_go_both_ways(matrices, tmp_path):
    array = normal((10, 7), dtype="f4")
    array.tofile(tmp_path / "c.raw")
    np.asfortranarray(array).T.tofile(tmp_path / "f.bin")
    shape = ["--shape", "10x7", "--dtype", "f4", "--block", "4x3"]
    good("import", tmp_path / "c.raw", matrices / "C", *shape)
    good("import", tmp_path / "f.bin", matrices / "F", *shape, "--order", "F")
    assert (load(matrices / "C") == array).all()
    assert (load(matrices / "F") == array).all()
    good("export", matrices / "F", tmp_path / "out.raw")
    assert (tmp_path / "out.raw").read_bytes() == array.tobytes()
    assert good("export", "--format", "raw", matrices / "F", "-").out == array.tobytes()


def test_import_reads_standard_input(matrices, tmp_path):
    array = normal((10, 7))
    np.save(tmp_path / "x.npy", array)
    good("import", "-", matrices / "A", "--block", "4", data=(tmp_path / "x.npy").read_bytes())
    assert (load(matrices / "A") == array).all()
    good("import", "-", matrices / "B", "--format", "raw", "--shape", "10x7", data=array.tobytes())
    assert (load(matrices / "B") == array).all()
    with open(tmp_path / "x.npy", "rb") as f:
        good("import", "-", matrices / "C", stdin=f)
    assert (load(matrices / "C") == array).all()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_import_reads_every_npy_version(matrices, tmp_path, version):
    array = normal((3, 4))
    with open(tmp_path / "x.npy", "wb") as f:
        np.lib.format.write_array(f, array, version=version)
    good("import", tmp_path / "x.npy", matrices / "A")
    assert (load(matrices / "A") == array).all()


def test_import_says_what_is_wrong_with_a_file(matrices, tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "cut.npy", normal((10, 7)))
    os.truncate(tmp_path / "cut.npy", 500)
    np.save(tmp_path / "scalar.npy", np.float64(1))
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    normal((3, 3)).tofile(tmp_path / "x.raw")
    to = matrices / "A"
    refused(6, "none.npy: cannot open: No such file", "import", tmp_path / "none.npy", to)
    refused(2, "text.npy: npy: it does not start with npy's magic bytes", "import",
            tmp_path / "text.npy", to)
    refused(2, "cut.npy: 500 bytes, where its shape and type need 688", "import",
            tmp_path / "cut.npy", to)
    refused(2, "scalar.npy: a single number, not a matrix", "import", tmp_path / "scalar.npy", to)
    refused(2, "Python objects, not numbers", "import", tmp_path / "object.npy", to)
    refused(2, "a raw file needs --shape", "import", tmp_path / "x.raw", to)
    refused(2, "x.raw: 72 bytes, where its shape and type need 32", "import", tmp_path / "x.raw",
            to, "--shape", "2x2")
    refused(2, "npy says it", "import", tmp_path / "cut.npy", to, "--shape", "2x2")
    refused(2, "--order: 'K' is neither C nor F", "import", tmp_path / "x.raw", to, "--shape",
            "3x3", "--order", "K")
    refused(2, "--format: 'csv' is neither npy nor raw", "import", tmp_path / "x.raw", to,
            "--format", "csv")
    refused(2, "a directory, not a file", "import", tmp_path, to)
    assert names(matrices) == []


def test_import_of_a_stream_that_ends_early_says_so(matrices, tmp_path):
    np.save(tmp_path / "x.npy", normal((10, 7)))
    data = (tmp_path / "x.npy").read_bytes()
    refused(2, "standard input: it ends before the matrix does", "import", "-", matrices / "A",
            "--block", "4", "--progress", "none", data=data[:400])
    assert "block_0_0" in names(matrices / "A")  # what was complete is there
    assert not any(n.startswith(".bm-") for n in names(matrices / "A"))
    refused(2, "standard input: it goes on after the matrix has ended", "import", "-",
            matrices / "B", "--format", "raw", "--shape", "3x3", data=data)
    refused(2, "which is more than --memory gives", "import", "-", matrices / "C", "--memory", "8",
            data=data, hint="import from a file")


def test_import_refuses_what_is_there(matrices, tmp_path):
    np.save(tmp_path / "x.npy", normal((4, 4)))
    good("import", tmp_path / "x.npy", matrices / "A")
    refused(7, "A: it exists already", "import", tmp_path / "x.npy", matrices / "A")
    good("import", tmp_path / "x.npy", matrices / "A", "--force")


def test_export_appears_when_it_is_complete(matrices, tmp_path):
    good("create", matrices / "A", "--shape", "6x6", "--block", "2", "--fill", "3")
    os.unlink(matrices / "A/block_2_1")
    refused(6, "A/block_2_1: the block is missing", "export", matrices / "A", tmp_path / "a.npy")
    assert not any(n.startswith(("a.npy", ".bm-")) for n in names(tmp_path))
    good("export", matrices / "A", tmp_path / "a.npy", "--fill", "nan")
    array = np.load(tmp_path / "a.npy")
    assert np.isnan(array[4:6, 2:4]).all() and np.isnan(array).sum() == 4


def test_export_refuses_to_replace(matrices, tmp_path):
    good("create", matrices / "A", "--shape", "2x2", "--fill", "3")
    (tmp_path / "a.npy").write_text("mine")
    refused(7, "a.npy: it exists already", "export", matrices / "A", tmp_path / "a.npy",
            hint="--force replaces it")
    assert (tmp_path / "a.npy").read_text() == "mine"
    os.symlink("a.npy", tmp_path / "link.npy")
    good("export", matrices / "A", tmp_path / "link.npy", "--force")
    assert os.path.islink(tmp_path / "link.npy")
    assert (np.load(tmp_path / "a.npy") == 3).all()


def test_export_never_replaces_what_is_no_file(plain, tmp_path):
    good("create", plain / "A", "--shape", "2x2", "--fill", "3")
    os.mkfifo(tmp_path / "fifo")
    for target in (tmp_path / "fifo", tmp_path, "/dev/null"):
        refused(2, "it is there and no regular file", "export", plain / "A", target, "--force",
                hint="standard output")
    assert stat.S_ISFIFO(os.stat(tmp_path / "fifo").st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    refused(2, "the directory around it does not exist", "export", plain / "A",
            tmp_path / "no/a.npy")
    refused(2, "cannot both go to standard output", "export", "--json", plain / "A", "-")
