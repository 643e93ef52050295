"""Factors that lack blocks, and blocks named .npy: never a number made of what is not there."""

import json
import os
import shutil

import numpy as np
import pytest

from tools_kit import bm, good, load, matrices, names, normal, plain, refused, store  # noqa: F401

LOWER = {"fill_value": 0, "triangular": "lower"}
UPPER = {"fill_value": 0, "triangular": "upper"}


def factor(path, array, header, gone):
    """A triangular matrix in blocks of 2 x 2 that lacks some."""
    store(path, array, (2, 2), header=header)
    for name in gone:
        os.unlink(path / name)
    return path


@pytest.mark.parametrize("fields,absent,gone", [
    (LOWER, "block_0_1", "block_1_0"), (LOWER, "block_0_1", "block_1_1"),
    (UPPER, "block_1_0", "block_0_1"), (UPPER, "block_1_0", "block_0_0")])
def test_a_missing_block_of_the_triangle_is_no_zero(matrices, tmp_path, fields, absent, gone):
    array = np.tril(np.ones((4, 4))) if fields is LOWER else np.triu(np.ones((4, 4)))
    whole = factor(matrices / "W", array, fields, [absent])
    good("export", whole, tmp_path / "w.npy")
    assert (np.load(tmp_path / "w.npy") == array).all()
    part = factor(matrices / "P", array, fields, [absent, gone])
    refused(6, f"P/{gone}: the block is missing", "export", part, tmp_path / "p.npy")
    assert not (tmp_path / "p.npy").exists()
    store(matrices / "V", np.ones((4, 2)), (2, 2))
    for words in (["norm", part], ["scale", part, matrices / "C", "--alpha", "2"],
                  ["reblock", part, matrices / "C", "--block", "4"],
                  ["transpose", part, matrices / "C"], ["map", part, matrices / "C", "--", "cat"],
                  ["gemm", part, part, matrices / "C"], ["trsm", part, matrices / "V",
                                                         matrices / "C"]):
        refused(6, f"P/{gone}: the block is missing", *words)
    assert not (matrices / "C").exists()
    result = bm("diff", whole, part)
    assert result.code == 1 and result.out == b"only in the first: 4 elements\n"


def test_a_missing_block_gets_a_hint_that_helps(plain):
    part = factor(plain / "P", np.tril(np.ones((4, 4))), LOWER, ["block_0_1", "block_1_0"])
    result = refused(6, "block_1_0: the block is missing", "gemm", part, part, plain / "C",
                     hint="bm ls --missing lists them")
    assert b"fill_value" not in result.err
    assert good("ls", "--missing", part).out == b"block_1_0\n"
    assert "blocks: 2 of 4 (1 missing)\n" in good("info", part).out.decode()
    assert good("fsck", "--json", part).json()["blocks_missing"] == 1


def test_what_a_factor_need_not_have_is_not_missing(matrices):
    a = normal((6, 6))
    store(matrices / "A", a @ a.T + 6 * np.eye(6), (2, 2))
    good("chol", matrices / "A", matrices / "L")
    assert good("ls", "--missing", matrices / "L").out == b""
    assert "blocks: 6 of 9 (0 missing)\n" in good("info", matrices / "L").out.decode()
    os.unlink(matrices / "L/block_0_0")
    assert good("info", "--json", matrices / "L").json()["blocks"]["missing"] == 1
    refused(6, "L/block_0_0: the block is missing", "logdet", matrices / "L")
    refused(2, "A: not a factor: its header does not say \"triangular\"", "logdet", matrices / "A",
            hint="bm chol")


def test_blocks_named_npy_are_told_from_missing_ones(plain, tmp_path):
    array = np.ones((4, 4))
    store(plain / "A", array, (2, 2))
    for header in ({}, {"fill_value": 0}):
        store(plain / "B", array, (2, 2), header=header)
        for name in names(plain / "B"):
            if name.startswith("block"):
                os.rename(plain / "B" / name, plain / "B" / f"{name}.npy")
        for words in (["diff", plain / "A", plain / "B"], ["diff", plain / "B", plain / "A"],
                      ["export", plain / "B", tmp_path / "b.npy"], ["norm", plain / "B"],
                      ["gemm", plain / "A", plain / "B", plain / "C", "--force"],
                      ["reblock", plain / "B", plain / "C", "--block", "4", "--force"]):
            some = "" if words[0] == "gemm" else "0_0"  # its readers run beside each other
            refused(6, f"B/block_{some}", *words, hint=f"there is a block_{some}")
            refused(6, "the block is missing", *words, hint=".npy: outside a mount")
        said = good("ls", plain / "B")
        assert said.out == b"" and b"4 blocks named .npy" in said.err
        assert "named .npy, as on mounts only: 4 blocks\n" in good("info", plain / "B").out.decode()
        result = bm("fsck", plain / "B")
        assert result.code != 0 and "B: 4 blocks named .npy" in (result.err + result.out).decode()
        for name in names(plain / "B"):
            os.unlink(plain / "B" / name)
        os.rmdir(plain / "B")


def test_force_deletes_nothing_for_inputs_that_lack_a_block(plain):
    """A fill value stands neither for a block of another name nor for one of the triangle."""
    store(plain / "A", np.ones((4, 4)), (2, 2), header={"fill_value": 0})
    store(plain / "I", np.eye(4), (2, 2))
    store(plain / "C", np.full((4, 4), 7.0), (2, 2))
    os.rename(plain / "A/block_1_0", plain / "A/block_1_0.npy")
    refused(6, "A/block_1_0: the block is missing", "gemm", "--force", plain / "A", plain / "I",
            plain / "C", hint="there is a block_1_0.npy")
    store(plain / "L", np.eye(4), (2, 2), header={"fill_value": 0, "triangular": "lower"})
    for absent in ("block_0_1", "block_1_1"):
        os.unlink(plain / "L" / absent)
    refused(6, "L/block_1_1: the block is missing", "trsm", "--force", "--uplo", "u", plain / "L",
            plain / "I", plain / "C")
    assert (load(plain / "C") == 7).all()
    shutil.copy(plain / "I/block_1_0", plain / "A/block_1_0")  # then the other name is of no matter
    good("gemm", "--force", plain / "A", plain / "I", plain / "C")


def test_a_factorization_that_finished_no_block_leaves_no_matrix(matrices):
    store(matrices / "A", -np.eye(6), (2, 2))
    refused(3, "leading minor of order 1 is not positive definite", "chol", matrices / "A",
            matrices / "L")
    assert not (matrices / "L").exists()
    a = np.eye(6)
    a[4, 4] = -1
    store(matrices / "B", a, (2, 2))
    refused(3, "leading minor of order 5", "chol", matrices / "B", matrices / "M")
    assert "block_0_0" in names(matrices / "M")
    refused(3, "leading minor of order 5", "chol", "--resume", matrices / "B", matrices / "M")
    assert "block_0_0" in names(matrices / "M")


def test_what_resume_goes_on_with_says_how_much_is_stored(plain):
    store(plain / "A", np.ones((4, 4)), (2, 2))
    np.save(plain / "A/b.npy", np.ones((3, 3)))
    os.rename(plain / "A/b.npy", plain / "A/block_1_1")
    refused(2, "A/block_1_1", "gemm", plain / "A", plain / "A", plain / "C", "--memory", 4096,
            hint="C is incomplete, 0 of 4 blocks are stored: the same command with --resume")


def test_resume_says_in_words_what_differs(plain):
    for key in "ABD":
        store(plain / key, np.ones((4, 4), "c16"), (2, 2))
    a, b, c, d = (plain / key for key in "ABCD")
    good("gemm", a, b, c, "--alpha", "2")
    for says, words in (("--alpha 2, not 1+2j", [a, b, c, "--alpha", "1+2j"]),
                        ("--transa n, not t", [a, b, c, "--alpha", "2", "--transa", "t"]),
                        ("the input B, not D", [a, d, c, "--alpha", "2"]),
                        ("--beta 0, not 0.5", [a, b, c, "--alpha", "2", "--beta", "0.5",
                                               "--add", d])):
        refused(2, f"C: it was begun with {says}", "gemm", "--resume", *words, hint="--force")
