"""Random operations through two mounts and behind their backs, against a model of twenty lines.

Every episode has a directory of its own and a list of operations that does not depend on what they
do, so that a failing one can be shrunk by leaving operations out. SEED=N repeats a run."""

import errno
import mmap
import os
import random
import time

import kit
import numpy as np
import pytest

EPISODE = 100  # operations
GRACE_S = 3.0  # how long another's change may stay unseen by stat and ls
PLAIN = ["a", "b", "s/a", "s/b"]
BLOCKS = ["M/block_0_0", "M/block_0_1"]
SHAPE, SHARDS = (4, 8), (4, 4)
KEYS = {b: f"M/{kit.object_name((0, j), SHAPE, SHARDS)}" for j, b in enumerate(BLOCKS)}
PLAIN_ONLY = {"append", "truncate"}
KINDS = ["write", "excl", "append", "patch", "truncate", "mmap", "read", "read", "unlink", "rename",
         "link", "stat", "ls", "rmdir", "foreign_put", "foreign_delete", "hold", "look"]


# What a name that is trusted for a moment may do: operation, what it ought to do, what it does.
LATE = {
    ("excl", None, errno.EEXIST),
    ("link", None, errno.EEXIST),
    ("unlink", errno.ENOENT, None),
}


def content(rng, path):
    """What a path may hold."""
    if path in KEYS:
        return kit.npy(np.array([[rng.random() for _ in range(4)] for _ in range(4)]))
    return rng.randbytes(rng.choice([0, 1, 10, 100, 5000, 140000]))


def episode(rng, length):
    """A list of operations: (kind, mount, path, second path or offset, bytes)."""
    ops = []
    while len(ops) < length:
        kind = rng.choice(KINDS)
        names = rng.choice([PLAIN, PLAIN, BLOCKS])
        path, other = rng.choice(names), rng.choice(names)
        if kind in PLAIN_ONLY and names is BLOCKS:
            continue
        more = other if kind == "rename" else rng.randrange(128, 256) if names is BLOCKS else \
            rng.randrange(6000)
        data = rng.randbytes(rng.randrange(1, 40))[:256 - more if names is BLOCKS and
                                                   isinstance(more, int) else None]
        if kind in ("write", "excl", "link", "foreign_put"):
            data = content(rng, path)
        ops.append((kind, rng.randrange(2), path, more, data))
    return ops


class Wrong(AssertionError):
    """The mount and the model disagree."""


class World:
    """An episode under way: the model, and both mounts in a fresh directory."""

    def __init__(self, bucket, mounts, name):
        self.bucket, self.name = bucket, name
        self.mounts = [m.path / name for m in mounts]
        self.files = {}    # path: bytes
        self.changed = {}  # path: (by whom, when); other mounts may see it late
        self.held = []     # (fd, path, the bytes it was opened with)
        bucket.put(f"{kit.PREFIX}{name}/s/kept", b"")  # or s would be gone with its last file
        bucket.put(f"{kit.PREFIX}{name}/M/header", kit.header(list(SHAPE), list(SHARDS)))

    def key(self, path):
        return f"{kit.PREFIX}{self.name}/{KEYS.get(path, path)}"

    def set(self, path, data, by):
        """The model's only two effects."""
        if data is None:
            self.files.pop(path, None)
        else:
            self.files[path] = data
        self.changed[path] = (by, time.monotonic())

    def late(self, path, mount):
        """True while a mount may not have noticed the last change of a path."""
        by, when = self.changed.get(path, (mount, 0.0))
        return by != mount and time.monotonic() - when < GRACE_S

    def need(self, path):
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, path)
        return self.files[path]

    def run(self, op):
        """Does one operation in both worlds."""
        kind, mount, path, more, data = op
        real = self.mounts[mount] / path
        real.parent.mkdir(parents=True, exist_ok=True)
        before = dict(self.files), dict(self.changed)
        soft = self.late(path, mount) or (kind == "rename" and self.late(more, mount))
        model = attempt(getattr(self, f"model_{kind}"), mount, path, more, data)
        self.compare(op, model, attempt(getattr(self, f"real_{kind}"), real, more, data), soft,
                     before)

    def compare(self, op, model, got, soft, before):
        kind, mount, path = op[0], op[1], op[2]
        if kind == "ls":
            wrong = {n for n in model.symmetric_difference(got) if
                     not any(self.late(p, mount) for p in [*PLAIN, *BLOCKS]
                             if p.startswith(n.rstrip("/")) or p == f"{path.split('/')[0]}/{n}")}
            if wrong:
                raise Wrong(f"ls: {sorted(model)} expected, {sorted(got)} found")
            return
        if kind == "rename" and path == op[3] and soft and model == errno.ENOENT:
            return  # the kernel has nothing to do
        if soft and (kind, model, got) in LATE or (soft and kind == "stat"):
            if kind != "stat" and got:
                self.files, self.changed = before
            return
        if model != got:
            raise Wrong(f"{show(op)}: {brief(model)} expected, {brief(got)} found"
                        f"{' (another changed it just now)' if soft else ''}")

    # --- each kind, in the model and on the mount ---

    def model_write(self, mount, path, more, data):
        self.set(path, data, mount)

    def real_write(self, real, more, data):
        with open(real, "wb", buffering=0) as f:
            for at in range(0, len(data), 100000):
                f.write(data[at:at + 100000])
            if not data:
                os.fsync(f.fileno())  # else stored a moment after close: a shell may be at work

    def model_excl(self, mount, path, more, data):
        if path in self.files:
            raise FileExistsError(errno.EEXIST, path)
        self.set(path, data, mount)

    def real_excl(self, real, more, data):
        with open(real, "xb") as f:
            f.write(data)

    def model_append(self, mount, path, more, data):
        self.set(path, self.files.get(path, b"") + data, mount)

    def real_append(self, real, more, data):
        with open(real, "ab") as f:
            f.write(data)

    def model_patch(self, mount, path, more, data):
        old = self.need(path)
        self.set(path, old[:more].ljust(more, b"\0") + data + old[more + len(data):], mount)

    def real_patch(self, real, more, data):
        with open(real, "r+b") as f:
            f.seek(more)
            f.write(data)

    def model_truncate(self, mount, path, more, data):
        self.set(path, self.need(path)[:more].ljust(more, b"\0"), mount)

    def real_truncate(self, real, more, data):
        with open(real, "r+b") as f:
            f.truncate(more)

    def model_mmap(self, mount, path, more, data):
        old = self.need(path)
        if old:
            at = more % len(old)
            self.set(path, old[:at] + data[:1] + old[at + 1:], mount)

    def real_mmap(self, real, more, data):
        with open(real, "r+b") as f:
            size = os.fstat(f.fileno()).st_size
            if size:
                with mmap.mmap(f.fileno(), size) as view:
                    view[more % size] = data[0]
                    view.flush()

    def model_read(self, mount, path, more, data):
        return self.need(path)

    def real_read(self, real, more, data):
        return real.read_bytes()

    def model_unlink(self, mount, path, more, data):
        self.need(path)
        self.set(path, None, mount)

    def real_unlink(self, real, more, data):
        os.unlink(real)

    def model_rename(self, mount, path, more, data):
        body = self.need(path)
        if path != more:
            by = "another" if self.late(path, mount) else mount
            self.set(path, None, mount)
            self.set(more, body, by)  # the kernel takes what it knew of the old name along

    def real_rename(self, real, more, data):
        other = self.root_of(real) / more
        other.parent.mkdir(parents=True, exist_ok=True)
        os.rename(real, other)

    def model_link(self, mount, path, more, data):
        if path in self.files:
            raise FileExistsError(errno.EEXIST, path)
        self.set(path, data, mount)

    def real_link(self, real, more, data):
        scratch = real.parent / ".bm-scratch"
        scratch.write_bytes(data)
        try:
            os.link(scratch, real)
        finally:
            scratch.unlink()

    def model_stat(self, mount, path, more, data):
        return len(self.need(path))

    def real_stat(self, real, more, data):
        return os.stat(real).st_size

    def model_ls(self, mount, path, more, data):
        folder = path.rpartition("/")[0]
        names = {p.rpartition("/")[2] for p in self.files if p.rpartition("/")[0] == folder}
        return names | {"M": {"header.json"}, "s": {"kept"}}.get(folder, set())

    def real_ls(self, real, more, data):
        return {e.name for e in os.scandir(real.parent) if e.is_file()}

    def model_rmdir(self, mount, path, more, data):
        raise OSError(errno.ENOTEMPTY, "s")

    def real_rmdir(self, real, more, data):
        (self.root_of(real) / "t").mkdir()
        (self.root_of(real) / "t").rmdir()
        os.rmdir(self.root_of(real) / "s")

    def model_foreign_put(self, mount, path, more, data):
        self.set(path, data, "foreign")

    def real_foreign_put(self, real, more, data):
        self.bucket.put(self.key(self.path_of(real)), data)

    def model_foreign_delete(self, mount, path, more, data):
        self.had = path in self.files
        self.set(path, None, "foreign")

    def real_foreign_delete(self, real, more, data):
        if self.had:
            self.bucket.delete(self.key(self.path_of(real)))

    def root_of(self, real):
        return [m for m in self.mounts if real.is_relative_to(m)][0]

    def path_of(self, real):
        return str(real.relative_to(self.root_of(real)))

    def model_hold(self, mount, path, more, data):
        self.need(path)

    def real_hold(self, real, more, data):
        """Opens a file for later: it must stay what it was."""
        fd = os.open(real, os.O_RDONLY)
        self.held.append((fd, real, self.files.get(self.path_of(real))))

    def model_look(self, mount, path, more, data):
        return None

    def real_look(self, real, more, data):
        while self.held:
            fd, path, body = self.held.pop()
            try:
                found = b""
                while piece := os.pread(fd, 1 << 20, len(found)):
                    found += piece
                if found != body:
                    raise Wrong(f"the open file {path} has changed")
            except OSError as e:
                if e.errno not in (errno.ESTALE, errno.EIO):
                    raise
            finally:
                os.close(fd)

    def finish(self, settled):
        """What is stored is what the model holds; so is what both mounts show, once all that was
        changed has had time to be seen."""
        self.real_look(None, None, None)
        keys = {self.key(p): p for p in self.files}
        own = {f"{kit.PREFIX}{self.name}/{n}" for n in ("M/header", "s/kept")}
        stored = set(kit.wait_for(
            lambda: (k := set(self.bucket.keys(f"{kit.PREFIX}{self.name}/")) - own) == set(keys)
            and (k or {""}), 5, f"the objects {sorted(keys)}")) - {""}
        for key in stored:
            if self.bucket.get(key) != self.files[keys[key]]:
                raise Wrong(f"stored under {key}: other bytes")
        if settled:
            time.sleep(GRACE_S)
            for i, path in ((i, p) for i in range(2) for p in [*PLAIN, *BLOCKS]):
                for kind in ("stat", "ls", "read"):
                    self.run((kind, i, path, None, b""))


def attempt(act, *args):
    """What came of it, or the errno."""
    try:
        return act(*args)
    except OSError as e:
        return e.errno


def brief(value):
    if isinstance(value, bytes):
        return f"{len(value)} bytes {value[:8].hex()}"
    return errno.errorcode.get(value, value) if isinstance(value, int) else value


def show(op):
    kind, mount, path, more, data = op
    return f"{kind}({'AB'[mount]}, {path!r}, {more!r}, {len(data)} bytes)"


def play(bucket, mounts, ops, name, settled=False):
    """The number of the operation that failed and why, or None."""
    world = World(bucket, mounts, name)
    at = 0
    try:
        for at, op in enumerate(ops):
            world.run(op)
        at = len(ops)
        world.finish(settled)
        return None
    except (Wrong, OSError, TimeoutError) as e:
        return at, f"{type(e).__name__}: {e}"
    finally:
        for fd, _, _ in world.held:
            os.close(fd)


def shrink(bucket, mounts, ops, name, seconds=120):
    """As few of the operations as still fail, as far as the time allows."""
    end = time.monotonic() + seconds
    serial, size = 0, max(len(ops) // 2, 1)
    while size >= 1:
        at = 0
        while at < len(ops):
            fewer = ops[:at] + ops[at + size:]
            serial += 1
            if time.monotonic() > end:
                return ops
            if fewer and play(bucket, mounts, fewer, f"{name}-{serial}"):
                ops = fewer
            else:
                at += size
        size //= 2
    return ops


def test_a_model_agrees_on_a_directory(dir_bucket, tmp_path):
    compare(dir_bucket, tmp_path, kit.many(8000, 800000, 2000))


def test_a_model_agrees_on_s3(s3_bucket, tmp_path):
    compare(s3_bucket, tmp_path, kit.many(2000, 200000, 500))


def compare(bucket, tmp_path, count):
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print("SEED =", seed)
    rng = random.Random(seed)
    with kit.Mount(bucket, tmp_path, name="one") as one, kit.Mount(bucket, tmp_path, name="two") as two:
        for number in range(count // EPISODE):
            ops = episode(rng, EPISODE)
            failed = play(bucket, (one, two), ops, f"E{number}", number % 50 == 0)
            if failed:
                few = shrink(bucket, (one, two), ops[:failed[0] + 1], f"E{number}")
                again = play(bucket, (one, two), few, f"E{number}-last")
                pytest.fail(f"SEED={seed}, episode {number}: {failed[1]}\n"
                            f"shrunk ({again[1] if again else 'not every time'}):\n  " +
                            "\n  ".join(show(op) for op in few))
