"""What numpywren has written is read right: values, types, orders, and every byte."""

import hashlib
import json

import kit
import numpy as np
import pytest


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def expected(matrix, dtype):
    count = int(np.prod(matrix["shape"]))
    return np.arange(count).reshape(matrix["shape"]).astype(dtype)


def upload(bucket, folder):
    objects = kit.fixture_objects(folder)
    for key, body in objects:
        bucket.put(key, body)
    return dict(objects)


def block_files(objects, key):
    """(file name, object key) of each block of a matrix, from the object names alone."""
    base = f"{kit.PREFIX}{key}/"
    for name in objects:
        rest = name.removeprefix(base)
        if name.startswith(base) and rest != "header" and "/" not in rest:
            numbers = [int(n) for n in rest.rstrip("_").split("_")]
            index = [s // z for s, z in zip(numbers[0::3], numbers[2::3])]
            yield "block_" + "_".join(map(str, index)), name


def test_every_fixture_matrix_reads_as_numpywren_wrote_it(bucket, tmp_path):
    objects = upload(bucket, kit.FIXTURES / "objects")
    matrices = manifest(kit.FIXTURES)["matrices"]
    assert len(matrices) > 15
    with kit.Mount(bucket, tmp_path) as m:
        for matrix in matrices:
            folder = m.path / matrix["key"]
            head = json.loads((folder / "header.json").read_text())
            assert head["shape"] == matrix["shape"]
            assert head["shard_sizes"] == matrix["shard_sizes"]
            blocks = dict(block_files(objects, matrix["key"]))
            listed = {p.name for p in folder.iterdir()}
            assert listed == set(blocks) | {"header.json"}
            for name, key in blocks.items():
                stored = objects[key]
                assert (folder / name).read_bytes() == stored
                told = kit.run("sha256sum", folder / name).stdout.split()[0]
                assert told == hashlib.sha256(stored).hexdigest()
                assert (folder / name).stat().st_size == len(stored)
                check_views(folder, name)


def check_views(folder, name):
    """numpy reads the file, and both orders of its bare elements agree with it."""
    block = np.load(folder / name)
    little = block.dtype.newbyteorder("<")
    raw = np.fromfile(folder / f"{name}.raw", dtype=little)
    assert np.array_equal(raw, block.ravel("C"))
    column = np.fromfile(folder / f"{name}.F.raw", dtype=little)
    assert np.array_equal(column, block.ravel("F"))
    assert (folder / f"{name}.npy").read_bytes() == (folder / name).read_bytes()


def test_every_fixture_matrix_has_the_values_it_was_made_of(bucket, tmp_path):
    objects = upload(bucket, kit.FIXTURES / "objects")
    checked = 0
    with kit.Mount(bucket, tmp_path) as m:
        for matrix in manifest(kit.FIXTURES)["matrices"]:
            if not (matrix.get("values") or "").startswith("arange"):
                continue
            folder = m.path / matrix["key"]
            head = json.loads((folder / "header.json").read_text())
            whole = expected(matrix, head["dtype"])
            for name, _ in block_files(objects, matrix["key"]):
                index = [int(i) for i in name.split("_")[1:]]
                part = whole[tuple(slice(i * s, (i + 1) * s)
                                   for i, s in zip(index, matrix["shard_sizes"]))]
                assert np.array_equal(np.load(folder / name), part), (matrix["key"], name)
                checked += 1
    assert checked > 40


@pytest.mark.parametrize("program", ["cholesky_10_4", "gemm_8_8_8_4"])
def test_every_object_of_a_program_run_is_there(bucket, tmp_path, program):
    objects = upload(bucket, kit.FIXTURES / "programs" / program / "objects")
    keys = {k.removeprefix(kit.PREFIX).rsplit("/", 1)[0] for k in objects}
    with kit.Mount(bucket, tmp_path) as m:
        for key in keys:
            folder = m.path / key
            blocks = dict(block_files(objects, key))
            for name, obj in blocks.items():
                assert (folder / name).read_bytes() == objects[obj], (key, name)
                np.load(folder / name)
            assert {p.name for p in folder.iterdir()} == set(blocks) | {"header.json"}


def test_matrices_without_a_header_are_inferred(bucket, tmp_path):
    array = np.arange(70.0).reshape(10, 7).astype("<f4")
    kit.put_matrix(bucket, "plain", array, (4, 3), with_header=False)
    with kit.Mount(bucket, tmp_path) as m:
        head = json.loads((m.path / "plain/header.json").read_text())
        assert head["inferred"] is True
        assert (head["shape"], head["shard_sizes"], head["dtype"]) == ([10, 7], [4, 3], "<f4")
        assert np.array_equal(np.load(m.path / "plain/block_2_2"), array[8:, 6:])
        assert bucket.keys(f"{kit.PREFIX}plain/header") == []
