"""What disks, rights, names and mounts do to bm."""

import json
import os
import resource
import shutil
import subprocess

import numpy as np
import pytest

from tools_kit import (SANITIZED, bm, environ, good, load, matrices, name, names, normal, plain,
                       program, refused, store)  # noqa: F401


def test_a_grid_of_a_million_blocks_is_no_trouble(plain):
    good("create", plain / "A", "--shape", "1000000x1000000", "--block", "1000")
    assert b"blocks: 0 of 1000000 (1000000 missing)" in good("info", plain / "A").out
    missing = good("ls", "--missing", plain / "A").out
    assert missing.count(b"\n") == 1000000 and missing.endswith(b"block_999_999\n")
    assert good("ls", "-l", plain).out.split()[3] == b"0/1000000"


def test_a_closed_pipe_ends_a_listing(plain):
    """A grid may have more blocks than anybody can list."""
    good("create", plain / "A", "--shape", "100000000x100000000", "--block", "1")
    done = subprocess.run(f"{program('bm')} ls --missing A | head -n 1", shell=True, cwd=plain,
                          capture_output=True, timeout=60)
    assert done.stdout == b"block_0_0\n"


def test_standard_output_that_is_full_is_an_error(plain):
    store(plain / "A", np.ones((2, 2)), (2, 2))
    for words in (["info", "A"], ["ls", "A"], ["export", "A", "-"], ["help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program("bm"), *words], cwd=plain, stdout=full, timeout=60,
                                  stderr=subprocess.PIPE, env=environ())
        assert done.returncode == 5, words
        assert b"No space left on device" in done.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
                          capture_output=True, timeout=60)
    if done.returncode != 0:
        pytest.skip("cannot mount a small tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True, timeout=60)


def test_a_full_disk_leaves_nothing_half_visible(small_disk, plain, tmp_path):
    refused(5, "No space left on device", "create", small_disk / "A", "--shape", "1000x1000",
            "--block", "200", "--rand", "uniform", "--progress", "none")
    left = names(small_disk / "A")
    assert "header.json" in left and "block_0_0" in left and "block_4_4" not in left
    assert not any(n.startswith(".bm-") for n in left)
    for block in left[:-1]:
        assert np.load(small_disk / "A" / block).shape == (200, 200)
    good("rm", small_disk / "A")
    good("create", plain / "B", "--shape", "1000x1000", "--fill", "1")
    refused(5, "No space left on device", "export", plain / "B", small_disk / "b.npy", "--progress",
            "none")
    assert names(small_disk) == []


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"),
                    reason="root may do anything")
def test_what_may_not_be_written_or_read_is_an_error(plain, tmp_path):
    def as_nobody(*words):
        command = [program("bm"), *(str(w) for w in words)]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              timeout=60, env=environ())

    probe = as_nobody("--version")
    if probe.returncode != 0:
        pytest.skip("the build folder is closed to others")
    store(plain / "A", np.ones((4, 4)), (2, 2))
    for folder in [plain, *plain.parents]:
        if folder.stat().st_uid == os.geteuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o055)
    (plain / "A").chmod(0o555)
    done = as_nobody("create", plain / "B", "--shape", "2x2")
    assert done.returncode == 5 and "B: cannot make the directory: Permission denied" in done.stderr
    done = as_nobody("free", plain / "A")
    assert done.returncode == 5 and "cannot remove block_" in done.stderr
    assert as_nobody("info", plain / "A").returncode == 0
    (plain / "A/block_1_0").chmod(0)
    done = as_nobody("export", plain / "A", "-")
    assert done.returncode == 5 and "A/block_1_0: cannot open: Permission denied" in done.stderr
    (plain / "A/header.json").chmod(0)
    done = as_nobody("info", plain / "A")
    assert done.returncode == 5 and "A/header.json: Permission denied" in done.stderr


def test_a_block_named_as_numpy_saves_it_is_pointed_out(plain):
    good("create", plain / "A", "--shape", "2x2")
    np.save(plain / "A/block_0_0", np.ones((2, 2)))
    refused(6, "block_0_0: the block is missing", "export", plain / "A", plain.parent / "a.npy",
            hint="there is a block_0_0.npy")


def test_names_with_blanks_newlines_and_equals_signs_are_paths(matrices, tmp_path):
    for key in ("a b", "c(d), e", "f=g+h%20"):
        good("create", matrices / key, "--shape", "3x3", "--fill", "2")
        good("gemm", matrices / key, matrices / key, matrices / f"{key} squared")
        good("export", matrices / f"{key} squared", tmp_path / f"{key}.npy")
        assert (np.load(tmp_path / f"{key}.npy") == 12).all()


def test_a_numpywren_bucket_is_multiplied_on_the_mount(tmp_path):
    """From stored objects to a product and back to stored objects."""
    kit = pytest.importorskip("kit")
    a, b = normal((10, 7)), normal((7, 5), 2)
    bucket = kit.DirBucket(tmp_path / "store")
    kit.put_matrix(bucket, "A", a, (4, 3))
    kit.put_matrix(bucket, "B", b, (3, 2), with_header=False)
    with kit.Mount(bucket, tmp_path) as mount:
        good("gemm", mount.path / "A", mount.path / "B", mount.path / "C")
        report = good("info", "--json", mount.path / "B").json()
        assert report["inferred"] is True
        assert report["uri"] == f"file://{tmp_path}/store/numpywren.objects/B/"
        assert np.allclose(load(mount.path / "C"), a @ b)
    keys = bucket.keys("numpywren.objects/C/")
    assert len(keys) == 1 + 9 and "numpywren.objects/C/header" in keys
    assert "numpywren.objects/C/0_4_4_0_2_2_" in keys


def test_two_mounts_of_a_bucket_know_their_matrices_for_the_same(tmp_path):
    kit = pytest.importorskip("kit")
    bucket = kit.DirBucket(tmp_path / "store")
    kit.put_matrix(bucket, "A", normal((4, 4)), (2, 2))
    with kit.Mount(bucket, tmp_path, name="one") as one:
        with kit.Mount(bucket, tmp_path, name="two") as two:
            refused(2, "the output is an input too", "gemm", one.path / "A", one.path / "A",
                    two.path / "A", "--force")


def test_a_file_in_the_way_is_said_to_be_one(plain):
    (plain / "f").write_text("x")
    for force in ([], ["--force"]):
        refused(2, "f: a file is there, where a matrix is a directory", "create", plain / "f",
                "--shape", "2x2", *force)
    assert (plain / "f").read_text() == "x"
    refused(2, "the directory around it does not exist", "create", plain / "no/A", "--shape", "2",
            hint="mkdir -p makes it")
    refused(2, "type 'double precision'", "create", plain / "A", "--shape", "2x2", "--dtype",
            "double precision", hint="f8 is double")
    refused(2, "f: npy: ", "import", plain / "f", plain / "A", hint="--format raw and its --shape")


def test_headers_that_could_not_be_read_again_are_not_written(matrices):
    store(matrices / "K", np.ones((4, 4)), (2, 2))
    for words in (["--block", 2**63 - 1, "--fill", 1], ["--dtype", "i8", "--fill-value", 2**53 + 1]):
        refused(2, str(2**53 + 1) if "i8" in words else "2^53", "create", "--force", matrices / "K",
                "--shape", "4x4", *words)
        assert (load(matrices / "K") == 1).all()
    good("create", matrices / "F", "--shape", "4x4", "--fill-value", 2.0**53 + 2)
    assert good("info", "--json", matrices / "F").json()["status"] == "ok"
    words = ["gemm", "--alpha", 2**53 + 2, matrices / "K", matrices / "K", matrices / "C"]
    good(*words)
    assert b"complete already" in good(*words, "--resume").err


def test_a_grid_that_nobody_could_look_over_is_refused_at_once(plain):
    for key, shape in (("A", [2**40, 1]), ("B", [1, 2**40]), ("S", [2**25, 2**25])):
        (plain / key).mkdir()
        (plain / key / "header.json").write_text(json.dumps(
            {"shape": shape, "shard_sizes": [1, 1], "dtype": "<f8", "fill_value": 0}))
    for words in (["gemm", "A", "B", "C"], ["syrk", "A", "C"], ["trsm", "S", "A", "C"]):
        refused(2, f"{'S' if 'S' in words else 'A'}: more than 16777216 blocks along axis 0",
                *words, cwd=plain, hint="bm reblock")


@pytest.mark.skipif(SANITIZED, reason="sanitizers take address space as they like")
def test_threads_beyond_the_limits_are_an_error(plain):
    """And no reason to begin again and again."""
    store(plain / "A", normal((40, 40)), (10, 10))
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))  # noqa: E731
    done = subprocess.run([program("bm"), "gemm", "--threads", "300", "--memory", "100000000", "A",
                           "A", "C"], cwd=plain, preexec_fn=limit, capture_output=True, timeout=60,
                          env=environ(OPENBLAS_NUM_THREADS="1"))
    assert done.returncode == 2 and b"cannot start a thread: " in done.stderr, done
    assert b"hint: " in done.stderr


def test_errors_say_what_would_do(plain):
    np.savez(plain / "m.npz", a=np.eye(4))
    refused(2, ".npz, an archive of arrays, is not read", "import", plain / "m.npz", plain / "M",
            hint="numpy.save")
    store(plain / "A", np.ones((4, 2)), (2, 2))
    store(plain / "B", np.ones((4, 4)), (2, 2))
    refused(2, "inner dimensions differ", "gemm", plain / "A", plain / "B", plain / "C",
            hint="they fit with --transa t --transb n")
    lop = np.eye(4)
    lop[0, 1] = 1  # one pair: of several, whichever is met first is named
    store(plain / "L", lop, (2, 2))
    refused(2, "not symmetric: (1, 0) is 0, (0, 1) is 1", "chol", plain / "L", plain / "X")
    refused(2, "int8 to int64, uint8 to uint64", "create", plain / "N", "--shape", "4x4", "--dtype",
            "foo")
