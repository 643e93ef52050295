"""Bad input gets the right error and a line that says why; what is stored stays as it is."""

import errno
import json
import os
import socket
import subprocess
import time

import kit
import numpy as np
import pytest
from test_mount import bmfs

BAD_HEADERS = {
    "not json": (b"{shape: 3", ""),
    "empty": (b"", ""),
    "no dtype": (b'{"shape": [4, 4], "shard_sizes": [2, 2]}', "dtype"),
    "shard of zero": (b'{"shape": [4], "shard_sizes": [0], "dtype": "<f8"}', "shard"),
    "two lengths": (b'{"shape": [4, 4], "shard_sizes": [2], "dtype": "<f8"}', "shard"),
    "a pickle that calls": (json.dumps({"shape": [4, 4], "shard_sizes": [2, 2], "dtype":
                            "gANjb3MKc3lzdGVtCnEAWAQAAAB0cnVlcQGFcQJScQMu"}).encode(), "os.system"),
    "deep": (b"[" * 100000, ""),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_a_malformed_header(dir_bucket, tmp_path, name):
    body, words = BAD_HEADERS[name]
    dir_bucket.put(f"{kit.PREFIX}A/header", body)
    dir_bucket.put(f"{kit.PREFIX}A/0_2_2_0_2_2_", kit.npy(np.eye(2)))
    with kit.Mount(dir_bucket, tmp_path) as m:
        with pytest.raises(OSError) as failed:
            (m.path / "A/header.json").read_bytes()
        assert failed.value.errno == errno.EBADMSG
        assert words in m.errors() and "A" in m.errors()
        with pytest.raises(OSError) as failed:
            np.save(m.path / "A/block_0_0", np.eye(2))
        assert failed.value.errno == errno.EBADMSG
        assert dir_bucket.get(f"{kit.PREFIX}A/header") == body
        assert "header.json" in os.listdir(m.path / "A")
        assert (m.path / "A/header").read_bytes() == body
        said = subprocess.run([kit.BUILD / "tools/bm", "info", m.path / "A"], capture_output=True, text=True)
        assert said.returncode == 2 and "makes no sense" in said.stderr and ".bmfs/errors" in said.stderr
        assert np.array_equal(np.load(m.path / "A/0_2_2_0_2_2_"), np.eye(2))
        kit.shell("rm -r A", m.path)
    assert dir_bucket.keys(kit.PREFIX) == []


def test_a_malformed_header_can_be_replaced(mount, bucket):
    bucket.put(f"{kit.PREFIX}A/header", b"garbage")
    (mount.path / "A/header.json").write_text('{"shape": [4], "shard_sizes": [2], "dtype": "<f8"}')
    assert json.loads((mount.path / "A/header.json").read_text())["shape"] == [4]
    assert bucket.get(f"{kit.PREFIX}A/header") == kit.header([4], [2])


@pytest.mark.parametrize("text", [b"", b"{", b'{"shape": [4], "shard_sizes": [2], "dtype": "<O8"}',
                                  b'{"shape": [-4], "shard_sizes": [2], "dtype": "<f8"}',
                                  b'{"shape": [4.5], "shard_sizes": [2], "dtype": "<f8"}'])
def test_a_bad_header_is_not_stored(mount, bucket, text):
    (mount.path / "A").mkdir()
    try:
        (mount.path / "A/header.json").write_bytes(text)
        assert text == b""
    except OSError as e:
        assert e.errno == errno.EINVAL
    assert bucket.keys(kit.PREFIX) == []


def test_a_truncated_block_is_shown_as_it_is(bucket, tmp_path):
    body = kit.npy(np.eye(64))
    bucket.put(f"{kit.PREFIX}A/header", kit.header([64, 128], [64, 64]))
    bucket.put(f"{kit.PREFIX}A/0_64_64_0_64_64_", body[:1000])
    bucket.put(f"{kit.PREFIX}A/0_64_64_64_128_64_", body[:20])
    with kit.Mount(bucket, tmp_path) as m:
        assert (m.path / "A/block_0_0").read_bytes() == body[:1000]
        assert (m.path / "A/block_0_1").read_bytes() == body[:20]
        for name in ("block_0_0.raw", "block_0_1.F.raw"):
            with pytest.raises(OSError) as failed:
                (m.path / "A" / name).read_bytes()
            assert failed.value.errno == errno.EBADMSG
        assert "npy" in m.errors()


def test_a_block_of_another_type_than_its_matrix_is_shown_and_said(bucket, tmp_path):
    bucket.put(f"{kit.PREFIX}A/header", kit.header([4, 4], [4, 4]))
    bucket.put(f"{kit.PREFIX}A/0_4_4_0_4_4_", kit.npy(np.eye(4, dtype="<f4")))
    with kit.Mount(bucket, tmp_path) as m:
        assert np.load(m.path / "A/block_0_0").dtype == np.float32
        assert (m.path / "A/block_0_0.raw").stat().st_size == 64
        np.load(m.path / "A/block_0_0", mmap_mode="r")
        told = os.getxattr(m.path / "A/block_0_0", "user.bmfs.mismatch").decode()
        assert "<f4" in told and "<f8" in told


@pytest.mark.parametrize("key", ["..", ".", "a//b", "/x", "x" * 300, "n\n"])
def test_a_key_that_cannot_be_a_name_is_left_alone(s3_bucket, tmp_path, key):
    s3_bucket.put(f"{kit.PREFIX}{key}", b"odd")
    s3_bucket.put(f"{kit.PREFIX}fine", b"ok")
    with kit.Mount(s3_bucket, tmp_path) as m:
        names = os.listdir(m.path)
        assert "fine" in names
        assert kit.shell("find . -name fine", m.path).stdout == "./fine\n"
        assert (m.path / "fine").read_bytes() == b"ok"
    assert s3_bucket.get(f"{kit.PREFIX}{key}") == b"odd"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB for a cache folder."""
    if os.getuid() != 0:
        pytest.skip("only root can make a small file system")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_cache_disk(bucket, tmp_path, small_disk):
    array = np.random.default_rng(7).standard_normal((2048, 1024))
    kit.put_matrix(bucket, "A", array, (1024, 1024))
    before = bucket.get(f"{kit.PREFIX}A/0_1024_1024_0_1024_1024_")
    with kit.Mount(bucket, tmp_path, cache=small_disk) as m:
        (small_disk / "hog").write_bytes(bytes(6 << 20))
        for _ in range(2):
            assert np.array_equal(np.load(m.path / "A/block_0_0"), array[:1024])
        with pytest.raises(OSError) as failed:
            np.save(m.path / "A/block_0_0", array[1024:])
        assert failed.value.errno == errno.ENOSPC
        assert bucket.get(f"{kit.PREFIX}A/0_1024_1024_0_1024_1024_") == before
        assert "disk is full" in m.errors()
        assert not list(small_disk.glob("lost/*"))  # incomplete, and its writer knows
        (small_disk / "hog").unlink()
        small = np.ones((4, 4))
        kit.put_matrix(bucket, "S", small, (4, 4))
        np.save(m.path / "S/block_0_0", small * 2)
        assert np.array_equal(np.load(m.path / "S/block_0_0"), small * 2)


def test_a_file_whose_first_write_failed_can_be_written_anew(bucket, tmp_path, small_disk):
    """It is open all the time, and holds nothing that opening it with O_TRUNC would cut."""
    kit.put_matrix(bucket, "A", np.zeros((4, 4)), (4, 4))
    want = kit.npy(np.ones((4, 4)))
    with kit.Mount(bucket, tmp_path, cache=small_disk) as m:
        for name, stored in (("A/x.tmp", None), ("plain", f"{kit.PREFIX}plain")):
            with open(m.path / name, "wb", buffering=0) as f:
                (small_disk / "hog").write_bytes(b"")
                with open(small_disk / "hog", "wb", buffering=0) as hog, \
                        pytest.raises(OSError):
                    while True:
                        hog.write(bytes(4096))
                with pytest.raises(OSError) as failed:
                    f.write(want)
                assert failed.value.errno == errno.ENOSPC
                (small_disk / "hog").unlink()
                (m.path / name).write_bytes(want)
            if stored:
                assert bucket.get(stored) == want
        os.rename(m.path / "A/x.tmp", m.path / "A/block_0_0")
        assert bucket.get(f"{kit.PREFIX}A/0_4_4_0_4_4_") == want


def test_no_bucket(server, tmp_path):
    done = bmfs("no-such-bucket", tmp_path, env=server.env)
    assert done.returncode == 32
    assert "no-such-bucket" in done.stderr and "NoSuchBucket" in done.stderr


def test_a_wrong_secret(s3_bucket, tmp_path):
    secret = "wrongSecretThatMustNotBeShown"
    done = bmfs(s3_bucket.name, tmp_path, env={**s3_bucket.env(), "AWS_SECRET_ACCESS_KEY": secret})
    assert done.returncode == 32
    assert "403" in done.stderr and "SignatureDoesNotMatch" in done.stderr
    assert secret not in done.stderr and s3_bucket.bucket in done.stderr


def test_a_bucket_that_is_not_public(s3_bucket, tmp_path):
    done = bmfs("--no-sign-request", s3_bucket.name, tmp_path, env=s3_bucket.env())
    assert done.returncode == 32 and "403" in done.stderr, done.stderr
    assert "credentials" not in done.stderr and "leave out --no-sign-request" in done.stderr


def test_no_credentials(s3_bucket, tmp_path):
    env = {k: v for k, v in s3_bucket.env().items() if "KEY" not in k}
    done = bmfs(s3_bucket.name, tmp_path, env=env)
    assert done.returncode == 32 and "credentials" in done.stderr


@pytest.mark.parametrize("kind", ["refuses", "is silent"])
def test_an_endpoint_that_does_not_answer(tmp_path, kind):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        if kind == "is silent":
            s.listen(64)
        url = f"http://127.0.0.1:{s.getsockname()[1]}"
        begun = time.monotonic()
        done = bmfs("--endpoint-url", url, "some-bucket", tmp_path,
                    env={"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, timeout=60)
        assert done.returncode == 32 and time.monotonic() - begun < 30
        assert "127.0.0.1" in done.stderr and "some-bucket" in done.stderr, done.stderr


@pytest.mark.skipif(not kit.have("faketime"), reason="no faketime here")
def test_a_skewed_clock(s3_bucket, tmp_path):
    kit.put_matrix(s3_bucket, "A", np.eye(2), (2, 2))
    m = kit.Mount(s3_bucket, tmp_path, build=kit.ROOT / "build")  # sanitizers do not bear faketime
    m.command = ["faketime", "-f", "-2h", *m.command]
    with m:  # the client learns the server's time from the first refusal, and goes by it
        assert np.array_equal(np.load(m.path / "A/block_0_0"), np.eye(2))
        np.save(m.path / "A/block_0_0", np.ones((2, 2)))
    assert s3_bucket.get(f"{kit.PREFIX}A/0_2_2_0_2_2_") == kit.npy(np.ones((2, 2)))


def test_a_damaged_block_is_an_error_each_time(s3_bucket, tmp_path):
    array = np.random.default_rng(1).random((500, 500))
    with kit.Mount(s3_bucket, tmp_path) as m:
        (m.path / "A").mkdir()
        (m.path / "A/header.json").write_text(
            '{"shape": [500, 500], "shard_sizes": [500, 500], "dtype": "<f8"}')
        np.save(m.path / "A/block_0_0.npy", array)
    key = f"{kit.PREFIX}A/0_500_500_0_500_500_"
    good = s3_bucket.client.get_object(Bucket=s3_bucket.bucket, Key=key)
    body = bytearray(good["Body"].read())
    body[1000] ^= 1
    s3_bucket.client.put_object(Bucket=s3_bucket.bucket, Key=key, Body=bytes(body),
                                Metadata=good["Metadata"])
    with kit.Mount(s3_bucket, tmp_path, cache=tmp_path / "empty") as m:
        for name in ["block_0_0"] * 3 + ["block_0_0.raw"] * 2 + ["block_0_0.F.raw"]:
            with pytest.raises(OSError) as failed:
                (m.path / "A" / name).read_bytes()
            assert failed.value.errno == 5, name
        assert "is damaged" in m.errors()
        assert os.path.getsize(m.path / "A/block_0_0") == len(body)
        np.save(m.path / "A/block_0_0.npy", array)
        assert (np.load(m.path / "A/block_0_0") == array).all()
