"""bm diff, ls, info, free and rm."""

import os

import numpy as np

from tools_kit import (bm, good, matrices, name, names, normal, plain, program, refused, store,
                       tolerance)  # noqa: F401


def test_diff_finds_no_difference_between_other_blocks_and_types(matrices):
    array = normal((10, 7)).astype("f4").astype("f8")
    store(matrices / "A", array, (4, 3))
    store(matrices / "B", array, (3, 7), dtype="f4")
    store(matrices / "Z", array.astype("c16"), (10, 2), order="F")
    for other in "ABZ":
        result = good("diff", matrices / "A", matrices / other)
        assert result.out == b"" and result.err == b""


def test_diff_tells_where_and_how_much(matrices):
    a = np.zeros((6, 5))
    b = a.copy()
    a[1, 2], b[1, 2] = 1.5, 1.25
    a[5, 4], b[5, 4] = -2, 2
    store(matrices / "A", a, (2, 2))
    store(matrices / "B", b, (4, 4))
    result = bm("diff", matrices / "A", matrices / "B")
    assert result.code == 1
    assert result.out.decode().splitlines() == [
        "different: 2 of 30 elements",
        "first: (1, 2): 1.5, 1.25: abs 0.25, rel 0.167",
        "worst: (5, 4): -2, 2: abs 4, rel 2"]
    assert bm("diff", "-q", matrices / "A", matrices / "B").out == b""
    report = bm("diff", "--json", matrices / "A", matrices / "B").json()
    assert report["status"] == "differs" and report["different"] == 2
    assert report["first"]["index"] == [1, 2] and report["max_abs_error"] == 4
    assert bm("diff", "--atol", "0.3", "--json", matrices / "A",
              matrices / "B").json()["different"] == 1
    assert bm("diff", "--atol", "4", matrices / "A", matrices / "B").code == 0
    assert bm("diff", "--rtol", "2", matrices / "A", matrices / "B").code == 0


def test_diff_of_nan(matrices):
    array = np.array([[np.nan, 1.0]])
    store(matrices / "A", array, (1, 2))
    store(matrices / "B", array, (1, 1))
    result = bm("diff", matrices / "A", matrices / "B")
    assert result.code == 1 and b"abs inf" in result.out
    assert good("diff", "--equal-nan", matrices / "A", matrices / "B").out == b""
    report = bm("diff", "--json", matrices / "A", matrices / "B").json()
    assert report["max_abs_error"] is None and report["first"]["a"] == "nan"


def test_diff_counts_missing_blocks(matrices):
    store(matrices / "A", np.ones((4, 4)), (2, 2))
    store(matrices / "B", np.ones((4, 4)), (2, 2))
    os.unlink(matrices / "A/block_0_0")
    result = bm("diff", matrices / "A", matrices / "B")
    assert result.code == 1 and result.out == b"only in the second: 4 elements\n"
    os.unlink(matrices / "B/block_0_0")
    result = good("diff", matrices / "A", matrices / "B")
    assert result.err.decode() == "bm-diff: 4 elements are missing in both\n"


def test_diff_refuses_what_cannot_be_compared(matrices):
    store(matrices / "A", np.ones((4, 4)), (2, 2))
    store(matrices / "S", np.ones((4, 5)), (2, 2))
    store(matrices / "I", np.ones((4, 4), "i8"), (2, 2))
    refused(2, "shapes differ: axis 1 is 5, in", "diff", matrices / "A", matrices / "S")
    refused(2, "type int64 cannot be compared with float64", "diff", matrices / "A", matrices / "I")
    refused(6, "no such matrix", "diff", matrices / "A", matrices / "N")
    refused(2, "a tolerance is never negative", "diff", matrices / "A", matrices / "A", "--atol=-1")


def test_ls_lists_matrices_below_a_directory(matrices):
    store(matrices / "B", np.ones((4, 4), "f4"), (2, 2))
    (matrices / "deep/er").mkdir(parents=True)
    store(matrices / "deep/er/A b", np.ones((3,)), (2,))
    os.unlink(matrices / "B/block_1_1")
    assert good("ls", matrices).out.decode() == "B\ndeep/er/A b\n"
    assert good("ls", cwd=matrices).out.decode() == "B\ndeep/er/A b\n"
    lines = good("ls", "-l", matrices).out.decode().splitlines()
    assert lines[0].split() == ["4x4", "2x2", "float32", "3/4", "B"]
    assert lines[1].split(maxsplit=4) == ["3", "2", "float64", "2/2", "deep/er/A b"]
    report = good("ls", "--json", matrices).json()
    assert [m["name"] for m in report["matrices"]] == ["B", "deep/er/A b"]
    assert report["matrices"][0]["blocks_present"] == 3


def test_ls_lists_blocks_and_missing_ones_in_order(matrices):
    store(matrices / "A", np.ones((12, 3)), (1, 2))
    for gone in ("block_2_0", "block_10_1"):
        os.unlink(matrices / "A" / gone)
    present = good("ls", matrices / "A").out.decode().split()
    assert present[:4] == ["block_0_0", "block_0_1", "block_1_0", "block_1_1"]
    assert present[-1] == "block_11_1" and len(present) == 22
    assert good("ls", "--missing", matrices / "A").out == b"block_2_0\nblock_10_1\n"
    assert good("ls", "--missing", "--json", matrices / "A").json()["missing"] == [
        "block_2_0", "block_10_1"]
    assert good("ls", "-l", matrices / "A").out.decode().split("\n")[0].split() == [
        "1x2", "144", "block_0_0"]


def test_ls_goes_on_after_a_broken_matrix(plain):
    store(plain / "A", np.ones((2, 2)), (2, 2))
    (plain / "broken").mkdir()
    (plain / "broken/header.json").write_text("{}")
    store(plain / "Z", np.ones((2, 2)), (2, 2))
    result = bm("ls", "-l", plain)
    assert result.code == 2
    assert [line.split()[-1] for line in result.out.decode().splitlines()] == ["A", "Z"]
    assert "broken/header.json: field 'shape' is missing" in result.err.decode()


def test_ls_of_strange_names_and_links(plain):
    store(plain / "new\nline", np.ones((2, 2)), (2, 2))
    store(plain / os.fsdecode(b"not\xffutf8"), np.ones((2, 2)), (2, 2))
    os.symlink("new\nline", plain / "link")
    os.symlink("..", plain / "loop")
    (plain / ".hidden").mkdir()
    store(plain / ".hidden/A", np.ones((2, 2)), (2, 2))
    assert good("ls", plain).out == b"link\nnew\\x0aline\nnot\xffutf8\n"
    report = good("ls", "--json", plain).json()
    assert [m["name"] for m in report["matrices"]] == ["link", "new\nline", "not\ufffdutf8"]
    result = refused(6, "no such matrix", "info", plain / "no\nsuch")
    assert b"no?such" in result.err


def test_ls_refuses_what_is_neither(matrices, tmp_path):
    refused(6, "nothing: no such matrix", "ls", matrices / "nothing")
    (tmp_path / "file").write_text("x")
    refused(2, "not a matrix: a matrix is a directory", "ls", tmp_path / "file")
    refused(2, "not a matrix: it has no header.json", "ls", "--missing", matrices)


def test_info_fits_one_screen(matrices):
    store(matrices / "A", np.ones((10, 7), "c8"), (4, 3), header={"origin": "lab 7"})
    os.unlink(matrices / "A/block_2_2")
    lines = good("info", matrices / "A").out.decode().splitlines()
    fields = dict(line.split(": ", 1) for line in lines)
    assert fields["shape"] == "10x7" and fields["block"] == "4x3" and fields["grid"] == "3x3"
    assert fields["dtype"] == "complex64 (<c8)"
    assert fields["blocks"] == "8 of 9 (1 missing)"
    assert fields["logical"] == "560 bytes (560 B)"
    assert fields["stored"] == f"{8 * 128 + 68 * 8} bytes (1.5 KiB)"
    assert fields["inferred"] == "no"
    assert fields["origin"] == '"lab 7"'
    assert len(lines) < 24
    report = good("info", "--json", matrices / "A").json()
    assert report["blocks"] == {"total": 9, "present": 8, "missing": 1, "outside": 0,
                                "misnamed": 0}
    assert report["bytes_logical"] == 560 and report["inferred"] is False
    assert report["extra"] == {"origin": "lab 7"}


def test_info_tells_what_else_is_there(plain):
    store(plain / "A", np.ones((4, 4)), (2, 2))
    (plain / "A/.bm-0123456789abcdef").write_text("left")
    (plain / "A/notes").write_text("mine")
    (plain / "A/block_9_9").write_text("outside")
    text = good("info", plain / "A").out.decode()
    assert "scratch files: 1\n" in text
    assert "other files: 1\n" in text
    assert "outside the grid: 1 block\n" in text


def test_info_of_stored_objects_says_how_to_read_them(plain):
    (plain / "A").mkdir()
    (plain / "A/header").write_text("{}")
    refused(2, "not a matrix: it has no header.json", "info", plain / "A", hint="bmfs")


def test_free_removes_the_blocks_and_keeps_the_header(matrices):
    store(matrices / "A", np.ones((4, 4)), (2, 2))
    result = good("free", "-n", matrices / "A")
    assert result.err.decode() == f"bm-free: {matrices}/A: would remove 4 blocks, 640 B\n"
    assert len(names(matrices / "A")) == 5
    result = good("free", matrices / "A")
    assert result.err.decode() == f"bm-free: {matrices}/A: removed 4 blocks, 640 B\n"
    assert names(matrices / "A") == ["header.json"]
    report = good("free", "--json", matrices / "A").json()
    assert report["blocks_removed"] == 0


def test_rm_removes_matrices_and_nothing_else(matrices):
    for key in "ABC":
        store(matrices / key, np.ones((4, 4)), (2, 2))
    (matrices / "plain").mkdir()
    good("rm", "--dry-run", matrices / "A", matrices / "B")
    assert names(matrices) == ["A", "B", "C", "plain"]
    report = good("rm", "--json", matrices / "A", f"{matrices}/B/").json()
    assert report["blocks_removed"] == 8 and len(report["inputs"]) == 2
    assert names(matrices) == ["C", "plain"]
    result = bm("rm", matrices / "plain", matrices / "none", matrices / "C")
    assert result.code == 6
    assert names(matrices) == ["plain"]
    assert b"plain: not a matrix" in result.err and b"none: no such matrix" in result.err
    good("rm", "-f", matrices / "none")


def test_rm_leaves_a_directory_with_other_files(plain):
    store(plain / "A", np.ones((4, 4)), (2, 2))
    (plain / "A/notes").write_text("mine")
    refused(2, "A: it holds what belongs to no matrix ('notes')", "rm", plain / "A", hint="bm free")
    assert len(names(plain / "A")) == 6
    os.unlink(plain / "A/notes")
    (plain / "A/.bm-left").write_text("by a killed program")
    os.symlink("A", plain / "link")
    refused(2, "a symbolic link; name the matrix itself", "rm", f"{plain}/link/")
    good("rm", plain / "A")
    assert names(plain) == ["link"]
