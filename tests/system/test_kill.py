"""kill -9 of the daemon while large blocks are on their way: what close or fsync said is stored is
stored, every block is whole, and the rest is what was there before."""

import os
import random
import subprocess
import sys
import time

import kit
import numpy as np

SIDE = 1024  # blocks of 8 MiB
WRITERS = 3
RATE = 80 << 20  # bytes a second that go out: a block takes a third of a second

WRITER = """
import os, sys
import numpy as np
path, value, how = sys.argv[1], float(sys.argv[2]), sys.argv[3]
print("ready", flush=True)
while True:
    value += 1
    block = np.full(({side}, {side}), value)
    try:
        with open(path, "wb", buffering=0) as f:
            np.lib.format.write_array(f, block)
            if how == "fsync":
                os.fsync(f.fileno())
                print(value, flush=True)
        print(value, flush=True)
    except OSError:
        break
"""


def start_writer(path, value, how):
    """A process that says when it is ready, then overwrites a block with higher and higher values
    and says which are stored."""
    return subprocess.Popen([sys.executable, "-c", WRITER.format(side=SIDE), str(path), str(value),
                             how], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def whole(body):
    """The value of a block of one value."""
    array = np.frombuffer(body, offset=128)
    assert len(body) == 128 + SIDE * SIDE * 8
    assert (array == array[0]).all(), "a block of two values"
    return array[0]


def test_no_kill_takes_what_was_acknowledged(request, s3_bucket, server, tmp_path):
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print("SEED =", seed)
    rng = random.Random(seed)
    shape = (WRITERS * SIDE, SIDE)
    keys = [f"{kit.PREFIX}A/{kit.object_name((i, 0), shape, (SIDE, SIDE))}" for i in range(WRITERS)]
    kit.put_matrix(s3_bucket, "A", np.zeros(shape), (SIDE, SIDE))
    kills, inside, acknowledged = kit.many(15, 1000), 0, 0
    value = [0.0] * WRITERS
    with kit.Proxy(server.env["AWS_ENDPOINT_URL"]) as proxy:
        proxy.do("rate", rate=RATE)
        m = kit.Mount(s3_bucket, tmp_path, "--endpoint-url", proxy.url)
        request.addfinalizer(m.clean_up)
        for turn in range(kills):
            m.start()
            writers = [start_writer(m.path / f"A/block_{i}_0", value[i], rng.choice(["close", "fsync"]))
                       for i in range(WRITERS)]
            assert [w.stdout.readline() for w in writers] == ["ready\n"] * WRITERS
            time.sleep(rng.uniform(0.1, 1.2))
            cut = proxy.do("seen")["cut"]
            m.kill()
            said = [w.communicate(timeout=60)[0].split() for w in writers]
            kit.wait_for(lambda: proxy.do("seen")["under_way"] == 0, 20, "the end of the requests")
            inside += proxy.do("seen")["cut"] > cut
            for i, key in enumerate(keys):
                stored = whole(s3_bucket.get(key))
                last = max([value[i], *map(float, said[i])])
                acknowledged += last > value[i]
                assert last <= stored <= last + 1, (seed, turn, i, last, stored)
                value[i] = stored
    print(f"{kills} kills, {inside} of them inside a PUT, {acknowledged} blocks acknowledged between")
    assert inside >= kills / 3 and acknowledged > kills / 3
    with kit.Mount(s3_bucket, tmp_path, cache=tmp_path / "empty") as m:
        for i in range(WRITERS):
            # What had arrived in full before a kill, the server may store a moment after it.
            assert value[i] <= whole((m.path / f"A/block_{i}_0").read_bytes()) <= value[i] + 1
