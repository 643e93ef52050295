"""The 1st, 2nd, 3rd ... request for memory, and call of the system or a library, of everything that
bmfs does fails: what the user is told is true, nothing that was acknowledged is lost, and the mount
goes on."""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import secrets
import shutil
import time

import kit
import numpy as np
import pytest
from scenarios import BLOCKS, NEW, SCENARIOS, Create, Step, attempt, block, heals, lost

PROGRAM = kit.BUILD / "tests/failing/bmfs-failing"
NTH_MAX = 3000  # no scenario has as many
PATIENCE = 3  # turns without a hit that end a sweep: threads do not take the same turns each time
KINDS = {"memory": (0, errno.ENOMEM), "system": (1, errno.EIO), "library": (2, errno.ENOMEM)}
# In tests/run, and there under the sanitizers; tests/soak takes every one.
STRIDE = {"memory": (4, 12), "system": (1, 3), "library": (9, 27)}


def strides(kind, begin=0, times=1):
    """The calls that fail, one in each turn. `times`: as far from each other, where turns take long."""
    moderate, sanitized = STRIDE[kind]
    stride = kit.many(times * moderate, 1, times * sanitized)
    return range(1 + begin % stride, NTH_MAX, stride)


class Failing(ctypes.Structure):
    """What tests/failing/failing.c shares."""

    _fields_ = [("kind", ctypes.c_int64), ("left", ctypes.c_int64), ("hits", ctypes.c_int64),
                ("error", ctypes.c_int64)]

    @classmethod
    def make(cls, path):
        path.write_bytes(bytes(ctypes.sizeof(cls)))
        with open(path, "r+b") as f:
            failing = cls.from_buffer(mmap.mmap(f.fileno(), 0))
        failing.path = path
        return failing

    def arm(self, kind, nth):
        self.kind, self.error = KINDS[kind]
        self.hits, self.left = 0, nth

    def disarm(self):
        """Whether a call has failed."""
        self.left = 0
        return self.hits > 0


def failing_mount(bucket, folder, failing, *options, **words):
    m = kit.Mount(bucket, folder, "--timeout", "2s", *options,
                  env={"BMFS_FAILING": str(failing.path)}, **words)
    m.command[0] = str(PROGRAM)
    return m


@pytest.fixture(scope="module")
def mounted(server, tmp_path_factory):
    """A mount whose calls can fail."""
    folder = tmp_path_factory.mktemp("failing")
    failing = Failing.make(folder / "failing")
    bucket = server.bucket()
    with failing_mount(bucket, folder, failing, "-d") as m:
        (m.path / "warm").write_bytes(b"x")  # asks what the server can do
        yield m, bucket, failing
    assert bucket.env()["AWS_SECRET_ACCESS_KEY"] not in m.log()


class Told:
    """What the mount says of itself, which asks the store nothing."""

    names = ("README", "errors", "stats.json")

    def prepare(self, s):
        pass

    def act(self, s):
        folder = s.mount.path / ".bmfs"
        return os.listdir(folder), [(folder / name).read_bytes() for name in self.names]

    def check(self, s, done, result):
        if done:
            names, (_, _, stats) = result
            assert set(self.names) <= set(names)
            assert json.loads(stats)["requests"]["get"] > 0


class Pieces(Create):
    """A new block in three writes by a program that does not look whether they succeed."""

    def act(self, s):
        data, third, written = block(NEW), len(block(NEW)) // 3, 0
        s.written = False
        with open(s.path / "block_0_0", "wb", buffering=0) as f:
            for at in (0, third, 2 * third):
                with contextlib.suppress(OSError):
                    written += os.pwrite(f.fileno(), data[at:at + third + (at > third) * 3], at)
            s.written = written == len(data)

    def check(self, s, done, result):
        if s.written:
            super().check(s, done, result)
        else:
            assert s.object(BLOCKS[0]) is None and not done


HERE = {**SCENARIOS, "told": Told(), "pieces": Pieces()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HERE)
def test_every_call_fails_once(mounted, name, kind):
    mount, bucket, failing = mounted
    scenario = HERE[name]
    hits = misses = failures = 0
    for nth in strides(kind, len(name)):
        step = Step(mount, bucket, f"{kind}-{name}-{nth}")
        scenario.prepare(step)
        failing.arm(kind, nth)
        done, result = attempt(scenario.act, step)
        hit = failing.disarm()
        try:
            assert hit or done, result
            scenario.check(step, done, result)
            if not done:
                heals(scenario, step)
        except (AssertionError, TimeoutError, OSError) as e:
            raise AssertionError(f"{kind} {nth}: done {done}, {result!r}") from e
        hits, failures = hits + hit, failures + (not done)
        misses = 0 if hit else misses + 1
        if misses == PATIENCE:
            break
    print(f"{name}: {hits} calls for {kind} failed, {failures} times it was told")
    least = 0 if kind == "system" else kit.many(3, 3, 1)  # list has no call of the system
    assert hits >= least and misses == PATIENCE


@pytest.mark.parametrize("kind", KINDS)
def test_what_loses_a_conflict_is_kept_whatever_fails(mounted, kind):
    """In the recovery folder; or where it was written, for the next mount."""
    mount, bucket, failing = mounted
    ours, theirs = (kit.npy(np.full((4, 4), x)) for x in (-1.0, -2.0))
    kept = stays = misses = 0
    for nth in strides(kind):
        name = f"conflict-{kind}-{nth}"
        key = f"{kit.PREFIX}{name}/0_4_4_0_4_4_"
        bucket.put(f"{kit.PREFIX}{name}/header", kit.header([4, 4], [4, 4]))
        bucket.put(key, theirs)
        f = open(mount.path / name / "block_0_0", "r+b", buffering=0)
        f.write(ours)
        newer = kit.npy(np.full((4, 4), float(nth)))
        bucket.put(key, newer)
        logged = len(mount.log())
        failing.arm(kind, nth)
        with pytest.raises(OSError):
            f.close()
        kit.wait_for(lambda: key in lost(mount) or "the bytes stay in" in mount.log()[logged:], 10,
                     f"{kind} {nth}: the bytes")
        hit = failing.disarm()
        assert bucket.get(key) == newer
        kept, stays = kept + (key in lost(mount)), stays + (key not in lost(mount))
        misses = 0 if hit else misses + 1
        if misses == PATIENCE:
            break
    print(f"{kind}: {kept} kept, {stays} stay where they were written")
    assert kept >= PATIENCE and misses == PATIENCE


@pytest.mark.parametrize("kind", KINDS)
def test_a_mount_begins_or_says_why_not(server, tmp_path, kind):
    bucket = server.bucket()
    bucket.put(f"{kit.PREFIX}file", b"x")
    failing = Failing.make(tmp_path / "failing")
    began = failed = misses = 0
    for nth in strides(kind):
        m = failing_mount(bucket, tmp_path, failing)
        failing.arm(kind, nth)
        try:
            m.start()
        except RuntimeError as e:
            says = {"memory": "emory", "system": "Input/output error", "library": "bmfs: "}[kind]
            assert m.process.returncode == 32 and says in str(e), e
            assert not m.is_mounted()
            failed += 1
        else:
            began += 1
        hit = failing.disarm()
        if m.process.poll() is None:
            assert (m.path / "file").read_bytes() == b"x"
            m.unmount()
        misses = 0 if hit else misses + 1
        if misses == PATIENCE:
            break
        m.log_path.unlink()
    print(f"{failed} mounts did not begin, {began} did")
    assert failed >= kit.many(3, 3, 1) and began >= PATIENCE


ARRAY = np.arange(16.0).reshape(4, 4)
HEADER = kit.header([8, 8], [4, 4])


def blocks(folder, *names):
    """Keys of blocks of ARRAY's size in a matrix of HEADER's."""
    return [f"{kit.PREFIX}{folder}/{kit.object_name(n, (8, 8), (4, 4))}" for n in names]


def leave(bucket, m):
    """A mount is killed while files are being written; one has lost a conflict before. Gives what must
    be in the recovery folder: bytes by key."""
    bucket.put(f"{kit.PREFIX}A/header", HEADER)
    npy, raw, lost_one = blocks("A", (0, 0), (0, 1), (1, 0))
    bucket.put(lost_one, kit.npy(-ARRAY))
    m.start()
    conflict = open(m.path / "A/block_1_0", "r+b", buffering=0)
    conflict.write(kit.npy(ARRAY))
    bucket.put(lost_one, kit.npy(ARRAY + 1))
    with pytest.raises(OSError):
        conflict.close()
    (m.path / "new").mkdir()
    what = {"A/block_0_0": kit.npy(ARRAY), "A/block_0_1.raw": ARRAY.tobytes(),
            "new/header.json": HEADER, "plain": b"text"}
    held = []
    for name, data in what.items():
        held.append(open(m.path / name, "wb", buffering=0))
        held[-1].write(data)
    m.kill()
    for f in held:
        with pytest.raises(OSError):
            f.close()
    m.clean_up()
    return {lost_one: kit.npy(ARRAY), npy: kit.npy(ARRAY), raw: kit.npy(ARRAY),
            f"{kit.PREFIX}new/header": HEADER, f"{kit.PREFIX}plain": b"text"}


def kept(cache):
    """What the recovery folder has, whole, by key."""
    found = {}
    for path in (cache / "lost").glob("*.json"):
        note = json.loads(path.read_text())
        if not note["incomplete"]:
            found[note["key"]] = path.with_suffix(".data").read_bytes()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_mount_keeps_what_a_killed_one_left_whatever_fails(server, tmp_path, kind):
    """In the recovery folder, or where it was for the next mount; and blocks that came before their
    header, which others stored, come to their places."""
    bucket = server.bucket()
    failing = Failing.make(tmp_path / "failing")
    dead = kit.Mount(bucket, tmp_path, name="dead")
    want = leave(bucket, dead)
    began = failed = misses = 0
    for nth in strides(kind, times=4):
        cache = tmp_path / f"cache-{nth}"
        shutil.copytree(dead.cache, cache, symlinks=True)
        folder = f"E{nth}"
        bucket.put(f"{kit.PREFIX}{folder}/block_1_1", kit.npy(ARRAY))
        bucket.put(f"{kit.PREFIX}{folder}/header", HEADER)
        note = f"{kit.PREFIX}.bmfs/early/{secrets.token_hex(16)}"
        bucket.put(note, f"{folder}/".encode())
        early, = blocks(folder, (1, 1))
        m = failing_mount(bucket, tmp_path, failing, cache=cache)
        failing.arm(kind, nth)
        try:
            m.start()
        except RuntimeError:
            failed += 1
        else:
            began += 1
            for _ in range(50):
                if failing.hits or early in bucket.keys(f"{kit.PREFIX}{folder}/"):
                    break
                time.sleep(0.01)
        hit = failing.disarm()
        if m.process.poll() is None:
            m.unmount()
        with kit.Mount(bucket, tmp_path, cache=cache, name="after"):
            found = kept(cache)
            assert len(found) == len(list((cache / "lost").glob("*.json"))), (kind, nth)
            assert found == want, (kind, nth, sorted(set(want) - set(found)), m.log())
            kit.wait_for(lambda: early in bucket.keys(f"{kit.PREFIX}{folder}/"), 20, "the block")
        assert bucket.get(early) == kit.npy(ARRAY)
        for key in (early, note, f"{kit.PREFIX}{folder}/header"):
            bucket.delete(key)
        shutil.rmtree(cache)
        misses = 0 if hit else misses + 1
        if misses == PATIENCE:
            break
        m.log_path.unlink()
    print(f"{failed} mounts did not begin, {began} did")
    assert failed >= kit.many(3, 3, 1) and began >= PATIENCE


@pytest.mark.parametrize("kind", KINDS)
def test_an_unmount_stores_or_keeps_what_was_written(server, tmp_path, kind):
    """A block whose file is still open."""
    bucket = server.bucket()
    failing = Failing.make(tmp_path / "failing")
    want = kit.npy(np.ones((4, 4)))
    stored = kept = misses = 0
    for nth in strides(kind):
        key = f"A{nth}"
        bucket.put(f"{kit.PREFIX}{key}/header", kit.header([4, 4], [4, 4]))
        m = failing_mount(bucket, tmp_path, failing)
        m.start()
        with open(m.path / key / "block_0_0", "wb", buffering=0) as f:
            f.write(want)
            failing.arm(kind, nth)
            m.process.terminate()
            m.process.wait(timeout=60)
            hit = failing.disarm()
            try:
                f.close()
            except OSError:
                pass  # the mount is gone
        m.clean_up()
        with kit.Mount(bucket, tmp_path, cache=m.cache, name="after") as after:
            if f"{kit.PREFIX}{key}/0_4_4_0_4_4_" in bucket.keys(f"{kit.PREFIX}{key}/0"):
                assert bucket.get(f"{kit.PREFIX}{key}/0_4_4_0_4_4_") == want
                stored += 1
            else:
                assert f"{kit.PREFIX}{key}/0_4_4_0_4_4_" in lost(after)
                kept += 1
        misses = 0 if hit else misses + 1
        if misses == PATIENCE:
            break
        m.log_path.unlink()
    print(f"{stored} stored, {kept} kept")
    assert stored >= PATIENCE and kept >= 1
