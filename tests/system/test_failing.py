"""Memory runs out at the 1st, 2nd, 3rd ... allocation of everything: what the user is told is true,
nothing that was acknowledged is lost, and the mount goes on."""

import ctypes
import mmap

import kit
import numpy as np
import pytest
from scenarios import SCENARIOS, Step, attempt, heals, lost

PROGRAM = kit.BUILD / "tests/nomem/bmfs-nomem"
NTH_MAX = 3000  # no scenario allocates as often
PATIENCE = 3  # turns without a hit that end a sweep: threads do not take the same turns each time


class Memory(ctypes.Structure):
    """What tests/nomem/nomem.c shares."""

    _fields_ = [("left", ctypes.c_int64), ("hits", ctypes.c_int64)]

    @classmethod
    def make(cls, path):
        path.write_bytes(bytes(ctypes.sizeof(cls)))
        with open(path, "r+b") as f:
            memory = cls.from_buffer(mmap.mmap(f.fileno(), 0))
        memory.path = path
        return memory

    def arm(self, nth):
        self.hits, self.left = 0, nth

    def disarm(self):
        """Whether an allocation has failed."""
        self.left = 0
        return self.hits > 0


def small_mount(bucket, folder, memory, **words):
    m = kit.Mount(bucket, folder, "--timeout", "2s", env={"BMFS_NOMEM": str(memory.path)}, **words)
    m.command[0] = str(PROGRAM)
    return m


@pytest.fixture(scope="module")
def small(server, tmp_path_factory):
    """A mount whose memory can run out."""
    folder = tmp_path_factory.mktemp("nomem")
    memory = Memory.make(folder / "memory")
    bucket = server.bucket()
    with small_mount(bucket, folder, memory) as m:
        (m.path / "warm").write_bytes(b"x")  # asks what the server can do
        yield m, bucket, memory


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_allocation_fails_once(small, name):
    mount, bucket, memory = small
    scenario = SCENARIOS[name]
    hits = misses = failures = 0
    for nth in range(1, NTH_MAX):
        step = Step(mount, bucket, f"{name}-{nth}")
        scenario.prepare(step)
        memory.arm(nth)
        done, result = attempt(scenario.act, step)
        hit = memory.disarm()
        try:
            assert hit or done, result
            scenario.check(step, done, result)
            if not done:
                heals(scenario, step)
        except (AssertionError, TimeoutError, OSError) as e:
            raise AssertionError(f"allocation {nth}: done {done}, {result!r}") from e
        hits, failures = hits + hit, failures + (not done)
        misses = 0 if hit else misses + 1
        if misses == PATIENCE:
            break
    print(f"{name}: {hits} allocations failed, {failures} calls told of it")
    assert hits >= 3 and failures >= 1 and misses == PATIENCE


def test_a_mount_begins_or_says_why_not(server, tmp_path):
    bucket = server.bucket()
    bucket.put(f"{kit.PREFIX}file", b"x")
    memory = Memory.make(tmp_path / "memory")
    began = failed = misses = 0
    for nth in range(1, NTH_MAX):
        m = small_mount(bucket, tmp_path, memory)
        memory.arm(nth)
        try:
            m.start()
        except RuntimeError as e:
            assert m.process.returncode == 32 and "emory" in str(e), e
            assert not m.is_mounted()
            failed += 1
        else:
            began += 1
        hit = memory.disarm()
        if m.process.poll() is None:
            assert (m.path / "file").read_bytes() == b"x"
            m.unmount()
        misses = 0 if hit else misses + 1
        if misses == PATIENCE:
            break
        m.log_path.unlink()
    print(f"{failed} mounts did not begin, {began} did")
    assert failed >= 3 and began >= PATIENCE


def test_an_unmount_stores_or_keeps_what_was_written(server, tmp_path):
    """A block whose file is still open, and an ordinary file."""
    bucket = server.bucket()
    memory = Memory.make(tmp_path / "memory")
    want = kit.npy(np.ones((4, 4)))
    stored = kept = misses = 0
    for nth in range(1, NTH_MAX):
        key = f"A{nth}"
        bucket.put(f"{kit.PREFIX}{key}/header", kit.header([4, 4], [4, 4]))
        m = small_mount(bucket, tmp_path, memory)
        m.start()
        with open(m.path / key / "block_0_0", "wb", buffering=0) as f:
            f.write(want)
            memory.arm(nth)
            m.process.terminate()
            m.process.wait(timeout=60)
            hit = memory.disarm()
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
