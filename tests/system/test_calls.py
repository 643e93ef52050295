"""What each call says of each kind of file, where it is not what everybody tests."""

import ctypes
import errno
import fcntl
import os

import kit
import numpy as np
import pytest

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE = 1, 2
libc = ctypes.CDLL(None, use_errno=True)


def refused(code, call, *words):
    with pytest.raises(OSError) as failed:
        call(*words)
    assert failed.value.errno == code, failed.value


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")


@pytest.fixture
def files(mount, bucket):
    """A matrix A of four blocks, a file and an empty directory."""
    kit.put_matrix(bucket, "A", np.arange(16.0).reshape(4, 4), (2, 2))
    bucket.put(f"{kit.PREFIX}f", b"0123456789")
    (mount.path / "d").mkdir()
    return mount.path


@pytest.mark.parametrize("name", ["A/block_0_0", "A/block_0_1.raw", "A/header.json", "f",
                                  ".bmfs/stats.json"])
def test_no_file_has_holes(files, name):
    fd = os.open(files / name, os.O_RDONLY)
    size = len((files / name).read_bytes()) if name != ".bmfs/stats.json" else \
        os.lseek(fd, 0, os.SEEK_HOLE)
    assert os.lseek(fd, 1, os.SEEK_DATA) == 1 and os.lseek(fd, 1, os.SEEK_HOLE) == size
    refused(errno.ENXIO, os.lseek, fd, size, os.SEEK_DATA)
    refused(errno.ENOTTY, fcntl.ioctl, fd, 0x5401)
    os.close(fd)


def test_a_file_that_is_written_has_no_holes_either(files):
    with open(files / "new", "wb", buffering=0) as f:
        f.seek(5000)
        f.write(b"x")
        assert os.lseek(f.fileno(), 0, os.SEEK_HOLE) == 5001
        assert os.lseek(f.fileno(), 7, os.SEEK_DATA) == 7
    assert (files / "new").read_bytes() == bytes(5000) + b"x"


def test_room_can_be_asked_for_and_not_given_back(files):
    with open(files / "new", "wb", buffering=0) as f:
        fallocate(f.fileno(), 0, 0, 3000)
        assert os.fstat(f.fileno()).st_size == 3000
        fallocate(f.fileno(), FALLOC_KEEP_SIZE, 0, 9000)
        assert os.fstat(f.fileno()).st_size == 3000
        refused(errno.EOPNOTSUPP, fallocate, f.fileno(),
                FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE, 0, 10)
        f.write(b"y" * 10)
    assert (files / "new").read_bytes() == b"y" * 10 + bytes(2990)


def test_bytes_are_copied_from_file_to_file(files):
    with open(files / "f", "rb") as source, open(files / "g", "wb") as sink:
        assert os.copy_file_range(source.fileno(), sink.fileno(), 4, 3, 0) == 4
    assert (files / "g").read_bytes() == b"3456"


def test_names_of_temporary_files_can_be_changed(files, bucket):
    block = kit.npy(np.full((2, 2), 7.0))
    (files / "A/x.tmp").write_bytes(block)
    (files / "A/y.tmp").write_bytes(b"other")
    os.rename(files / "A/x.tmp", files / "A/y.tmp")
    assert not (files / "A/x.tmp").exists() and (files / "A/y.tmp").read_bytes() == block
    os.rename(files / "A/y.tmp", files / "A/y.tmp")
    refused(errno.ENOENT, os.rename, files / "A/x.tmp", files / "A/z.tmp")
    refused(errno.EXDEV, os.rename, files / "A/block_0_0", files / "A/z.tmp")
    os.rename(files / "A/y.tmp", files / "A/block_0_0")
    assert bucket.get(f"{kit.PREFIX}A/0_2_2_0_2_2_") == block


def test_renames_of_other_kinds(files, bucket):
    """`mv` copies what cannot be renamed."""
    refused(errno.EXDEV, os.rename, files / "A", files / "B")
    refused(errno.EXDEV, os.rename, files / "A/block_0_0.raw", files / "A/block_0_1.raw")
    refused(errno.EXDEV, os.rename, files / "A/header.json", files / "h.json")
    refused(errno.EPERM, os.rename, files / "A/block_0_0", files / "A/block_1_1.raw")
    refused(errno.ENOENT, os.rename, files / "nothing", files / "g")
    refused(errno.EEXIST, renameat2, files / "f", files / "A/block_0_0", RENAME_NOREPLACE)
    refused(errno.EINVAL, renameat2, files / "f", files / "A/block_0_0", RENAME_EXCHANGE)
    renameat2(files / "f", files / "g", RENAME_NOREPLACE)
    assert bucket.get(f"{kit.PREFIX}g") == b"0123456789"
    os.rename(files / "g", files / "g")
    os.rename(files / "A/block_1_1", files / "d/one")  # a file of its own now
    assert bucket.keys(f"{kit.PREFIX}d/") == [f"{kit.PREFIX}d/one"]


def test_a_file_is_renamed_over_one_that_is_being_written(files, bucket):
    """Who writes the old one is told."""
    with open(files / "g", "wb", buffering=0) as g:
        g.write(b"old")
        os.fsync(g.fileno())
        g.write(b"er")
        os.rename(files / "f", files / "g")
        refused(errno.ESTALE, os.fsync, g.fileno())
        with pytest.raises(OSError):
            g.close()
    assert bucket.get(f"{kit.PREFIX}g") == b"0123456789"


def test_links_are_second_objects(files, bucket):
    os.link(files / "f", files / "g")
    assert bucket.get(f"{kit.PREFIX}g") == b"0123456789"
    refused(errno.EEXIST, os.link, files / "f", files / "g")
    refused(errno.EPERM, os.link, files / "A", files / "B")
    refused(errno.EPERM, os.link, files / "f", files / "A/link.tmp")
    os.unlink(files / "A/block_1_1")
    refused(errno.EINVAL, os.link, files / "f", files / "A/block_1_1")  # no block
    with open(files / "w", "wb", buffering=0) as w:
        w.write(b"unsaved")
        os.link(files / "w", files / "v")
        assert bucket.get(f"{kit.PREFIX}v") == b"unsaved"
    for call in (os.symlink, os.mkfifo):
        words = ("f", files / "s") if call is os.symlink else (files / "s",)
        refused(errno.EPERM, call, *words)


def test_attributes_of_every_kind(files):
    etag = os.getxattr(files / "A/block_0_0", "user.bmfs.etag")
    assert os.getxattr(files / "A/block_0_0.raw", "user.bmfs.etag") == etag
    assert libc.getxattr(os.fsencode(files / "f"), b"user.bmfs.etag", None, 0) > 0
    small = ctypes.create_string_buffer(1)
    assert libc.getxattr(os.fsencode(files / "f"), b"user.bmfs.etag", small, 1) == -1
    assert ctypes.get_errno() == errno.ERANGE
    assert libc.listxattr(os.fsencode(files / "f"), small, 1) == -1
    assert ctypes.get_errno() == errno.ERANGE
    refused(errno.ENODATA, os.getxattr, files / "f", "user.bmfs.crc32c")  # another wrote it
    (files / "mine").write_bytes(b"123456789")
    assert os.getxattr(files / "mine", "user.bmfs.crc32c") == b"e3069283"
    for name in ("f", "d", "A/header.json", ".bmfs/errors"):
        refused(errno.ENODATA, os.getxattr, files / name, "user.other")
        with pytest.raises(OSError):
            os.setxattr(files / name, "user.other", b"x")
        with pytest.raises(OSError):
            os.removexattr(files / name, "user.bmfs.etag")


def test_sizes_are_set_through_descriptors(files, bucket):
    refused(errno.EINVAL, os.truncate, files / "f", 4)
    os.truncate(files / "f", 10)  # as it is
    with pytest.raises(OSError):
        os.truncate(files / "d", 0)
    refused(errno.EINVAL, os.truncate, files / ".bmfs/errors", 0)
    with open(files / "f", "r+b", buffering=0) as f:
        f.truncate(4)
        assert os.fstat(f.fileno()).st_size == 4
        f.truncate(6)
    assert bucket.get(f"{kit.PREFIX}f") == b"0123\0\0"


def test_the_mounts_own_files_are_its_own(files):
    for name in ("errors", "stats.json"):
        path = files / ".bmfs" / name
        refused(errno.EACCES, open, path, "r+b")
        for call in (os.unlink, lambda p: os.rename(p, files / "x"),
                     lambda p: os.link(p, files / "x")):
            with pytest.raises(OSError):
                call(path)
        with pytest.raises(OSError):
            os.rename(files / "f", path)
        with pytest.raises(OSError):
            os.mkdir(path)
    assert (files / "f").exists()


def test_directories_are_removed_when_they_are_empty(files, bucket):
    refused(errno.ENOTDIR, os.rmdir, files / "f")
    refused(errno.ENOTEMPTY, os.rmdir, files / "A")
    refused(errno.EISDIR, os.unlink, files / "A")
    refused(errno.EEXIST, os.mkdir, files / "A")
    refused(errno.EEXIST, os.mkdir, files / "f")
    refused(errno.ENOENT, os.rmdir, files / "nothing")
    os.rmdir(files / "d")
    refused(errno.ENOENT, os.rmdir, files / "d")
    with pytest.raises(OSError):
        os.mkdir(files / "A/below")  # a matrix has no directories
    if bucket.kind == "s3":  # a marker, as consoles of S3 leave it
        bucket.put(f"{kit.PREFIX}marked/", b"")
        assert os.listdir(files / "marked") == []
        os.rmdir(files / "marked")
        assert f"{kit.PREFIX}marked/" not in bucket.keys()


def test_opening_what_cannot_be_opened_so(files):
    refused(errno.EISDIR, os.open, files / "A", os.O_WRONLY)
    refused(errno.ENOTDIR, os.open, files / "f", os.O_RDONLY | os.O_DIRECTORY)
    refused(errno.ENOTDIR, os.open, files / "f/below", os.O_RDONLY)
    refused(errno.EEXIST, os.open, files / "f", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    refused(errno.ENOENT, os.open, files / "nothing", os.O_WRONLY)
    refused(errno.ENOENT, os.open, files / "nothing/below", os.O_WRONLY | os.O_CREAT)
    fd = os.open(files / "f", os.O_RDONLY)
    refused(errno.EBADF, os.write, fd, b"x")
    os.close(fd)
    fd = os.open(files / "A/header.json", os.O_RDWR)  # read and left alone
    assert os.read(fd, 1) == b"{"
    os.close(fd)


@pytest.mark.parametrize("flags", [os.O_APPEND, os.O_TRUNC, 0])
def test_two_descriptors_of_one_file_write_one_file(files, bucket, flags):
    one = os.open(files / "f", os.O_WRONLY)
    two = os.open(files / "f", os.O_WRONLY | flags)
    os.write(one, b"AB")
    os.write(two, b"xyz")
    os.close(one)
    os.close(two)
    want = {os.O_APPEND: b"AB23456789xyz", os.O_TRUNC: b"xyz", 0: b"xyz3456789"}[flags]
    kit.wait_for(lambda: bucket.get(f"{kit.PREFIX}f") == want, 10, want)
