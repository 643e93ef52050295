"""The 1st, 2nd, 3rd ... request of everything that bmfs does fails in every way that a server or a
network can fail: no byte is wrong, nothing that was acknowledged is lost, nothing hangs."""

import collections
import concurrent.futures
import errno
import json
import subprocess
import sys

import kit
import numpy as np
import pytest
from scenarios import (BLOCKS, NEW, OLD, SCENARIOS, SIDE, STEP_S, TIMEOUT_S, Step, attempt, block,
                       heals, lost)

sys.path.insert(0, str(kit.ROOT / "tests/proxy"))

import proxy as faults  # noqa: E402

NTH_MAX = 24  # no scenario makes as many requests


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


@pytest.fixture(scope="module")
def proxied(server, tmp_path_factory):
    """A mount of a bucket through a proxy."""
    bucket = server.bucket()
    with kit.Proxy(server.env["AWS_ENDPOINT_URL"]) as proxy:
        options = ["--endpoint-url", proxy.url, "--timeout", f"{TIMEOUT_S}s"]
        with kit.Mount(bucket, tmp_path_factory.mktemp("faults"), *options) as m:
            for text in (b"x", b"y"):  # asks what the server can do
                (m.path / "warm").write_bytes(text)
            (m.path / "warm").unlink()
            yield m, bucket, proxy


# One makes so many requests that it is for tests/soak.
@pytest.mark.parametrize("name", [n for n in SCENARIOS if n != "tree" or kit.many(False, True)])
def test_every_request_fails_in_every_way(proxied, name):
    mount, bucket, proxy = proxied
    hits = collections.Counter()
    # `flip` is below, for it needs a sum to be noticed; `late` is to a client as `slow` is
    kinds = [k for k in faults.KINDS if k not in ("flip", "late")]
    for nth in range(1, NTH_MAX + 1):
        struck = 0
        step = 1 if nth == 1 else kit.many(3, 1, 6)  # all of them in tests/soak
        for kind in kinds[nth % step::step]:
            step = Step(mount, bucket, f"{name}-{nth}-{kind}")
            hit = strike(proxy, SCENARIOS[name], step, kind, nth)
            hits[kind] += hit
            struck += hit
        if not struck:
            break
    print(f"{name}: {nth - 1} requests,", dict(hits))
    assert nth < NTH_MAX and all(hits[k] >= 1 for k in kinds), hits


@pytest.mark.parametrize("what", ["put", "note", "list"])
def test_a_request_that_the_store_takes_for_none_is_no_verdict_on_the_bytes(proxied, what):
    """The error at close and the bytes in the recovery folder, however often it says so."""
    mount, bucket, proxy = proxied
    step = Step(mount, bucket, f"uri-{what}")
    scenario = SCENARIOS["gather"]
    scenario.prepare(step)
    method, target = {"put": ("PUT", f"{step.name}/header"), "note": ("PUT", r"/\.bmfs/early/"),
                      "list": ("GET", f"prefix=.*{step.name}/block$")}[what]
    proxy.do("add", kind="400-uri", method=method, target=target, always=True)
    done, result = attempt(scenario.act, step)
    kit.wait_for(lambda: f"{step.key}/header" in lost(mount), STEP_S, "the header's being kept")
    hits = proxy.do("clear")[0]
    assert not done and result.errno == errno.EIO and hits >= 2, (result, hits)
    assert "such a key cannot be" in mount.errors()
    heals(scenario, step)


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
        SCENARIOS["create"].prepare(step)
        SCENARIOS["create"].act(step)
        forget(mount)
        proxy.do("add", kind="flip", method="GET", target=BLOCKS[0])
        done, result = attempt(SCENARIOS["read"].act, step)
        hits += proxy.do("clear")[0]
        assert not done or result == block(NEW)
        done, result = attempt(SCENARIOS["read"].act, step)
        assert done and result == block(NEW)
    assert hits > 0


@pytest.mark.parametrize("name", ["block_0_0", "block_0_0.raw"])
def test_what_was_read_before_the_error_is_not_served_after_it(proxied, tmp_path, name):
    """The kernel has pages of a damaged transfer; the next one is whole."""
    mount, bucket, proxy = proxied
    value = np.arange(1024.0 * 1024).reshape(1024, 1024)
    want = value.tobytes() if name.endswith("raw") else kit.npy(value)
    errors = 0
    with kit.Mount(bucket, tmp_path) as writer:
        for nth in range(1, 1 + kit.many(6, 24)):
            step = Step(mount, bucket, f"pages-{name}-{nth}")
            bucket.put(f"{step.key}/header", kit.header([1024, 1024], [1024, 1024]))
            (writer.path / step.name / name).write_bytes(want)
            proxy.do("add", kind="flip", method="GET", target=f"{step.name}/0_", nth=nth % 3 + 1)
            done, result = attempt((step.path / name).read_bytes)
            proxy.do("clear")
            assert not done or result == want
            errors += not done
            if nth % 2:  # an open that does not come to its end
                proxy.do("add", kind="slow", method="GET", target=f"{step.name}/0_", always=True)
                with pytest.raises(subprocess.TimeoutExpired):
                    subprocess.run(["cat", step.path / name], stdout=subprocess.DEVNULL, timeout=0.1)
                proxy.do("clear")
            with concurrent.futures.ThreadPoolExecutor() as pool:
                for done, result in pool.map(attempt, [(step.path / name).read_bytes] * 4):
                    assert done and result == want
    assert errors > 0


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
            done, result = attempt(SCENARIOS["read"].act, step)
            hits += proxy.do("clear")[0]
            failures += not done
            assert not done or result == block(OLD)
            assert done or (result.errno == errno.EIO and "its ETag" in mount.errors())
            done, result = attempt(SCENARIOS["read"].act, step)
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
