"""The 1st, 2nd, 3rd ... request of everything that bmfs does fails in every way that a server or a
network can fail: no byte is wrong, nothing that was acknowledged is lost, nothing hangs."""

import collections
import errno
import json
import os
import sys
import time
from pathlib import Path

import kit
import numpy as np
import pytest

sys.path.insert(0, str(kit.ROOT / "tests/proxy"))

import proxy as faults  # noqa: E402

TIMEOUT_S = 2  # what the mount is told
STEP_S = 3 * TIMEOUT_S + 2  # the longest that any step may take: see `--timeout`
NTH_MAX = 24  # no scenario makes as many requests
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


class Overwrite(Create):
    before = block(OLD)

    def prepare(self, s):
        s.put(OLD)


class Rename:
    def prepare(self, s):
        s.put(OLD)

    def act(self, s):
        os.rename(s.path / "block_0_0", s.path / "block_0_1")

    def check(self, s, done, result):
        old, new = (s.object(name) for name in BLOCKS)
        assert old in (None, block(OLD)) and new in (None, block(OLD)) and (old or new)
        assert not done or (new and not old)


class Unlink:
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
        s.path.mkdir(exist_ok=True)
        (s.path / "header.json").write_bytes(kit.header([4, 4], [2, 2]))

    def check(self, s, done, result):
        stored = s.object("header")
        assert stored == kit.header([4, 4], [2, 2]) or (not done and stored is None)


class Gather:
    """A header that comes after its blocks, which are then put in their places."""

    def prepare(self, s):
        s.path.mkdir(exist_ok=True)
        (s.path / "block_0_1").write_bytes(block(OLD))

    def act(self, s):
        (s.path / "header.json").write_bytes(kit.header([SIDE, 2 * SIDE], [SIDE, SIDE]))

    def check(self, s, done, result):
        early, stored = s.object("block_0_1"), s.object(BLOCKS[1])
        assert (early, stored) == (None, block(OLD)) or (not done and early == block(OLD))
        assert not done or s.object("header")
        assert not done or (s.path / "block_0_1").read_bytes() == block(OLD)


SCENARIOS = {c.__name__.lower(): c() for c in
             (Read, List, Stat, Create, Overwrite, Rename, Unlink, Make, Gather)}


def lost(mount):
    """Keys of which bytes were kept because they could not be stored."""
    return {json.loads(p.read_text())["key"] for p in Path(mount.cache, "lost").glob("*.json")}


def attempt(act, *args):
    """Whether it was done, with what result, in bounded time. Failures are errors of the kind that
    programs know to be somebody else's."""
    begun = time.monotonic()
    try:
        return True, act(*args)
    except OSError as e:
        assert e.errno in (errno.EIO, errno.EACCES, errno.EBADMSG, errno.ESTALE, errno.ENOENT,
                           errno.EEXIST), e
        return False, e
    finally:
        assert time.monotonic() - begun < STEP_S


def strike(proxy, scenario, step, kind, nth):
    """One step: true when the fault struck, false when the scenario has fewer requests."""
    scenario.prepare(step)
    proxy.do("add", kind=kind, nth=nth, target=step.name)
    done, result = attempt(scenario.act, step)
    hit = proxy.do("clear")[0]
    try:
        scenario.check(step, done, result)
        assert hit or done, result
        if not done:
            heals(scenario, step)
    except AssertionError as e:
        trace = [t for t in proxy.do("trace") if step.name in t[1]]
        raise AssertionError(f"{kind} at request {nth}: done {done}, {result!r}", trace) from e
    return hit


def heals(scenario, step):
    """After a failure the same works, or has worked."""
    again, result = attempt(scenario.act, step)
    if isinstance(scenario, (Rename, Unlink)) and not again:
        assert result.errno == errno.ENOENT
        again = True
    assert again, f"does not heal: {result}"
    scenario.check(step, again, result)


@pytest.fixture(scope="module")
def proxied(server, tmp_path_factory):
    """A mount of a bucket through a proxy."""
    bucket = server.bucket()
    with kit.Proxy(server.env["AWS_ENDPOINT_URL"]) as proxy:
        options = ["--endpoint-url", proxy.url, "--timeout", f"{TIMEOUT_S}s"]
        with kit.Mount(bucket, tmp_path_factory.mktemp("faults"), *options) as m:
            (m.path / "warm").write_bytes(b"x")  # asks what the server can do
            yield m, bucket, proxy


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_request_fails_in_every_way(proxied, name):
    mount, bucket, proxy = proxied
    hits = collections.Counter()
    kinds = [k for k in faults.KINDS if k != "flip"]  # below: it needs a sum to be noticed
    for nth in range(1, NTH_MAX + 1):
        struck = 0
        for kind in kinds[nth % 3::3] if kit.many(1, 0) else kinds:
            step = Step(mount, bucket, f"{name}-{nth}-{kind}")
            hit = strike(proxy, SCENARIOS[name], step, kind, nth)
            hits[kind] += hit
            struck += hit
        if not struck:
            break
    print(f"{name}: {nth - 1} requests,", dict(hits))
    assert nth < NTH_MAX and all(hits[k] >= 1 for k in kinds), hits


def forget(mount):
    """Empties the cache."""
    for p in (mount.cache / "blocks").rglob("*"):
        if p.is_file():
            p.unlink()


def test_a_flipped_bit_on_the_way_is_an_error_and_never_data(proxied):
    mount, bucket, proxy = proxied
    hits = 0
    for i in range(kit.many(10, 200)):
        step = Step(mount, bucket, f"flip-{i}")
        Create().prepare(step)
        Create().act(step)
        forget(mount)
        proxy.do("add", kind="flip", method="GET", target=BLOCKS[0])
        done, result = attempt(Read().act, step)
        hits += proxy.do("clear")[0]
        assert not done or result == block(NEW)
        done, result = attempt(Read().act, step)
        assert done and result == block(NEW)
    assert hits > 0


def test_a_flipped_bit_in_what_others_wrote_is_an_error_too(proxied, server, tmp_path):
    """Their objects have no CRC-32C; the server's ETags are MD5 sums. Of each other matrix the
    mount is new, and has yet to find that out."""
    _, bucket, proxy = proxied
    hits = failures = 0
    for i in range(kit.many(6, 60)):
        mount = kit.Mount(bucket, tmp_path, "--endpoint-url", proxy.url, "--timeout", "2s",
                          name=f"mnt{i}")
        with mount:
            step = Step(mount, bucket, f"theirs-{i}")
            step.put(OLD, OLD)
            if i % 2:
                assert (step.path / "block_0_1").read_bytes() == block(OLD)
            proxy.do("add", kind="flip", method="GET", target=f"{step.name}/{BLOCKS[0]}")
            done, result = attempt(Read().act, step)
            hits += proxy.do("clear")[0]
            failures += not done
            assert not done or result == block(OLD)
            assert done or (result.errno == errno.EIO and "its ETag" in mount.errors())
            done, result = attempt(Read().act, step)
            assert done and result == block(OLD)
    assert hits > 0 and failures > 0


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_a_flipped_bit_in_a_header_heals(proxied, tmp_path, ours, known):
    """`known`: the mount has seen that ETags are sums."""
    mount, bucket, proxy = proxied
    name = f"head-{ours}-{known}"
    step = Step(mount, bucket, name)
    if ours:
        step.path.mkdir()
        (step.path / "header.json").write_bytes(kit.header([SIDE, 2 * SIDE], [SIDE, SIDE]))
    else:
        step.put()
    Step(mount, bucket, "seen").put()
    with kit.Mount(bucket, tmp_path, "--endpoint-url", proxy.url) as m:
        if known:
            assert not (m.path / "seen/block_0_0").exists()
        proxy.do("add", kind="flip", method="GET", target=f"{name}/header")
        text = (m.path / name / "header.json").read_text()
        assert proxy.do("clear")[0] == 1
        assert json.loads(text)["shape"] == [SIDE, 2 * SIDE]


def test_objects_that_came_in_parts_have_no_sum_and_are_read(proxied):
    mount, bucket, _ = proxied
    bucket.put(f"{kit.PREFIX}parts/header", kit.header([1100, 1100], [1100, 1100]))
    want = kit.npy(np.arange(1100.0 * 1100).reshape(1100, 1100))
    key = f"{kit.PREFIX}parts/{kit.object_name((0, 0), (1100, 1100), (1100, 1100))}"
    size = 5 << 20
    what = {"Bucket": bucket.bucket, "Key": key}
    upload = {**what, "UploadId": bucket.client.create_multipart_upload(**what)["UploadId"]}
    parts = [{"PartNumber": n, "ETag": bucket.client.upload_part(
        **upload, PartNumber=n, Body=want[(n - 1) * size:n * size])["ETag"]} for n in (1, 2)]
    bucket.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert bucket.client.head_object(**what)["ETag"].endswith('-2"')
    assert (mount.path / "parts/block_0_0").read_bytes() == want
