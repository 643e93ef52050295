"""What could not be stored is kept, said, and brought back: after kill -9, conflicts, and unmounts
that the store does not answer."""

import json
import os
import signal
import subprocess
import threading
import time

import kit
import numpy as np
import pytest

from tools_kit import environ, program

SHAPE, SHARDS = (8, 4), (4, 4)
KEY = f"{kit.PREFIX}A/{kit.object_name((0, 0), SHAPE, SHARDS)}"
KEY_1 = f"{kit.PREFIX}A/{kit.object_name((1, 0), SHAPE, SHARDS)}"
ONES = kit.npy(np.ones((4, 4)))
TWOS = kit.npy(np.full((4, 4), 2.0))


def recover(mount, *words, check=True):
    result = subprocess.run([program("bm"), "recover", "--cache-dir", mount.cache, *words],
                            capture_output=True, text=True, timeout=60,
                            env=environ(**mount.bucket.env()))
    assert not check or result.returncode == 0, result
    return result


def kept(mount):
    """What bm recover lists, by key."""
    return {f["key"]: f for f in json.loads(recover(mount, "list", "--json").stdout)["files"]}


def is_kept(mount):
    return [f for f in kept(mount).values() if f["complete"]]


@pytest.fixture
def matrix(bucket, tmp_path):
    kit.put_matrix(bucket, "A", np.zeros(SHAPE), SHARDS)
    m = kit.Mount(bucket, tmp_path)
    m.start()
    yield m
    m.clean_up()


def write(path, body, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    """Writes and leaves the file open: nothing is stored yet."""
    fd = os.open(path, flags)
    assert os.write(fd, body) == len(body)
    return fd


def die(mount, *fds):
    mount.kill()
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass  # the mount is dead


def test_bytes_outlive_a_killed_daemon(matrix, bucket):
    matrix_json = json.dumps({"shape": [4, 4], "shard_sizes": [4, 4], "dtype": "<f8"})
    (matrix.path / "B").mkdir()
    die(matrix,
        write(matrix.path / "A/block_0_0", ONES),
        write(matrix.path / "A/block_1_0.raw", np.arange(16.0).tobytes()),
        write(matrix.path / "plain", b"text"),
        write(matrix.path / "half", b"text", os.O_WRONLY | os.O_CREAT),
        write(matrix.path / "B/header.json", matrix_json.encode()))
    before = bucket.keys()
    with matrix:
        assert f"5 files that could not be stored are in {matrix.cache}/lost, 5 of them" in \
            matrix.log()
        assert f"bm recover list --cache-dir {matrix.cache}" in matrix.errors()
        assert bucket.keys() == before  # nothing was uploaded silently
        files = kept(matrix)
        assert set(files) == {KEY, KEY_1, f"{kit.PREFIX}plain", f"{kit.PREFIX}half",
                              f"{kit.PREFIX}B/header"}
        assert all(f["complete"] and "died" in f["reason"] for f in files.values())
        recover(matrix, "retry", *(f["id"] for f in files.values()))
        assert bucket.get(KEY) == ONES
        assert bucket.get(KEY_1) == kit.npy(np.arange(16.0).reshape(4, 4))
        assert bucket.get(f"{kit.PREFIX}plain") == b"text"
        assert bucket.get(f"{kit.PREFIX}B/header") == kit.header([4, 4], [4, 4])
        assert kept(matrix) == {}
        kit.wait_for(lambda: np.load(matrix.path / "A/block_0_0")[0, 0] == 1, what="the new block")


def test_incomplete_bytes_are_kept_and_said_to_be_so(matrix, bucket, tmp_path):
    sparse = write(matrix.path / "A/block_1_0", TWOS[:140])
    os.ftruncate(sparse, len(TWOS))
    die(matrix, write(matrix.path / "A/block_0_0", ONES[:200]), sparse)
    with matrix:
        files = kept(matrix)
        assert not files[KEY]["complete"] and not files[KEY_1]["complete"]
        assert files[KEY_1]["bytes"] == len(TWOS)
        for force in ([], ["--force"]):
            result = recover(matrix, "retry", *force, files[KEY]["id"], check=False)
            assert result.returncode == 2 and "not a whole file" in result.stderr
        out = tmp_path / "out"
        recover(matrix, "export", files[KEY]["id"], out)
        assert out.read_bytes() == ONES[:200]
        assert recover(matrix, "export", files[KEY]["id"], out, check=False).returncode == 7
        assert np.load(matrix.path / "A/block_0_0").sum() == 0
        recover(matrix, "drop", files[KEY]["id"], files[KEY_1]["id"])
        assert kept(matrix) == {}
        assert os.listdir(matrix.cache / "lost") == []
        assert recover(matrix, "drop", files[KEY]["id"], check=False).returncode == 6


def test_what_was_stored_or_not_yet_written_is_not_kept(matrix):
    (matrix.path / "A/block_0_0").write_bytes(ONES)
    fd = os.open(matrix.path / "A/block_1_0", os.O_RDWR)
    synced = write(matrix.path / "synced", b"text")
    os.fsync(synced)
    die(matrix, fd, synced, write(matrix.path / "A/x.tmp", b"scratch"))
    with matrix:
        assert kept(matrix) == {}
        assert "could not be stored" not in matrix.log()
        assert len(os.listdir(matrix.cache / "mounts")) == 1


def test_a_file_that_is_written_on_after_fsync_is_kept(matrix, bucket):
    fd = write(matrix.path / "notes", b"one ")
    os.fsync(fd)
    os.write(fd, b"two")
    die(matrix, fd)
    with matrix:
        entry = kept(matrix)[f"{kit.PREFIX}notes"]
        recover(matrix, "retry", entry["id"])  # nobody else has written it since the fsync
        assert bucket.get(f"{kit.PREFIX}notes") == b"one two"


def test_another_mount_of_the_cache_folder_finds_the_bytes(matrix, bucket, tmp_path):
    """Also one of another bucket; each entry knows where it belongs."""
    die(matrix, write(matrix.path / "A/block_0_0", ONES))
    other = kit.DirBucket(tmp_path / "other-store")
    with kit.Mount(other, tmp_path, cache=matrix.cache, name="other"):
        assert list(kept(matrix)) == [KEY]
    recover(matrix, "retry", kept(matrix)[KEY]["id"])
    assert bucket.get(KEY) == ONES and other.keys() == []


def test_bm_recover_finds_dead_mounts_by_itself(matrix, bucket):
    die(matrix, write(matrix.path / "A/block_0_0", ONES))
    recover(matrix, "retry", kept(matrix)[KEY]["id"])
    assert bucket.get(KEY) == ONES
    assert os.listdir(matrix.cache / "mounts") == []


def test_a_running_mount_is_left_alone(matrix, bucket):
    fd = write(matrix.path / "A/block_0_0", ONES)
    assert kept(matrix) == {}
    os.close(fd)
    assert bucket.get(KEY) == ONES
    matrix.unmount()


def test_retry_holds_to_the_condition_unless_forced(matrix, bucket):
    die(matrix, write(matrix.path / "A/block_0_0", ONES), write(matrix.path / "new", b"ours"))
    bucket.put(KEY, TWOS)
    bucket.put(f"{kit.PREFIX}new", b"theirs")
    files = kept(matrix)
    for key in (KEY, f"{kit.PREFIX}new"):
        result = recover(matrix, "retry", files[key]["id"], check=False)
        assert result.returncode == 7 and "--force" in result.stderr, result
    assert bucket.get(KEY) == TWOS and bucket.get(f"{kit.PREFIX}new") == b"theirs"
    recover(matrix, "retry", "--force", files[KEY]["id"])
    assert bucket.get(KEY) == ONES


def test_a_conflict_at_close_leaves_ours_recoverable(matrix, bucket, tmp_path):
    fd = write(matrix.path / "A/block_0_0", ONES)
    bucket.put(KEY, TWOS)
    with pytest.raises(OSError, match="[Ss]tale"):
        os.close(fd)
    kit.wait_for(lambda: is_kept(matrix), what="the kept bytes")
    entry = kept(matrix)[KEY]
    assert "somebody else" in entry["reason"]
    assert f"bm recover retry {entry['id']} --cache-dir {matrix.cache}" in matrix.errors()
    assert bucket.get(KEY) == TWOS
    recover(matrix, "export", entry["id"], tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == ONES
    matrix.unmount()


def test_a_full_recovery_folder_loses_nothing(matrix, bucket):
    lost = matrix.cache / "lost"
    lost.mkdir(mode=0o700)
    for i in range(10000):
        (lost / f"{i}").touch()
    die(matrix, write(matrix.path / "A/block_0_0", ONES))
    with matrix:
        assert "stay in" in matrix.log() and "full" in matrix.log()
    for i in range(10000):
        (lost / f"{i}").unlink()
    recover(matrix, "retry", kept(matrix)[KEY]["id"])
    assert bucket.get(KEY) == ONES


def test_an_unmount_with_open_files_stores_or_keeps_them(matrix, bucket):
    fds = [write(matrix.path / "A/block_0_0", ONES), write(matrix.path / "A/block_1_0", TWOS[:200])]
    matrix.kill(signal.SIGTERM)
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass
    assert matrix.process.returncode == 0
    assert bucket.get(KEY) == ONES
    entry = kept(matrix)[KEY_1]
    assert not entry["complete"] and "before the file was whole" in entry["reason"]
    assert "is kept" in matrix.log() and entry["id"] in matrix.log()


def test_an_unmount_does_not_wait_for_ever_for_a_stopped_store(s3_bucket, server, tmp_path):
    kit.put_matrix(s3_bucket, "A", np.zeros(SHAPE), SHARDS)
    m = kit.Mount(s3_bucket, tmp_path, "--unmount-timeout", "7s")
    m.start()
    fd = write(m.path / "A/block_0_0", ONES)
    try:
        with server.paused():
            begun = time.monotonic()
            m.kill(signal.SIGTERM)
            took = time.monotonic() - begun
    finally:
        m.clean_up()
    with pytest.raises(OSError):
        os.close(fd)
    assert 6.5 < took < 15, took
    log = m.log()
    assert log.count("still to be stored") == 2 and "did not take" in log
    recover(m, "retry", kept(m)[KEY]["id"])
    assert s3_bucket.get(KEY) == ONES


def test_an_unmount_of_a_store_that_takes_nothing_keeps_all(dir_bucket, tmp_path):
    kit.put_matrix(dir_bucket, "A", np.zeros(SHAPE), SHARDS)
    kit.run("mount", "--bind", dir_bucket.path, dir_bucket.path)
    try:
        with kit.Mount(dir_bucket, tmp_path) as m:
            fd = write(m.path / "A/block_0_0", ONES)
            kit.run("mount", "-o", "remount,bind,ro", dir_bucket.path)
            with pytest.raises(OSError, match="Read-only"):
                os.close(fd)
            fd = write(m.path / "A/block_1_0", TWOS)
            m.kill(signal.SIGTERM)
            with pytest.raises(OSError):
                os.close(fd)
        files = kept(m)
        assert files[KEY]["complete"] and files[KEY_1]["complete"]
        kit.run("mount", "-o", "remount,bind,rw", dir_bucket.path)
        recover(m, "retry", files[KEY]["id"], files[KEY_1]["id"])
        assert dir_bucket.get(KEY) == ONES and dir_bucket.get(KEY_1) == TWOS
    finally:
        kit.run("umount", dir_bucket.path)


def test_a_put_that_took_effect_before_the_kill_is_not_kept(s3_bucket, tmp_path):
    """The daemon is killed at random moments of many commits: what the store has under our write id
    is not kept as well, what it does not have is."""
    kit.put_matrix(s3_bucket, "A", np.zeros(SHAPE), SHARDS)
    m = kit.Mount(s3_bucket, tmp_path)
    for i in range(6):
        m.start()
        body = kit.npy(np.full((4, 4), 10.0 + i))

        def close_after_write():
            try:
                os.close(write(m.path / "A/block_0_0", body))
            except OSError:
                pass

        t = threading.Thread(target=close_after_write)
        t.start()
        time.sleep(0.003 * i)
        m.kill()
        t.join(timeout=30)
        m.start()
        files = kept(m)
        stored = s3_bucket.get(KEY) == body
        assert not (stored and KEY in files)
        if KEY in files and files[KEY]["complete"]:
            recover(m, "retry", files[KEY]["id"])
            assert s3_bucket.get(KEY) == body
        recover(m, "drop", *(f["id"] for f in kept(m).values())) if kept(m) else None
        m.unmount()


def test_a_folder_that_others_can_write_to_is_not_recovered_from(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir(0o700)
    assert kit.run(kit.BUILD / "tools/bm-recover", "list", "--cache-dir", folder).stdout == ""
    folder.chmod(0o770)
    refused = kit.run(kit.BUILD / "tools/bm-recover", "list", "--cache-dir", folder, check=False)
    assert refused.returncode == 5 and "open to others" in refused.stderr
