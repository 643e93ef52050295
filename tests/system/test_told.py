"""What close, fsync, rename and rm say of a file is so, whoever comes between them and the store."""

import contextlib
import errno
import fcntl
import mmap
import os
import signal
import subprocess
import sys
import threading
import time

import kit
import numpy as np
import pytest

KIB = 1 << 10
MIB = 1 << 20


@pytest.fixture
def shop(server, tmp_path):
    """A mount of a bucket through a proxy that has asked what the server can do."""
    bucket = server.bucket()
    with kit.Proxy(server.env["AWS_ENDPOINT_URL"]) as proxy:
        with kit.Mount(bucket, tmp_path, "--endpoint-url", proxy.url, "--timeout", "2s") as m:
            (m.path / "warm").write_bytes(b"x")
            (m.path / "warm").write_bytes(b"y")
            (m.path / "warm").unlink()
            proxy.do("clear")
            yield m, bucket, proxy


@contextlib.contextmanager
def failing(proxy, kind, **which):
    proxy.do("add", kind=kind, always=True, **which)
    try:
        yield
    finally:
        proxy.do("clear")


def told(fn, *args):
    """0, or the number of the error."""
    try:
        fn(*args)
    except OSError as e:
        return e.errno
    return 0


def key(name):
    return f"{kit.PREFIX}{name}"


def test_a_renamed_file_can_be_written_though_its_old_name_has_the_same_bytes_again(shop):
    mount, bucket, _ = shop
    for name in "xyz":
        bucket.put(key(f"r/{name}/a"), b"same")
        os.listdir(mount.path / "r" / name)
        os.rename(mount.path / "r" / name / "a", mount.path / "r" / name / "b")
        (mount.path / "r" / name / ".bm-scratch").write_bytes(b"same")
        os.link(mount.path / "r" / name / ".bm-scratch", mount.path / "r" / name / "a")
        (mount.path / "r" / name / "b").write_bytes(b"new")
        assert bucket.get(key(f"r/{name}/b")) == b"new"
        assert (mount.path / "r" / name / "a").read_bytes() == b"same"


@pytest.mark.parametrize("whole", [True, False])
def test_a_directory_that_is_read_again_from_its_beginning_is_listed_anew(shop, whole):
    def names():
        if whole:
            return os.listdir(fd)
        with os.scandir(fd) as entries:  # not to its end
            return [next(entries).name]

    mount, bucket, _ = shop
    bucket.put(key("d/a"), b"x")
    fd = os.open(mount.path / "d", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert names() == ["a"]
        bucket.put(key("d/b"), b"y")
        bucket.delete(key("d/a"))
        kit.wait_for(lambda: names() == ["b"], 5, "what others have stored")
        assert names() == ["b"] and names() == ["b"]
        kit.wait_for(lambda: not (mount.path / "d/a").exists(), 2, "the kernel's forgetting it")
    finally:
        os.close(fd)


def test_a_directory_made_anew_knows_nothing_of_the_matrix_that_was_there(shop):
    mount, bucket, _ = shop
    kit.put_matrix(bucket, "A", np.eye(4), (2, 2))
    fd = os.open(mount.path / "A", os.O_RDONLY | os.O_DIRECTORY)  # the mount remembers it
    try:
        assert (mount.path / "A/block_0_0").exists()
        for name in bucket.keys(key("A/")):
            bucket.delete(name)
        kit.wait_for(lambda: not (mount.path / "A").exists(), 5, "its being gone")
        (mount.path / "A").mkdir()
        (mount.path / "A/notes.txt").write_bytes(b"x")
        assert bucket.get(key("A/notes.txt")) == b"x"
    finally:
        os.close(fd)


@pytest.mark.parametrize("how", ["refused", "no-delete", "slow"])
def test_a_failed_unlink_takes_nothing_from_who_writes(shop, tmp_path, how):
    """Its close stores what it wrote, also when it comes while the store is still being asked."""
    mount, bucket, proxy = shop
    bucket.put(key("f"), b"old bytes")
    other = kit.Mount(bucket, tmp_path, "--no-delete", name="kept") if how == "no-delete" else mount
    with other if how == "no-delete" else contextlib.nullcontext():
        path = other.path / "f"
        with failing(proxy, "silent" if how == "slow" else "403-expired", method="DELETE"):
            fd = os.open(path, os.O_RDWR)
            os.write(fd, b"NEW")
            said = []
            remover = threading.Thread(target=lambda: said.append(told(os.unlink, path)))
            remover.start()
            if how == "slow":
                kit.wait_for(lambda: any(t[0] == "DELETE" for t in proxy.do("trace")), 5, "it")
            else:
                remover.join()
            assert told(os.close, fd) == 0
            kit.wait_for(lambda: bucket.get(key("f")) == b"NEW bytes", 10, "what was closed")
            remover.join()
        assert said[0] in (errno.EIO, errno.EACCES, errno.EPERM, errno.ESTALE), said
        assert path.read_bytes() == b"NEW bytes"


def test_close_of_a_file_that_was_opened_again_tells_what_is_not_stored(shop):
    """The job of the last close tries once more, beside whoever has opened the file again."""
    mount, bucket, proxy = shop
    for i in range(kit.many(4, 20)):
        name = f"again{i}"
        with failing(proxy, "500", method="PUT"):
            fd = os.open(mount.path / name, os.O_WRONLY | os.O_CREAT)
            os.write(fd, b"A" * 100)
            assert told(os.close, fd) == errno.EIO
            fd = os.open(mount.path / name, os.O_WRONLY)
            os.pwrite(fd, b"B" * 100, 0)
            time.sleep(0.1 * (i % 3))
            code = told(os.close, fd)
        assert code != 0 or bucket.get(key(name)) == b"B" * 100


def test_a_write_that_failed_before_its_bytes_were_there_is_told_at_close(shop):
    mount, bucket, proxy = shop
    bucket.put(key("cold"), b"O" * MIB)
    fd = os.open(mount.path / "cold", os.O_RDWR)
    with failing(proxy, "500", method="GET"):
        assert told(os.pwrite, fd, b"N" * KIB, 0) == errno.EIO
    assert told(os.close, fd) == errno.EIO
    fd = os.open(mount.path / "cold", os.O_RDWR)  # and then all begins anew
    os.pwrite(fd, b"M" * KIB, 0)
    os.close(fd)
    assert bucket.get(key("cold")) == b"M" * KIB + b"O" * (MIB - KIB)


def test_an_older_kernel_is_told_the_same(server, tmp_path):
    """Where it cannot map files that are not in its page cache, it names no writer."""
    bucket = server.bucket()
    with kit.Proxy(server.env["AWS_ENDPOINT_URL"]) as proxy, \
            kit.Mount(bucket, tmp_path, "--endpoint-url", proxy.url, "--timeout", "2s",
                      env={"BMFS_OLD_KERNEL": "1"}) as mount:
        path = mount.path / "old"
        path.write_bytes(b"A" * 100)
        assert bucket.get(key("old")) == b"A" * 100
        fd = os.open(path, os.O_RDWR)
        os.pwrite(fd, b"B" * 100, 0)
        bucket.put(key("old"), b"theirs")
        assert told(os.close, fd) == errno.ESTALE
        with failing(proxy, "500", method="PUT"):
            assert told(path.write_bytes, b"C" * 100) == errno.EIO
        fd = os.open(mount.path / "half", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"D" * 50)
        subprocess.run(["true"], pass_fds=[fd], check=True)  # which closes what it has inherited
        assert bucket.keys(key("half")) == []
        os.write(fd, b"D" * 50)
        os.close(fd)
        assert bucket.get(key("half")) == b"D" * 100
        array = np.lib.format.open_memmap(mount.path / "m.npy", "w+", shape=(100, 100))
        array[:] = 7
        array.flush()
        del array
        assert (np.load(mount.path / "m.npy") == 7).all()


def test_half_of_a_mapping_is_not_stored(shop):
    """The kernel writes pages when it likes: those that it could not write make the others half an
    update."""
    mount, bucket, proxy = shop
    size = 8 * MIB
    bucket.put(key("map"), b"O" * size)
    fd = os.open(mount.path / "map", os.O_RDWR)
    m = mmap.mmap(fd, size)
    os.close(fd)
    assert m[:4096] == b"O" * 4096  # this page is there
    with failing(proxy, "500", method="GET"):
        m[:4096] = b"N" * 4096
        assert told(m.flush, 0, 4096) == errno.EIO
    m[size // 2:size // 2 + 4096] = b"N" * 4096
    m.close()
    time.sleep(1)
    assert bucket.get(key("map")) == b"O" * size


def test_a_store_whose_outcome_nobody_knew_is_no_conflict(shop):
    mount, bucket, proxy = shop
    (mount.path / "f").write_bytes(b"old")
    fd = os.open(mount.path / "f", os.O_RDWR)
    for i in range(6):
        os.pwrite(fd, b"%d" % i * 50, 0)
        with failing(proxy, "lost", method="PUT"), failing(proxy, "500", method="HEAD|GET"):
            assert told(os.fsync, fd) == errno.EIO
    os.pwrite(fd, b"M" * 60, 0)
    os.fsync(fd)
    os.close(fd)
    assert bucket.get(key("f")) == b"M" * 60
    fd = os.open(mount.path / "f", os.O_RDWR)
    os.pwrite(fd, b"N", 0)
    with failing(proxy, "lost", method="PUT"), failing(proxy, "500", method="HEAD|GET"):
        assert told(os.fsync, fd) == errno.EIO
    bucket.put(key("f"), b"theirs")  # but this is one
    os.pwrite(fd, b"P", 0)
    assert told(os.fsync, fd) == errno.ESTALE
    assert told(os.close, fd) == errno.ESTALE
    assert bucket.get(key("f")) == b"theirs"


def test_a_new_file_whose_outcome_nobody_knew_can_be_removed(shop):
    mount, bucket, proxy = shop
    fd = os.open(mount.path / "n", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"x" * 100)
    with failing(proxy, "lost", method="PUT"), failing(proxy, "500", method="HEAD|GET"):
        assert told(os.fsync, fd) == errno.EIO
    assert bucket.get(key("n")) == b"x" * 100
    os.unlink(mount.path / "n")
    assert bucket.keys(key("n")) == []
    os.close(fd)
    assert bucket.keys(key("n")) == []


@pytest.mark.parametrize("create", [os.O_CREAT, 0])
def test_who_opens_a_name_while_its_removal_goes_on_loses_nothing(shop, create):
    """The removal was interrupted, and nobody knows yet whether there is anything to remove."""
    def ring(*_):
        raise InterruptedError

    mount, bucket, proxy = shop
    path = mount.path / "n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"x" * 100)
    with failing(proxy, "lost", method="PUT"), failing(proxy, "500", method="HEAD|GET"):
        assert told(os.fsync, fd) == errno.EIO
    old = signal.signal(signal.SIGALRM, ring)
    try:
        with failing(proxy, "silent", method="HEAD|DELETE"):
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(InterruptedError):
                os.unlink(path)
    finally:
        signal.signal(signal.SIGALRM, old)
    opened = []
    if told(lambda: opened.append(os.open(path, os.O_WRONLY | os.O_TRUNC | create))) == 0:
        os.write(opened[0], b"new")
        assert told(os.close, opened[0]) == 0
        assert bucket.get(key("n")) == b"new"
    assert opened or not create
    os.close(fd)
    assert bucket.keys(key("n")) == ([key("n")] if opened else [])


@pytest.mark.parametrize("lost", [False, True])
def test_removing_a_file_that_was_not_stored_removes_nobody_elses(shop, lost):
    mount, bucket, proxy = shop
    fd = os.open(mount.path / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"ours")
    with failing(proxy, "500", method="PUT"):
        assert told(os.fsync, fd) == errno.EIO
    bucket.put(key("f"), b"theirs")
    if lost:
        assert told(os.fsync, fd) == errno.ESTALE
    os.unlink(mount.path / "f")
    told(os.close, fd)
    assert bucket.get(key("f")) == b"theirs"


def test_a_rename_of_what_may_be_stored_leaves_no_second_name(shop):
    mount, bucket, proxy = shop
    fd = os.open(mount.path / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"ours")
    with failing(proxy, "lost", method="PUT"), failing(proxy, "500", method="HEAD|GET"):
        assert told(os.fsync, fd) == errno.EIO
    os.rename(mount.path / "f", mount.path / "g")
    os.close(fd)
    assert bucket.keys(key("f")) == [] and bucket.get(key("g")) == b"ours"


def test_a_removal_that_is_repeated_does_not_take_what_came_after_it(shop):
    """The reply to a DELETE is lost, and somebody else makes the file anew before it is sent again."""
    mount, bucket, proxy = shop
    (mount.path / "lock").write_bytes(b"mine")
    proxy.do("add", kind="lost", method="DELETE")
    for nth in range(1, 4):
        proxy.do("add", kind="slow", method="HEAD", target="lock", nth=nth)

    def others():
        kit.wait_for(lambda: proxy.do("hits")[0], what="the DELETE")
        bucket.put(key("lock"), b"theirs")

    other = threading.Thread(target=others)
    other.start()
    code = told(os.unlink, mount.path / "lock")
    other.join()
    proxy.do("clear")
    assert code == errno.EIO
    assert bucket.get(key("lock")) == b"theirs"


def test_what_is_stored_after_an_interrupted_removal_stays(shop):
    """The request goes on though nobody waits for it."""
    mount, bucket, proxy = shop
    for i in range(3):
        path = mount.path / f"rm{i}"
        path.write_bytes(b"old")
        for nth in range(1, 3):
            proxy.do("add", kind="slow", method="HEAD" if nth == i else "DELETE", target=path.name)
        rm = subprocess.Popen(["rm", path])
        time.sleep(0.2)
        rm.send_signal(signal.SIGINT)
        assert rm.wait(timeout=30) != 0
        path.write_bytes(b"new")
        time.sleep(1.5)
        proxy.do("clear")
        assert bucket.get(key(path.name)) == b"new"
        assert path.read_bytes() == b"new"


def test_a_removal_that_waited_for_a_store_ends_with_who_asked_for_it(shop):
    mount, bucket, proxy = shop
    path = mount.path / "f"
    path.write_bytes(b"old")
    proxy.do("add", kind="slow", method="PUT", target="f")
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"mid", 0)
    syncs = threading.Thread(target=told, args=(os.fsync, fd))
    syncs.start()
    time.sleep(0.2)
    rm = subprocess.Popen(["rm", path], stderr=subprocess.DEVNULL)
    time.sleep(0.1)
    rm.send_signal(signal.SIGINT)
    rm.wait(timeout=30)
    code = told(path.write_bytes, b"new")
    syncs.join()
    time.sleep(1)
    told(os.close, fd)
    assert code != 0 or bucket.get(key("f")) == b"new"


def test_a_header_can_be_made_after_an_interrupted_removal(shop):
    mount, bucket, proxy = shop
    path = mount.path / "H/header.json"
    path.parent.mkdir()
    path.write_bytes(kit.header([4, 4], [2, 2]))
    proxy.do("add", kind="slow", method="DELETE", target="header")
    rm = subprocess.Popen(["rm", path], stderr=subprocess.DEVNULL)
    time.sleep(0.25)
    rm.send_signal(signal.SIGINT)
    rm.wait(timeout=30)
    path.write_bytes(kit.header([8, 8], [2, 2]))
    time.sleep(1)
    assert b"8" in bucket.get(key("H/header"))


OTHER = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
def told(fn, *args):
    try:
        fn(*args)
    except OSError as e:
        return e.errno
    return 0
for line in sys.stdin:
    print(eval(line), flush=True)
"""


class Other:
    """Another process that has a file open."""

    def __init__(self, path):
        self.process = subprocess.Popen([sys.executable, "-c", OTHER, path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.told("told(os.fstat, fd)") == 0

    def told(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def test_who_was_not_told_of_a_failed_write_is_told_at_close(shop):
    """Somebody else's fsync has told somebody else."""
    mount, bucket, proxy = shop
    bucket.put(key("cold"), b"O" * MIB)
    fd = os.open(mount.path / "cold", os.O_RDWR)
    other = Other(mount.path / "cold")
    with failing(proxy, "500", method="GET"):
        assert told(os.pwrite, fd, b"A" * 4096, 0) == errno.EIO
    other.told("told(os.fsync, fd)")
    os.pwrite(fd, b"A" * 4096, 4096)
    assert told(os.close, fd) == errno.EIO
    other.end()
    assert bucket.get(key("cold")) == b"O" * MIB


def test_all_whose_writes_have_failed_are_told_at_close(shop):
    mount, bucket, proxy = shop
    bucket.put(key("cold"), b"O" * MIB)
    fd = os.open(mount.path / "cold", os.O_RDWR)
    other = Other(mount.path / "cold")
    with failing(proxy, "500", method="GET"):
        assert told(os.pwrite, fd, b"A" * 10, 0) == errno.EIO
        assert other.told("told(os.pwrite, fd, b'B' * 10, 0)") == errno.EIO
    assert told(os.close, fd) == errno.EIO
    assert other.told("told(os.close, fd)") == errno.EIO
    other.end()


def test_those_who_open_a_file_while_it_is_being_stored_share_it(shop):
    mount, bucket, proxy = shop
    path = mount.path / "shared"
    path.write_bytes(b"O" * 8)
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"1", 0)
    proxy.do("add", kind="late", method="PUT", target="shared")
    syncs = threading.Thread(target=os.fsync, args=(fd,))
    syncs.start()
    kit.wait_for(lambda: bucket.get(key("shared"))[:1] == b"1", what="the PUT")
    other = os.open(path, os.O_RDWR)
    os.pwrite(other, b"2", 1)
    syncs.join()
    os.close(other)
    os.pwrite(fd, b"3", 2)
    os.close(fd)
    proxy.do("clear")
    assert bucket.get(key("shared")) == b"123" + b"O" * 5


def test_a_block_that_is_cut_short_is_refused(tmp_path):
    bucket = kit.DirBucket(tmp_path / "store")
    kit.put_matrix(bucket, "A", np.ones((4, 4)), (4, 4))
    with kit.Mount(bucket, tmp_path) as mount:
        before = (mount.path / "A/block_0_0").read_bytes()
        for size in (0, 1, 100, 128, 200):
            fd = os.open(mount.path / "A/block_0_0", os.O_RDWR)
            os.ftruncate(fd, size)
            assert told(os.close, fd) == errno.EINVAL, size
            assert (mount.path / "A/block_0_0").read_bytes() == before
        with open(mount.path / "A/block_0_0", "r+b") as f:
            f.seek(len(before) - 8)
            f.write(b"\0" * 8)
        assert (mount.path / "A/block_0_0").read_bytes() == before[:-8] + b"\0" * 8


def test_a_rename_takes_what_was_written_along(tmp_path):
    bucket = kit.DirBucket(tmp_path / "store")
    with kit.Mount(bucket, tmp_path) as mount:
        for how in ("open", "mapped"):
            path = mount.path / how
            path.write_bytes(b"O" * 4096)
            fd = os.open(path, os.O_RDWR)
            if how == "mapped":
                m = mmap.mmap(fd, 4096)
                os.close(fd)
                m[:] = b"N" * 4096
                m.close()
            else:
                os.pwrite(fd, b"N" * 4096, 0)
            os.rename(path, mount.path / "moved")
            assert (mount.path / "moved").read_bytes() == b"N" * 4096
            if how == "open":
                os.close(fd)
            assert bucket.get(key("moved")) == b"N" * 4096 and bucket.keys(key(how)) == []


def test_a_rename_or_link_is_of_what_the_process_has_written(tmp_path):
    bucket = kit.DirBucket(tmp_path / "store")
    with kit.Mount(bucket, tmp_path) as mount:
        for how in (os.rename, os.link):
            path = mount.path / how.__name__
            path.write_bytes(b"O" * 100)
            fd = os.open(path, os.O_RDWR)
            os.pwrite(fd, b"N" * 100, 0)
            how(path, mount.path / "to")
            os.close(fd)
            assert bucket.get(key("to")) == b"N" * 100
            os.unlink(mount.path / "to")
            path.write_bytes(b"O" * 100)
            fd = os.open(path, os.O_RDWR)
            os.pwrite(fd, b"N" * 100, 0)
            bucket.put(key(how.__name__), b"theirs")
            assert told(how, path, mount.path / "to") == errno.EIO
            assert told(os.close, fd) == errno.ESTALE
            assert bucket.get(key(how.__name__)) == b"theirs" and bucket.keys(key("to")) == []


def test_a_change_of_a_file_that_nobody_has_open_any_more_is_refused(tmp_path):
    """By a descriptor that is none for reading or writing."""
    bucket = kit.DirBucket(tmp_path / "store")
    with kit.Mount(bucket, tmp_path) as mount:
        (mount.path / "f").write_bytes(b"0123456789")
        fd = os.open(mount.path / "f", os.O_RDWR)
        spot = os.open(f"/proc/self/fd/{fd}", os.O_PATH)
        os.close(fd)
        time.sleep(0.5)
        with contextlib.suppress(OSError):
            os.truncate(f"/proc/self/fd/{spot}", 5)
        with contextlib.suppress(OSError):
            os.link(f"/proc/self/fd/{spot}", mount.path / "g", follow_symlinks=True)
        os.close(spot)
        assert (mount.path / "f").read_bytes() == b"0123456789"


def test_a_mount_that_was_stopped_while_it_made_room_hangs_no_other(s3_bucket, tmp_path):
    """It has the lock of the cache folder that they share."""
    for i in range(8):
        s3_bucket.put(key(f"f{i}"), os.urandom(MIB))
    with kit.Mount(s3_bucket, tmp_path, "--cache-size", "4M") as mount:
        for i in range(4):
            (mount.path / f"f{i}").read_bytes()
        with open(mount.cache / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            begun = time.monotonic()
            for i in range(4, 8):
                assert len((mount.path / f"f{i}").read_bytes()) == MIB
                assert told((mount.path / f"new{i}").write_bytes, b"x" * 3 * MIB) in (0, errno.ENOSPC)
                assert len(os.listdir(mount.path)) >= 8
            assert time.monotonic() - begun < 60
            mount.unmount()


@pytest.fixture
def two(tmp_path):
    bucket = kit.DirBucket(tmp_path / "store")
    with kit.Mount(bucket, tmp_path, name="one") as one, \
            kit.Mount(bucket, tmp_path, name="two") as other:
        yield one.path, other.path


def test_a_header_is_the_one_that_was_closed_last(two):
    one, other = two
    (one / "A").mkdir()
    for i in range(10):
        (one / "A/header.json").write_bytes(kit.header([4 + i, 4], [2, 2]))
        assert f"{4 + i}" in (other / "A/header.json").read_text()
        assert (other / "A/header.json").read_text() == (one / "A/header.json").read_text()


def test_a_directory_that_became_a_matrix_elsewhere_is_one(two):
    one, other = two
    for i in range(6):
        (one / f"d{i}").mkdir()
        (one / f"d{i}/x").write_bytes(b"1")
        assert not (other / f"d{i}/header.json").exists()
        assert not (other / f"d{i}/block_0_0").exists()
        (one / f"d{i}/x").unlink()
        (one / f"d{i}/header.json").write_bytes(kit.header([4, 4], [2, 2]))
        with open(one / f"d{i}/block_0_0", "wb") as f:
            np.save(f, np.ones((2, 2)))
        if i % 2:
            assert (other / f"d{i}/header.json").exists()
        assert (np.load(other / f"d{i}/block_0_0") == 1).all()


def test_a_matrix_that_was_made_anew_elsewhere_is_known_after_a_second(two):
    one, other = two
    (one / "d").mkdir()
    (one / "d/header.json").write_bytes(kit.header([4, 4], [2, 2]))
    assert not (other / "d/block_0_1").exists()
    (one / "d/header.json").unlink()
    (one / "d/header.json").write_bytes(kit.header([8, 8], [4, 4]))
    with open(one / "d/block_1_1", "wb") as f:
        np.save(f, np.ones((4, 4)))
    time.sleep(1.1)
    assert (np.load(other / "d/block_1_1") == 1).all()
    (one / "d/header.json").unlink()
    assert sorted(os.listdir(other / "d"))  # its blocks alone: a header is inferred
    (one / "d/header.json").write_bytes(kit.header([8, 12], [4, 4]))
    with open(one / "d/block_1_2", "wb") as f:
        np.save(f, np.ones((4, 4)))
    time.sleep(1.1)
    assert (np.load(other / "d/block_1_2") == 1).all()
