"""The mount command: what it says, when it returns, what it leaves behind."""

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import kit
import numpy as np
import pytest


def bmfs(*arguments, env=None, timeout=60):
    return subprocess.run([kit.BUILD / "tools/bmfs", *map(str, arguments)], capture_output=True,
                          text=True, timeout=timeout, env={**kit.clean_environ(), **(env or {})})


def processes_below(folder):
    """Process ids whose command line names the folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = open(f"/proc/{pid}/cmdline", "rb").read()
        except OSError:
            continue
        if str(folder).encode() in line and b"bmfs" in line:
            found.append(int(pid))
    return found


def test_the_parent_returns_when_the_mount_answers(bucket, tmp_path):
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    kit.put_matrix(bucket, "deep/B", np.eye(4), (2, 2))
    bucket.put(f"{kit.PREFIX}plain.txt", b"x")
    mnt = tmp_path / "mnt"
    mnt.mkdir()
    done = bmfs("--cache-dir", tmp_path / "cache", bucket.location(), mnt, env=bucket.env())
    try:
        assert done.returncode == 0, done.stderr
        assert sorted(os.listdir(mnt)) == ["A", "deep", "plain.txt"]
        assert "numpywren.objects/" in done.stderr and "2 matrices" in done.stderr
        pids = processes_below(mnt)
        names = {open(f"/proc/{pid}/comm").read().strip() for pid in pids}
        assert names <= {"bmfs", "bmfs-broker"} and "bmfs" in names
        for pid in pids:
            caps = dict(line.split(":\t") for line in open(f"/proc/{pid}/status") if "Cap" in line)
            admin = int(caps["CapEff"], 16) >> 21 & 1
            assert not admin or open(f"/proc/{pid}/comm").read().strip() == "bmfs-broker"
    finally:
        subprocess.run(["fusermount3", "-u", mnt], check=True)
    kit.wait_for(lambda: not processes_below(mnt), what="the daemon's end")
    assert os.listdir(tmp_path / "cache/mounts") == []


def test_prefixes(bucket, tmp_path):
    kit.put_matrix(bucket, "A", np.eye(2), (2, 2))
    kit.put_matrix(bucket, "B", np.eye(2), (2, 2), prefix="lab/thesis/")
    bucket.put("top.txt", b"x")
    for prefix, names in (("", ["A"]), ("lab/thesis/", ["B"]), ("lab/", ["thesis"]),
                          ("/", ["lab", "numpywren.objects", "top.txt"])):
        with kit.Mount(bucket, tmp_path, prefix=prefix, name="p") as m:
            assert sorted(os.listdir(m.path)) == names, prefix


def test_a_matrix_can_be_the_root(bucket, tmp_path):
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    with kit.Mount(bucket, tmp_path, prefix=kit.PREFIX + "A/") as m:
        assert len(os.listdir(m.path)) == 5
        assert np.array_equal(np.load(m.path / "block_1_1"), np.eye(2))


@pytest.mark.parametrize("option", ["--ro", "-oro"])
def test_read_only(bucket, tmp_path, option):
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    before = bucket.keys()
    with kit.Mount(bucket, tmp_path, option) as m:
        for call in (lambda: np.save(m.path / "A/block_0_0", np.eye(2)),
                     lambda: os.unlink(m.path / "A/block_0_0"),
                     lambda: os.mkdir(m.path / "N"),
                     lambda: (m.path / "f").write_text("x")):
            with pytest.raises(OSError) as failed:
                call()
            assert failed.value.errno == 30
        assert np.array_equal(np.load(m.path / "A/block_0_0"), np.eye(2))
    assert bucket.keys() == before


def test_read_only_is_more_than_an_option_of_the_kernel(bucket, tmp_path):
    """Root can take that one away."""
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    bucket.put(f"{kit.PREFIX}f", b"x")
    before = bucket.keys()
    with kit.Mount(bucket, tmp_path, "--ro") as m:
        kit.run("mount", "-i", "-o", "remount,rw", m.path)
        for call in (lambda: np.save(m.path / "A/block_0_0", np.eye(2)),
                     lambda: open(m.path / "A/block_0_0", "r+b"),
                     lambda: os.truncate(m.path / "f", 0),
                     lambda: os.unlink(m.path / "A/block_0_0"),
                     lambda: os.rename(m.path / "f", m.path / "g"),
                     lambda: os.link(m.path / "f", m.path / "g"),
                     lambda: os.mkdir(m.path / "N"),
                     lambda: os.rmdir(m.path / "A"),
                     lambda: (m.path / "new").write_text("x")):
            with pytest.raises(OSError) as failed:
                call()
            assert failed.value.errno in (errno.EROFS, errno.EINVAL), failed.value
        assert np.array_equal(np.load(m.path / "A/block_0_0"), np.eye(2))
    assert bucket.keys() == before


WITHOUT_RIGHTS = """
set -Eeu
mknod fuse c 10 229 && chmod 666 fuse && mount --bind fuse /dev/fuse
mkdir mnt && chown 65534:65534 mnt
as() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
(exec setpriv --reuid=65534 --regid=65534 --clear-groups \\
    "$BMFS" -f --cache-dir cache "file://$PWD/store" mnt) & pid=$!
trap 'kill -9 $pid; umount -l mnt' ERR
for i in $(seq 200); do grep -q "$PWD/mnt " /proc/self/mounts && break; sleep 0.05; done
as cat mnt/A/block_0_0 | sha256sum
echo x | as tee mnt/note >/dev/null
kill -9 $pid
wait $pid || true
as "$BMFS" --cache-dir cache "file://$PWD/store" mnt
as cat mnt/note
as fusermount3 -u mnt
"""


def test_a_user_without_rights_can_mount_and_mount_again():
    """Also over a mount whose daemon was killed."""
    if os.getuid() != 0 or not kit.have("setpriv", "unshare"):
        pytest.skip("only root can become another user")
    folder = Path(tempfile.mkdtemp(prefix="bmfs-user-", dir="/var/tmp"))
    try:
        bucket = kit.DirBucket(folder / "store")
        kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
        shutil.copy(kit.BUILD / "tools/bmfs", folder)
        kit.run("chown", "-R", "65534:65534", folder)
        done = kit.run("unshare", "--mount", "bash", "-c", WITHOUT_RIGHTS, cwd=folder, check=False,
                       env={**kit.clean_environ(), "BMFS": str(folder / "bmfs")})
        want = hashlib.sha256(bucket.get(f"{kit.PREFIX}A/0_2_2_0_2_2_")).hexdigest()
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{want}  -\nx\n"
        assert "was a dead mount and has been taken away" in done.stderr
        assert bucket.get(f"{kit.PREFIX}note") == b"x\n"
    finally:
        kit.run("rm", "-rf", "--one-file-system", folder)


def test_no_delete(bucket, tmp_path):
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    bucket.put(f"{kit.PREFIX}f", b"x")
    before = bucket.keys(kit.PREFIX + "A")
    with kit.Mount(bucket, tmp_path, "--no-delete") as m:
        for name in ("A/block_0_0", "A/header.json", "f"):
            with pytest.raises(PermissionError):
                os.unlink(m.path / name)
        with pytest.raises(PermissionError):
            os.rename(m.path / "f", m.path / "g")
        np.save(m.path / "A/block_0_0", np.ones((2, 2)))
        assert "--no-delete" in m.errors()
    assert bucket.keys(kit.PREFIX + "A") == before


def test_long_options_are_mount_options(dir_bucket, tmp_path):
    kit.put_matrix(dir_bucket, "A", np.eye(4), (2, 2))
    with kit.Mount(dir_bucket, tmp_path, "-o", "cache_size=64MiB,no_delete,umask=077,nofail,_netdev") as m:
        assert m.stats()["cache_bytes_max"] == 64 << 20
        assert os.stat(m.path / "A/block_0_0").st_mode & 0o777 == 0o600
        with pytest.raises(PermissionError):
            os.unlink(m.path / "A/block_0_0")


@pytest.mark.parametrize("arguments, words", [
    ([], "missing operand"),
    (["x"], "missing operand: got 1"),
    (["--cache-siez", "1", "a", "b"], "did you mean --cache-size?"),
    (["--cache-size", "much", "a", "b"], "'much' is not a size"),
    (["-o", "cache_size=much", "a", "b"], "'much' is not a size"),
])
def test_wrong_usage(arguments, words):
    done = bmfs(*arguments)
    assert done.returncode == 2 and words in done.stderr


def test_failures_are_one_line_that_says_what_to_do(dir_bucket, tmp_path):
    mnt = tmp_path / "mnt"
    mnt.mkdir()
    (tmp_path / "file").write_text("")
    for location, point, words in (
            (f"file://{tmp_path}/nothing", mnt, "nothing"),
            (f"file://{tmp_path}/file", mnt, "file"),
            (dir_bucket.location(), tmp_path / "absent", "mkdir -p"),
            (dir_bucket.location(), tmp_path / "file", "no directory"),
            ("a b", mnt, "cannot be the name of a bucket"),
            ("file://relative", mnt, "file:///DIR")):
        done = bmfs("--cache-dir", tmp_path / "cache", location, point)
        assert done.returncode == 32, (location, done)
        assert words in done.stderr, done.stderr
        lines = done.stderr.strip().splitlines()
        assert lines[0].startswith("bmfs: ") and len(lines) <= 2, done.stderr


def test_a_cache_folder_of_somebody_else_is_refused(dir_bucket, tmp_path):
    mnt = tmp_path / "mnt"
    mnt.mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    done = bmfs("--cache-dir", tmp_path / "open", dir_bucket.location(), mnt)
    assert done.returncode == 32 and "open to others" in done.stderr


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stores_what_is_finished_and_unmounts(bucket, tmp_path, sig):
    bucket.put(f"{kit.PREFIX}A/header", kit.header([4, 4], [2, 2]))
    m = kit.Mount(bucket, tmp_path)
    with m:
        f = open(m.path / "A/block_0_0", "wb", buffering=0)
        f.write(kit.npy(np.eye(2)))
        half = open(m.path / "A/block_0_1", "wb", buffering=0)
        half.write(kit.npy(np.eye(2))[:140])
        m.process.send_signal(sig)
        m.process.wait(timeout=30)
        assert m.process.returncode == 0
        for g in (f, half):
            try:
                g.close()
            except OSError:
                pass
    assert bucket.get(f"{kit.PREFIX}A/0_2_2_0_2_2_") == kit.npy(np.eye(2))
    assert bucket.keys(f"{kit.PREFIX}A/0_2_2_2_4_2_") == []


def test_the_end_of_one_mount_leaves_the_next_one_alone(dir_bucket, tmp_path):
    kit.put_matrix(dir_bucket, "A", np.eye(4), (2, 2))
    for turn in range(10):
        first = kit.Mount(dir_bucket, tmp_path)
        first.start()
        kit.run("fusermount3", "-u", first.path)
        with kit.Mount(dir_bucket, tmp_path) as second:
            first.process.wait(timeout=30)
            assert second.is_mounted() and "A" in os.listdir(second.path), turn


def test_a_dead_mount_is_taken_away(bucket, tmp_path):
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    m = kit.Mount(bucket, tmp_path)
    m.start()
    os.listdir(m.path)
    m.kill()
    with pytest.raises(OSError) as failed:
        os.listdir(m.path)
    assert failed.value.errno in (103, 107)
    with m:
        assert np.array_equal(np.load(m.path / "A/block_0_0"), np.eye(2))
        assert len(os.listdir(m.cache / "mounts")) == 1


def test_the_cache_survives_a_restart_and_is_shared(s3_bucket, tmp_path):
    array = np.random.default_rng(5).standard_normal((512, 512))
    kit.put_matrix(s3_bucket, "A", array, (512, 512))
    cache = tmp_path / "cache"
    for name in ("first", "second"):
        with kit.Mount(s3_bucket, tmp_path, cache=cache, name=name) as m:
            assert np.array_equal(np.load(m.path / "A/block_0_0"), array)
            read = m.stats()["bytes_in"]
    assert read < 300_000
    victim = next(p for p in (cache / "objects").glob("*/*") if p.stat().st_size > 1 << 20)
    with open(victim, "r+b") as f:
        f.seek(1000)
        f.write(b"\xff\x00\xff")
    with kit.Mount(s3_bucket, tmp_path, cache=cache, name="third") as m:
        assert np.array_equal(np.load(m.path / "A/block_0_0"), array)
        assert "fails its check" in m.log()


def test_the_cache_keeps_to_its_size(s3_bucket, tmp_path):
    array = np.random.default_rng(6).standard_normal((2048, 512))
    kit.put_matrix(s3_bucket, "A", array, (128, 512))
    with kit.Mount(s3_bucket, tmp_path, "--cache-size", "2MiB") as m:
        for _ in range(2):
            for i in range(16):
                assert np.array_equal(np.load(m.path / f"A/block_{i}_0"), array[i * 128:(i + 1) * 128])
        used = sum(p.stat().st_blocks * 512 for p in m.cache.rglob("*") if p.is_file())
        assert used <= 3 << 20


def test_debug_logs_each_request_and_no_secret(bucket, tmp_path):
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    with kit.Mount(bucket, tmp_path, "-d") as m:
        np.load(m.path / "A/block_0_0")
        np.save(m.path / "A/block_0_1", np.ones((2, 2)))
        with pytest.raises(OSError), open(m.path / "A/block_1_1", "wb") as f:
            f.write(b"no block")
    log = m.log()
    for words in (r"debug store: list \S+: ok bytes=0 ms=\d+ try=1",
                  r"debug store: put \S+/A/\S+: ok bytes=\d+ ms=\d+ try=1",
                  r"debug fs: open \S+: ESTALE: to be written",
                  r"debug write: \S+: flush: stored",
                  r"debug write: \S+: flush: not stored"):
        assert re.search(words, log), (words, log)
    secrets = [v for k, v in m.environ.items() if k in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    if isinstance(bucket, kit.S3Bucket):
        assert secrets and re.search(r"debug store: put .* request=\S+", log), log
    assert not any(secret in log for secret in secrets)
    assert not re.search("authorization|signature|credential", log, re.IGNORECASE), log


def test_a_live_mount_is_not_mounted_over(dir_bucket, tmp_path):
    with kit.Mount(dir_bucket, tmp_path) as m:
        link = tmp_path / "link"
        link.symlink_to(m.path)
        for point in (m.path, link):
            done = bmfs("--cache-dir", tmp_path / "cache", dir_bucket.location(), point)
            assert done.returncode == 32 and len(done.stderr.splitlines()) == 1, done.stderr
            assert "already a mount of file://" in done.stderr
            assert f"fusermount3 -u {m.path}" in done.stderr
        assert m.is_mounted() and os.listdir(m.path) == []


def test_the_store_is_not_mounted_on_itself(dir_bucket, tmp_path):
    below = dir_bucket.path / "numpywren.objects/A"
    below.mkdir(parents=True)
    beside = tmp_path / (dir_bucket.path.name + "2")
    beside.mkdir()
    for point in (dir_bucket.path, below):
        done = bmfs("--cache-dir", tmp_path / "cache", dir_bucket.location(), point)
        assert done.returncode == 32 and "in the store itself" in done.stderr, done.stderr
    with kit.Mount(dir_bucket, tmp_path, name=beside.name):
        pass


def test_an_empty_prefix_is_said(bucket, tmp_path):
    with kit.Mount(bucket, tmp_path) as m:
        assert ": 0 matrices, nothing is stored below it yet" in m.log()
        np.save(m.path / "x.npy", np.eye(2))
    with kit.Mount(bucket, tmp_path, name="again") as m:
        assert ": 0 matrices\n" in m.log()
