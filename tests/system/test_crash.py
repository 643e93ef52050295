"""kill -9 while writing: the old object or the new one, never a mixture, and a mount that works."""

import os
import random
import subprocess
import sys
import time

import kit
import numpy as np

SIDE = 512


def writer(path):
    """A process that overwrites a block for ever with blocks of one value each, and says when it is
    about to begin."""
    return subprocess.Popen([sys.executable, "-c", f"""
import numpy as np
print("ready", flush=True)
value = 0.0
while True:
    value += 1
    try:
        with open({str(path)!r}, "wb") as f:
            np.save(f, np.full(({SIDE}, {SIDE}), value))
    except OSError:
        break
"""], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def test_a_killed_daemon_leaves_whole_blocks(bucket, tmp_path):
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print("SEED =", seed)
    rng = random.Random(seed)
    keys = [f"{kit.PREFIX}A/{kit.object_name((i, 0), (4 * SIDE, SIDE), (SIDE, SIDE))}"
            for i in range(4)]
    kit.put_matrix(bucket, "A", np.zeros((4 * SIDE, SIDE)), (SIDE, SIDE))
    m = kit.Mount(bucket, tmp_path)
    advanced = 0
    for _ in range(10):
        m.start()
        writers = [writer(m.path / f"A/block_{i}_0") for i in range(4)]
        for w in writers:
            w.stdout.readline()
        time.sleep(rng.uniform(0.05, 0.6))
        m.kill()
        for w in writers:
            w.communicate(timeout=30)
        for key in keys:
            block = np.frombuffer(bucket.get(key)[128:]).reshape(SIDE, SIDE)
            assert (block == block[0, 0]).all(), (seed, key)
            advanced += block[0, 0] > 0
    with m:
        for i in range(4):
            block = np.load(m.path / f"A/block_{i}_0")
            assert (block == block[0, 0]).all()
            np.save(m.path / f"A/block_{i}_0", np.full((SIDE, SIDE), -1.0))
            assert (np.load(m.path / f"A/block_{i}_0") == -1).all()
        assert len(os.listdir(m.cache / "mounts")) == 1
    assert set(bucket.keys(f"{kit.PREFIX}A/")) == set(keys) | {f"{kit.PREFIX}A/header"}
    assert advanced > 10
