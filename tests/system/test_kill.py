"""kill -9 of the daemon while large blocks are on their way: what close or fsync said is stored is
stored, every block is whole, and the rest is what was there before."""

import os
import random
import select
import subprocess
import sys
import threading
import time

import kit
import numpy as np

SIDE = 1024  # blocks of 8 MiB
WRITERS = 3
RATE = 160 << 20  # bytes a second that go out: a block takes a sixth of a second

WRITER = """
import os, sys
import numpy as np
for line in sys.stdin:
    path, value, how = line.split()
    value = float(value)
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
    print("ended", flush=True)
"""


class Writer:
    """A process that is told each time to overwrite a block with higher and higher values until
    that fails, and says which are stored."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", WRITER.format(side=SIDE)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def start(self, path, value, how):
        self.process.stdin.write(f"{path} {value} {how}\n")
        self.process.stdin.flush()

    def said(self):
        """The values since start(), once it has failed."""
        limit = threading.Timer(60, self.process.kill)
        limit.start()
        try:
            return [float(line) for line in iter(self.process.stdout.readline, "ended\n")]
        finally:
            limit.cancel()

    def end(self):
        self.process.kill()
        self.process.communicate(timeout=60)


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
    kills, inside, acknowledged = kit.many(50, 1000, 20), 0, 0
    value = [0.0] * WRITERS
    writers = [Writer() for _ in range(WRITERS)]
    for w in writers:
        request.addfinalizer(w.end)
    with kit.Proxy(server.env["AWS_ENDPOINT_URL"]) as proxy:
        proxy.do("rate", rate=RATE)
        m = kit.Mount(s3_bucket, tmp_path, "--endpoint-url", proxy.url)
        request.addfinalizer(m.clean_up)
        for turn in range(kills):
            m.start()
            for i, w in enumerate(writers):
                w.start(m.path / f"A/block_{i}_0", value[i], rng.choice(["close", "fsync"]))
            if turn % 2:  # a busy machine may store nothing in so short a time
                select.select([w.process.stdout for w in writers], [], [], 60)
            time.sleep(rng.uniform(0.1, 0.7))
            cut = proxy.do("seen")["cut"]
            m.kill()
            said = [w.said() for w in writers]
            kit.wait_for(lambda: proxy.do("seen")["under_way"] == 0, 20, "the end of the requests")
            inside += proxy.do("seen")["cut"] > cut
            for i, key in enumerate(keys):
                stored = whole(s3_bucket.get(key))
                last = max([value[i], *said[i]])
                acknowledged += last > value[i]
                assert last <= stored <= last + 1, (seed, turn, i, last, stored)
                value[i] = stored
    print(f"{kills} kills, {inside} of them inside a PUT, {acknowledged} blocks acknowledged between")
    assert inside >= kills / 3 and acknowledged > kills / 3
    with kit.Mount(s3_bucket, tmp_path, cache=tmp_path / "empty") as m:
        for i in range(WRITERS):
            # What had arrived in full before a kill, the server may store a moment after it.
            assert value[i] <= whole((m.path / f"A/block_{i}_0").read_bytes()) <= value[i] + 1
