"""What users do, each in a step of its own of which it is known what may come of it: for tests in which
something fails in the middle."""

import contextlib
import errno
import json
import os
import time
from pathlib import Path

import kit
import numpy as np

TIMEOUT_S = 2  # what mounts are told
STEP_S = 3 * TIMEOUT_S + 2  # the longest that any step may take: see `--timeout`
OLD, NEW = 1.0, 2.0
SIDE = 160  # a block of 200 KiB: two ranged GETs


def block(value):
    return kit.npy(np.full((SIDE, SIDE), value))


class Step:
    """One matrix of its own, whose requests are the only ones that a fault can strike."""

    def __init__(self, mount, bucket, name):
        self.mount, self.bucket, self.name = mount, bucket, name
        self.key = f"{kit.PREFIX}{name}"
        self.path = mount.path / name

    def object(self, name):
        """What is stored, or None."""
        try:
            return self.bucket.get(f"{self.key}/{name}")
        except self.bucket.client.exceptions.NoSuchKey:
            return None

    def put(self, *values):
        self.bucket.put(f"{self.key}/header", kit.header([SIDE, 2 * SIDE], [SIDE, SIDE]))
        for value, name in zip(values, BLOCKS):
            self.bucket.put(f"{self.key}/{name}", block(value))


BLOCKS = [kit.object_name((0, j), (SIDE, 2 * SIDE), (SIDE, SIDE)) for j in range(2)]


class Read:
    """All of a cold block."""

    def prepare(self, s):
        s.put(OLD)

    def act(self, s):
        return (s.path / "block_0_0").read_bytes()

    def check(self, s, done, result):
        assert not done or result == block(OLD)


class List(Read):
    def prepare(self, s):
        s.put(OLD, OLD)

    def act(self, s):
        return sorted(os.listdir(s.path))

    def check(self, s, done, result):
        assert not done or result == ["block_0_0", "block_0_1", "header.json"], result


class Stat(Read):
    def act(self, s):
        return (s.path / "block_0_0").stat().st_size, (s.path / "header.json").stat().st_size > 0

    def check(self, s, done, result):
        assert not done or result == (len(block(OLD)), True)


class Create:
    """A new block. `before`: what may be there when it fails."""

    before = None

    def prepare(self, s):
        s.put()

    def act(self, s):
        s.written = False
        with open(s.path / "block_0_0", "wb", buffering=0) as f:
            s.written = f.write(block(NEW)) == len(block(NEW))

    def check(self, s, done, result):
        stored = s.object(BLOCKS[0])
        assert stored == block(NEW) or (not done and stored == self.before)
        if s.written and not done:
            kit.wait_for(lambda: s.object(BLOCKS[0]) == block(NEW) or
                         f"{s.key}/{BLOCKS[0]}" in lost(s.mount), STEP_S, "its being kept")


class Elements(Create):
    """A new block written as its elements alone."""

    def act(self, s):
        s.written = False
        (s.path / "block_0_0.raw").write_bytes(np.full((SIDE, SIDE), NEW).tobytes())


class Overwrite(Create):
    before = block(OLD)

    def prepare(self, s):
        s.put(OLD)


class Rename:
    again = errno.ENOENT

    def prepare(self, s):
        s.put(OLD)

    def act(self, s):
        os.rename(s.path / "block_0_0", s.path / "block_0_1")

    def check(self, s, done, result):
        old, new = (s.object(name) for name in BLOCKS)
        assert old in (None, block(OLD)) and new in (None, block(OLD)) and (old or new)
        assert not done or (new and not old)


class Unlink:
    again = errno.ENOENT

    def prepare(self, s):
        s.put(OLD)

    def act(self, s):
        os.unlink(s.path / "block_0_0")

    def check(self, s, done, result):
        stored = s.object(BLOCKS[0])
        assert stored is None or (not done and stored == block(OLD))


class Make:
    """A new matrix: its directory and its header."""

    def prepare(self, s):
        pass

    def act(self, s):
        s.written = False
        s.path.mkdir(exist_ok=True)
        self.write_header(s, kit.header([4, 4], [2, 2]))

    def write_header(self, s, text):
        with open(s.path / "header.json", "wb", buffering=0) as f:
            s.written = f.write(text) == len(text)

    def check(self, s, done, result):
        stored = s.object("header")
        assert stored == kit.header([4, 4], [2, 2]) or (not done and stored is None)
        self.check_kept(s, done)

    def check_kept(self, s, done):
        if s.written and not done:
            kit.wait_for(lambda: s.object("header") or f"{s.key}/header" in lost(s.mount), STEP_S,
                         "its being kept")


class Gather(Make):
    """A header that comes after its blocks, which are then put in their places."""

    def prepare(self, s):
        s.path.mkdir(exist_ok=True)
        (s.path / "block_0_1").write_bytes(block(OLD))

    def act(self, s):
        s.written = False
        self.write_header(s, kit.header([SIDE, 2 * SIDE], [SIDE, SIDE]))

    def check(self, s, done, result):
        early, stored = s.object("block_0_1"), s.object(BLOCKS[1])
        assert (early, stored) == (None, block(OLD)) or (not done and early == block(OLD))
        assert not done or s.object("header")
        assert not done or (s.path / "block_0_1").read_bytes() == block(OLD)
        self.check_kept(s, done)


class Publish(Overwrite):
    """A temporary file that is renamed onto a block."""

    again = errno.ENOENT  # it has been renamed after all

    def act(self, s):
        s.written = False
        scratch = s.path / ".block_0_0.a1B2c3"
        scratch.write_bytes(block(NEW))
        os.rename(scratch, s.path / "block_0_0")


class Link(Create):
    """A temporary file that is linked to the name of a block that is not there."""

    again = errno.EEXIST

    def act(self, s):
        s.written = False
        scratch = s.path / "block_0_0.tmp"
        scratch.write_bytes(block(NEW))
        os.link(scratch, s.path / "block_0_0")


class Edit:
    """Some bytes of an ordinary file."""

    def prepare(self, s):
        s.bucket.put(s.key, b"a" * 1000)

    def act(self, s):
        with open(s.path, "r+b", buffering=0) as f:
            f.seek(500)
            f.write(b"b" * 1000)

    def check(self, s, done, result):
        stored = s.bucket.get(s.key)
        new = b"a" * 500 + b"b" * 1000
        assert stored == new or (not done and stored == b"a" * 1000)


class Lock:
    """An ordinary file that must not be there."""

    again = errno.EEXIST

    def prepare(self, s):
        pass

    def act(self, s):
        os.close(os.open(s.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))

    def check(self, s, done, result):
        assert not done or s.bucket.get(s.key) == b""


class Bare(Read):
    """The elements alone, column by column."""

    def prepare(self, s):
        s.put(OLD)

    def act(self, s):
        return (s.path / "block_0_0.F.raw").read_bytes()

    def check(self, s, done, result):
        assert not done or result == np.full((SIDE, SIDE), OLD).tobytes()


class Tree:
    """A directory that is made, filled and emptied again."""

    again = errno.EEXIST

    def prepare(self, s):
        pass

    def act(self, s):
        (s.path / "in").mkdir(parents=True, exist_ok=True)
        (s.path / "in/a").write_bytes(b"x")
        os.rename(s.path / "in/a", s.path / "b")
        assert os.listdir(s.path / "in") == [] and (s.path / "b").read_bytes() == b"x"
        os.unlink(s.path / "b")
        (s.path / "in").rmdir()
        s.path.rmdir()

    def check(self, s, done, result):
        keys = s.bucket.keys(f"{s.key}/")
        assert set(keys) <= {f"{s.key}/in/a", f"{s.key}/b"} and (not done or not keys)
        assert all(s.bucket.get(k) in (b"", b"x") for k in keys)


class Look(Read):
    """What else a file tells."""

    def act(self, s):
        return os.getxattr(s.path / "block_0_0", "user.bmfs.etag")

    def check(self, s, done, result):
        want = s.bucket.client.head_object(Bucket=s.bucket.bucket, Key=f"{s.key}/{BLOCKS[0]}")
        assert not done or result.decode() == want["ETag"].strip('"')


SCENARIOS = {c.__name__.lower(): c() for c in
             (Read, List, Stat, Create, Elements, Overwrite, Rename, Unlink, Make, Gather, Publish,
              Link, Edit, Lock, Bare, Tree, Look)}


def lost(mount):
    """Keys of which bytes were kept because they could not be stored."""
    keys = set()
    for path in Path(mount.cache, "lost").glob("*.json"):
        # One that could not be finished goes again; one that is being written is looked at once more.
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            keys.add(json.loads(path.read_text())["key"])
    return keys


def attempt(act, *args):
    """Whether it was done, with what result, in bounded time. Failures are errors of the kind that
    programs know to be somebody else's."""
    begun = time.monotonic()
    try:
        return True, act(*args)
    except OSError as e:
        assert e.errno in (errno.EIO, errno.EACCES, errno.EBADMSG, errno.ESTALE, errno.ENOENT,
                           errno.EEXIST, errno.ENOMEM, errno.ENOSPC), e
        return False, e
    finally:
        assert time.monotonic() - begun < STEP_S


def settle(scenario, step, done=False, result=None):
    """What was begun goes on without the one who asked for it."""
    end = time.monotonic() + STEP_S
    while True:
        try:
            return scenario.check(step, done, result)
        except (AssertionError, step.bucket.client.exceptions.NoSuchKey):
            if time.monotonic() > end:
                raise
        time.sleep(0.01)


def heals(scenario, step):
    """After a failure the same works, or has worked."""
    done, result = attempt(scenario.act, step)
    if done:
        scenario.check(step, done, result)
    else:  # the first time it was done after all, or is being done
        assert result.errno == getattr(scenario, "again", 0), f"does not heal: {result}"
        settle(scenario, step, True, result)
