"""The main job from end to end: matrices made and multiplied through a mount, read back from the
bucket as numpywren reads it, with no code of ours."""

import base64
import io
import itertools
import json
import pickle
import subprocess

import kit
import numpy as np
import pytest
from tools_kit import SANITIZED, good, normal, program, store

RESIDUAL_MAX = 30
TOOL_MEMORY = 96 << 20        # bm-gemm --memory: twelve blocks of 8 MiB
TOOL_OVERHEAD_MAX = 96 << 20  # the program, its threads, and OpenBLAS's buffers for each of them
MOUNT_MEMORY_MAX = 256 << 20  # bmfs --memory, as it is without the option


def stored_matrix(bucket, key):
    """A matrix as numpywren would read it: the header's pickled dtype, blocks by their bounds."""
    prefix = f"{kit.PREFIX}{key}/"
    header = json.loads(bucket.get(prefix + "header"))
    dtype = np.dtype(pickle.loads(base64.b64decode(header["dtype"])))
    shape, shards = header["shape"], header["shard_sizes"]
    array = np.empty(shape, dtype)
    keys = {prefix + "header"}
    for index in itertools.product(*(range(-(-n // s)) for n, s in zip(shape, shards))):
        name = prefix + kit.object_name(index, shape, shards)
        part = np.lib.format.read_array(io.BytesIO(bucket.get(name)),
                                        allow_pickle=False)
        assert part.dtype == dtype
        array[tuple(slice(i * s, (i + 1) * s) for i, s in zip(index, shards))] = part
        keys.add(name)
    assert set(bucket.keys(prefix)) == keys  # the header and blocks, nothing else
    return array


def residual(op_a, op_b, c):
    """How far C is from the product, in units of rounding: about 1 when all is well."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((c.shape[1], 4)).astype(c.dtype)
    wide = np.result_type(c.dtype, np.float64)
    y = op_a.astype(wide) @ (op_b.astype(wide) @ x.astype(wide))
    error = np.linalg.norm(c.astype(wide) @ x.astype(wide) - y)
    scale = np.linalg.norm(op_a) * np.linalg.norm(op_b) * np.linalg.norm(x)
    return error / (scale * np.finfo(c.dtype).eps)


def test_matrices_made_here_are_numpywrens(mount, bucket, tmp_path):
    rng = np.random.default_rng(3)
    whole = rng.standard_normal((37, 29)).astype("f4")
    np.save(tmp_path / "whole.npy", whole)
    good("create", mount.path / "created", "--shape=50x40", "--block=16x12", "--rand=normal")
    good("import", tmp_path / "whole.npy", mount.path / "imported", "--block=10x8")
    kit.run("cp", "-r", mount.path / "imported", mount.path / "copied")
    store(mount.path / "saved", whole.astype("c16"), (20, 29))
    assert (stored_matrix(bucket, "imported") == whole).all()
    assert (stored_matrix(bucket, "copied") == whole).all()
    saved = stored_matrix(bucket, "saved")
    assert saved.dtype == np.dtype("c16") and (saved == whole).all()
    created = stored_matrix(bucket, "created")
    assert created.shape == (50, 40) and abs(created.std() - 1) < 0.1
    good("export", mount.path / "created", tmp_path / "back.npy")
    assert (np.load(tmp_path / "back.npy") == created).all()
    assert {k.split("/")[1] for k in bucket.keys(kit.PREFIX) if not k.startswith(
        kit.PREFIX + ".bmfs/")} == {"created", "imported", "copied", "saved"}


def test_the_digits_times_themselves(mount, bucket, tmp_path):
    from sklearn.datasets import load_digits

    digits = load_digits().data
    assert digits.shape == (1797, 64) and digits.dtype == np.float64
    np.save(tmp_path / "digits.npy", digits)
    good("import", tmp_path / "digits.npy", mount.path / "digits", "--block=500x24")
    good("gemm", "--transa=t", mount.path / "digits", mount.path / "digits", mount.path / "gram")
    gram = stored_matrix(bucket, "gram")
    want = digits.T @ digits
    assert gram.shape == (64, 64)
    assert (abs(gram - want) <= 1e-12 * abs(want)).all()


def gemm_within_memory(mount, *words):
    """Runs bm-gemm on a mount and checks the memory that it and the daemon took."""
    script = ("import resource, subprocess, sys; r = subprocess.run(sys.argv[1:]).returncode; "
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(r)")
    done = subprocess.run(["/usr/bin/python3", "-c", script, program("bm-gemm"), "-q",
                           *(str(w) for w in words)], check=True, capture_output=True, timeout=600)
    return int(done.stdout) << 10, kit.rss_kib(mount.process.pid) << 10


def test_a_product_of_4096_in_blocks_of_1024(s3_bucket, tmp_path):
    scale = 2 if SANITIZED else 1  # what memory it takes cannot be told there
    sizes = [f"--shape={4096 // scale}x{4096 // scale}", f"--block={1024 // scale}"]
    memory = TOOL_MEMORY // scale**2
    with kit.Mount(s3_bucket, tmp_path) as mount:
        a, b, c = (mount.path / key for key in "ABC")
        good("create", a, *sizes, "--rand=normal", "--seed=1")
        good("create", b, *sizes, "--rand=normal", "--seed=2")
        tool, daemon = gemm_within_memory(mount, f"--memory={memory}", a, b, c)
        if not SANITIZED:
            print("tool", tool >> 20, "MiB, daemon", daemon >> 20, "MiB")
            assert tool <= TOOL_MEMORY + TOOL_OVERHEAD_MAX
            assert daemon <= MOUNT_MEMORY_MAX
    assert residual(*(stored_matrix(s3_bucket, key) for key in "ABC")) < RESIDUAL_MAX


@pytest.mark.parametrize("dtype", ["c8"] if SANITIZED else ["f4", "f8", "c8", "c16"])
def test_ragged_products_in_all_transposes(s3_bucket, tmp_path, dtype):
    op = {"n": lambda x: x, "t": lambda x: x.T, "c": lambda x: x.conj().T}
    pairs = [("t", "c")] if SANITIZED else list(itertools.product(op, op))
    a, b = normal((1000, 701), 4, dtype), normal((701, 1300), 5, dtype)
    with kit.Mount(s3_bucket, tmp_path) as mount:
        for trans in op:
            store(mount.path / f"A{trans}", op[trans](a), (128, 96) if trans == "n" else (96, 128))
            store(mount.path / f"B{trans}", op[trans](b), (96, 112) if trans == "n" else (112, 96))
        for ta, tb in pairs:
            good("gemm", f"--transa={ta}", f"--transb={tb}", mount.path / f"A{ta}",
                 mount.path / f"B{tb}", mount.path / f"C{ta}{tb}")
    for ta, tb in pairs:
        c = stored_matrix(s3_bucket, f"C{ta}{tb}")
        assert c.shape == (1000, 1300) and c.dtype == np.dtype(dtype)
        assert residual(a, b, c) < RESIDUAL_MAX
