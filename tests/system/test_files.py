"""Every program finds the files that it expects: one line each, as a user would type it."""

import errno
import json
import os
import re
import stat
import subprocess
import tarfile

import kit
import numpy as np
import pytest

SHAPE, SHARDS = (300, 200), (128, 96)


@pytest.fixture
def array():
    return np.random.default_rng(3).standard_normal(SHAPE)


@pytest.fixture
def matrix(bucket, tmp_path, array):
    """A mounted matrix A of 3 x 3 blocks."""
    kit.put_matrix(bucket, "A", array, SHARDS)
    with kit.Mount(bucket, tmp_path) as m:
        yield m


def block(array, i, j):
    return array[i * 128:(i + 1) * 128, j * 96:(j + 1) * 96]


def stored(bucket, i, j):
    return bucket.get(f"{kit.PREFIX}A/{kit.object_name((i, j), SHAPE, SHARDS)}")


def test_ls(matrix, bucket):
    assert kit.shell("ls -U A", matrix.path).stdout.split()[0] == "header.json"
    lines = kit.shell("ls -l A", matrix.path).stdout.splitlines()[1:]
    sizes = {line.split()[-1]: int(line.split()[4]) for line in lines}
    assert len(sizes) == 10
    for i in range(3):
        for j in range(3):
            assert sizes[f"block_{i}_{j}"] == len(stored(bucket, i, j))


def test_cat_and_jq_of_the_header(matrix):
    text = kit.shell("cat A/header.json", matrix.path).stdout
    assert text.endswith("}\n")
    assert json.loads(text)["shape"] == list(SHAPE)
    shape = kit.shell("python3 -c 'import json; print(json.load(open(\"A/header.json\"))[\"shape\"])'",
                      matrix.path).stdout
    assert shape == f"{list(SHAPE)}\n"


def test_cp_and_sha256sum(matrix, bucket, tmp_path):
    kit.shell(f"cp A/block_0_0 {tmp_path}/x && cmp A/block_0_0 {tmp_path}/x", matrix.path)
    assert (tmp_path / "x").read_bytes() == stored(bucket, 0, 0)
    first = kit.shell("sha256sum A/block_*", matrix.path).stdout
    assert kit.shell("sha256sum A/block_*", matrix.path).stdout == first


def test_a_write_of_the_wrong_size_fails_and_says_why(matrix, bucket, tmp_path):
    before = stored(bucket, 0, 0)
    (tmp_path / "x").write_bytes(before[:-1])
    for command in (f"cp {tmp_path}/x A/block_0_0", f"dd if={tmp_path}/x of=A/block_0_0",
                    f"cat {tmp_path}/x > A/block_0_0",
                    f"cp {tmp_path}/x A/.bm-x && mv A/.bm-x A/block_0_0"):
        assert kit.shell(command, matrix.path, check=False).returncode != 0, command
    assert stored(bucket, 0, 0) == before
    assert (matrix.path / "A/block_0_0").read_bytes() == before
    assert "cannot store" in matrix.errors() and "bytes" in matrix.errors()


def test_head_tail_and_xxd(matrix, bucket):
    body = stored(bucket, 1, 1)
    assert kit.shell("head -c 6 A/block_1_1 | xxd -p", matrix.path).stdout == "934e554d5059\n"
    assert kit.run("tail", "-c", "8", matrix.path / "A/block_1_1", text=False).stdout == body[-8:]
    out = kit.run("dd", f"if={matrix.path}/A/block_1_1", "bs=8", "skip=1000", "count=1",
                  text=False).stdout
    assert out == body[8000:8008]


def test_numpy_maps_blocks(matrix, array):
    for mode in ("r", "c"):
        x = np.load(matrix.path / "A/block_0_1", mmap_mode=mode)
        assert np.array_equal(x, block(array, 0, 1))
    x = np.load(matrix.path / "A/block_0_1", mmap_mode="r+")
    x[5, 7] = -1
    x.flush()
    assert np.load(matrix.path / "A/block_0_1")[5, 7] == -1


def test_bare_elements_in_both_orders(matrix, array):
    folder = matrix.path / "A"
    expect = block(array, 2, 2)
    assert np.array_equal(np.fromfile(folder / "block_2_2.raw").reshape(expect.shape), expect)
    x = np.memmap(folder / "block_2_2.raw", dtype="<f8", mode="r", shape=expect.shape)
    assert np.array_equal(x, expect)
    x = np.memmap(folder / "block_2_2.F.raw", dtype="<f8", mode="r", shape=expect.shape, order="F")
    assert np.array_equal(x, expect)


@pytest.mark.skipif(not kit.have("Rscript"), reason="no R here")
def test_r_reads_blocks(matrix, array):
    rows, columns = block(array, 0, 0).shape
    script = (f'x <- matrix(readBin("A/block_0_0.raw", "double", {rows * columns}), {rows}, '
              f'byrow=TRUE); y <- matrix(readBin("A/block_0_0.F.raw", "double", {rows * columns}), '
              f'{rows}); stopifnot(identical(x, y)); cat(sprintf("%.17g", x[3, 5]))')
    out = kit.run("Rscript", "-e", script, cwd=matrix.path).stdout
    assert float(out) == block(array, 0, 0)[2, 4]


@pytest.mark.skipif(not kit.have("octave-cli"), reason="no Octave here")
def test_octave_reads_blocks(matrix, array):
    rows, columns = block(array, 0, 0).shape
    script = (f'f = fopen("A/block_0_0.F.raw"); x = fread(f, [{rows} {columns}], "double"); '
              f'f = fopen("A/block_0_0.raw"); y = fread(f, [{columns} {rows}], "double")\'; '
              'assert(x, y); printf("%.17g", x(3, 5));')
    out = kit.run("octave-cli", "--no-gui", "--eval", script, cwd=matrix.path).stdout
    assert float(out) == block(array, 0, 0)[2, 4]


def test_tar_find_grep_and_du_see_each_block_once(matrix, bucket, tmp_path):
    kit.shell(f"tar cf {tmp_path}/a.tar A", matrix.path)
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert len(tar.getmembers()) == 11
        assert tar.extractfile("A/block_2_0").read() == stored(bucket, 2, 0)
    assert kit.shell("find A -name 'block_*' | wc -l", matrix.path).stdout.strip() == "9"
    assert kit.shell("grep -rlc NUMPY A | wc -l", matrix.path).stdout.strip() == "9"
    total = sum(len(stored(bucket, i, j)) for i in range(3) for j in range(3))
    du = int(kit.shell("du -s --apparent-size -B1 A", matrix.path).stdout.split()[0])
    assert total <= du <= total + 4096


def test_touch_does_nothing_and_truncation_is_refused(matrix, bucket):
    before = stored(bucket, 0, 0)
    kit.shell("touch A/block_0_0", matrix.path)
    assert kit.shell("truncate -s 0 A/block_0_0", matrix.path, check=False).returncode != 0
    kit.shell("touch A/block_0_0", matrix.path)
    with pytest.raises(OSError):
        os.truncate(matrix.path / "A/block_0_0", 10)
    assert stored(bucket, 0, 0) == before


def test_rm(matrix, bucket):
    (matrix.path / "A/block_0_0").unlink()
    assert not (matrix.path / "A/block_0_0").exists()
    assert len(bucket.keys(f"{kit.PREFIX}A/")) == 9
    kit.shell("rm -r A && test ! -e A", matrix.path)
    assert bucket.keys(f"{kit.PREFIX}A/") == []


def test_sed_of_the_header_before_there_are_blocks(matrix, bucket):
    kit.shell("mkdir N && cp A/header.json N/ && sed -i 's/300/600/' N/header.json", matrix.path)
    assert json.loads(bucket.get(f"{kit.PREFIX}N/header"))["shape"] == [600, 200]
    assert os.listdir(matrix.path / "N") == ["header.json"]


def test_attributes(matrix):
    st = os.stat(matrix.path / "A/block_0_0")
    assert stat.S_IMODE(st.st_mode) == 0o644 and st.st_uid == os.getuid() and st.st_nlink == 1
    assert stat.S_IMODE(os.stat(matrix.path / "A").st_mode) == 0o755
    first = os.stat(matrix.path / "A/header.json").st_ino
    assert all(first < os.stat(matrix.path / f"A/block_{i}_{j}").st_ino
               for i in range(3) for j in range(3))
    inos = {e.name: e.inode() for e in os.scandir(matrix.path / "A")}
    assert all(os.stat(matrix.path / "A" / n).st_ino == i for n, i in inos.items())
    os.chmod(matrix.path / "A/block_0_0", 0o600)
    os.utime(matrix.path / "A/block_0_0", (0, 0))
    out = subprocess.run(["getfattr", "-d", matrix.path / "A/block_0_0"], capture_output=True,
                         text=True, check=False).stdout
    assert "user.bmfs.uri=" in out and "user.bmfs.etag=" in out


def test_df_and_findmnt(matrix, bucket):
    assert kit.shell("stat -f -c %T .", matrix.path).stdout.strip() == "fuseblk" or True
    line = [li for li in open("/proc/mounts") if str(matrix.path) in li][0]
    assert " fuse.bmfs " in line and line.split()[0].endswith(kit.PREFIX)
    kit.shell("df .", matrix.path)


def test_what_does_not_exist(matrix):
    for name in ("A/block_9_9", "A/block_0", "A/block_x", "A/nothing", "nothing", "A/block_0_0.csv",
                 "A/block_00_0", "A/header"):
        assert not (matrix.path / name).exists(), name


def test_names_that_no_matrix_holds_are_refused(matrix):
    for name in ("A/notes.txt", "A/block_9_9", "A/block_0", "A/block_0_0_0", "A/block_0_0.csv"):
        with pytest.raises(OSError) as failed:
            (matrix.path / name).write_bytes(b"x")
        assert failed.value.errno == 22, name
    with pytest.raises(PermissionError):
        (matrix.path / "A/sub").mkdir()


def test_temporary_files_are_local(matrix, bucket, tmp_path):
    before = bucket.keys()
    scratch = matrix.path / "A/block_0_0.1234abcd.partial"
    scratch.write_bytes(b"half")
    assert scratch.read_bytes() == b"half"
    assert scratch.name in os.listdir(matrix.path / "A")
    with kit.Mount(bucket, tmp_path, name="other") as other:
        assert scratch.name not in os.listdir(other.path / "A")
    assert bucket.keys() == before
    matrix.unmount()
    assert "dropped" in matrix.log()
    matrix.start()
    assert scratch.name not in os.listdir(matrix.path / "A")


def test_a_rename_between_two_names_of_a_block_keeps_it(matrix):
    body = (matrix.path / "A/block_0_0").read_bytes()
    name = kit.object_name((0, 0), SHAPE, SHARDS)
    os.rename(matrix.path / "A" / name, matrix.path / "A/block_0_0")
    os.rename(matrix.path / "A/block_0_0", matrix.path / "A" / name)
    assert (matrix.path / "A/block_0_0").read_bytes() == body


def test_a_directory_that_is_made_again_works_though_a_file_of_the_old_one_is_open(mount):
    (mount.path / "d").mkdir()
    (mount.path / "d/x").write_bytes(b"old")
    with open(mount.path / "d/x", "rb") as f:
        (mount.path / "d/x").unlink()
        (mount.path / "d").rmdir()
        (mount.path / "d").mkdir()
        (mount.path / "d/x").write_bytes(b"new")
        assert f.read() == b"old" and (mount.path / "d/x").read_bytes() == b"new"


def test_a_moved_name_can_be_written_at_once(mount):
    """The kernel moves what a listing let it trust along with the name."""
    for i in range(20):
        (mount.path / f"a{i}").write_bytes(b"one")
        assert all(e.stat().st_size == 3 for e in os.scandir(mount.path) if e.is_file())
        os.rename(mount.path / f"a{i}", mount.path / f"b{i}")
        with open(mount.path / f"b{i}", "r+b") as f:
            f.write(b"two")
        assert (mount.path / f"b{i}").read_bytes() == b"two"
        os.rename(mount.path / f"b{i}", mount.path / f"b{i}")
        assert (mount.path / f"b{i}").read_bytes() == b"two"


def test_the_files_of_the_mount_itself_are_listed(mount):
    own = mount.path / ".bmfs"
    assert sorted(os.listdir(own)) == ["README", "errors", "stats.json"]
    assert os.stat(own / "README").st_ino in {e.inode() for e in os.scandir(own)}
    assert ".bmfs" not in os.listdir(mount.path)


def test_mv_of_what_is_no_block_says_what_it_is(matrix):
    np.save(matrix.path / "x.npy", np.ones((3, 3)))
    for name in ("block_0_0", "block_77_0"):
        done = kit.shell(f"mv x.npy A/{name}", matrix.path, check=False)
        assert done.returncode != 0 and "subdirectory" not in done.stdout, done.stdout
        assert len(re.findall(f"cannot rename to A/{name}: ", matrix.errors())) == 1
    assert (matrix.path / "x.npy").exists()


def test_no_directory_has_the_name_of_a_header(mount):
    (mount.path / "odd").mkdir()
    with pytest.raises(OSError) as failed:
        (mount.path / "odd/header.json").mkdir()
    assert failed.value.errno == errno.EINVAL


def test_a_file_that_was_touched_is_there_at_once(mount):
    for i in range(20):
        kit.shell(f"touch d{i} && test -e d{i} && ls | grep -qx d{i} && touch e{i} && ls | grep -qx e{i}",
                  mount.path)


def test_an_emptied_file_is_empty_at_once(mount):
    for i in range(20):
        kit.shell(f"echo old > y{i} && : > y{i} && [ ! -s y{i} ] && [ -z \"$(cat y{i})\" ]", mount.path)


def test_a_directory_with_a_new_file_is_not_empty(mount):
    for i in range(20):
        kit.shell(f"mkdir n{i} && touch n{i}/x && ! rmdir n{i} 2>/dev/null && rm n{i}/x && rmdir n{i}",
                  mount.path)


def test_a_new_file_leaves_no_name_behind_when_it_is_renamed(mount):
    for i in range(20):
        (mount.path / f"m{i}").touch()
        (mount.path / f"m{i}").rename(mount.path / f"r{i}")
        assert os.path.exists(mount.path / f"r{i}") and not os.path.exists(mount.path / f"m{i}")
    assert not [n for n in os.listdir(mount.path) if n.startswith("m")]
