"""What the mounted tests share: buckets of both kinds, mounts, and looking at them from outside."""

import contextlib
import functools
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BMFS_BUILD", ROOT / "build")).resolve()
FIXTURES = ROOT / "tests/fixtures/numpywren"
PREFIX = "numpywren.objects/"
# Whether the programs were built with the sanitizers, which take memory and time.
SANITIZED = b"__asan_init" in (BUILD / "tools/bm").read_bytes()
SETTLE = "bmfs-settle-"  # no bucket's name: see Server.settle


def wait_for(condition, seconds=20.0, what="the condition"):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.01)


def many(moderate, full, sanitized=None):
    """How often something random is tried: often in tests/soak, few times in tests/run, fewer under
    the sanitizers, which see on each way once what they see at all."""
    if os.environ.get("BMFS_SOAK"):
        return full
    return sanitized if SANITIZED and sanitized is not None else moderate


class DirBucket:
    """Objects in a local directory, looked at without bmfs."""

    kind = "dir"

    def __init__(self, path):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.name = f"file://{self.path}"

    def location(self, prefix=""):
        """What bmfs is told; without a prefix the default one."""
        if not prefix:
            return self.name
        return f"file://{self.path}{'' if prefix == '/' else '/' + prefix.rstrip('/')}/"

    def env(self):
        return {}

    def file(self, key):
        """Where a key's object is: its path, with `%` written %25 where it would be an escape."""
        return self.path / re.sub(r"%(?=[0-9A-Fa-f]{2})", "%25", key)

    def put(self, key, body):
        path = self.file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".put-{os.getpid()}"
        temporary.write_bytes(body)
        temporary.rename(path)

    def get(self, key):
        return self.file(key).read_bytes()

    def delete(self, key):
        self.file(key).unlink()

    def keys(self, prefix=""):
        found = []
        for folder, _, names in os.walk(self.path / prefix[:prefix.rfind("/") + 1]):
            if ".bmfs-store" in folder:
                continue
            found += [str((Path(folder) / n).relative_to(self.path)) for n in names]
        return sorted(k for k in found if k.startswith(prefix))


class S3Bucket:
    """A bucket of the test server, looked at with boto3."""

    kind = "s3"

    def __init__(self, server, name):
        self.server, self.bucket = server, name
        self.client = server.client
        self.client.create_bucket(Bucket=name)
        self.name = f"s3://{name}"

    def location(self, prefix=""):
        return self.name + ("" if not prefix else "/" if prefix == "/" else f"/{prefix}")

    def env(self):
        return self.server.env

    def put(self, key, body):
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def get(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def delete(self, key):
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def keys(self, prefix=""):
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix)
        return sorted(o["Key"] for page in pages for o in page.get("Contents", []))


class Server:
    """A Ceph object gateway of our own on loopback."""

    def __init__(self, folder):
        self.folder = Path(folder)
        subprocess.run([ROOT / "tests/rgw/start", self.folder, "0"], check=True, timeout=120)
        self.env = {}
        for line in (self.folder / "env").read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.env[name] = value.strip("'\"")
        self.count = self.asked = 0

    @functools.cached_property
    def client(self):
        """One for all buckets: boto3 takes a long time to make one."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3", endpoint_url=self.env["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            region_name=self.env["AWS_REGION"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 8}))

    def bucket(self):
        self.count += 1
        return S3Bucket(self, f"bmfs-test-{self.count}")

    def mark(self):
        """Where the server's log ends: requests() gives what was asked since."""
        self.settle()
        return self.log_end()

    def log_end(self):
        return (self.folder / "log/client.rgw.log").stat().st_size

    def logged(self, mark):
        out = subprocess.run([ROOT / "tests/rgw/requests", self.folder, str(mark)], check=True,
                             capture_output=True, text=True, timeout=60).stdout
        return out.splitlines()

    def settle(self):
        """The server writes a line after its reply, and seconds after it when the machine is busy:
        waits for the line of a request that is made now."""
        begun = self.log_end()
        self.asked += 1
        target = f"/{SETTLE}{self.asked}"
        host = urllib.parse.urlsplit(self.env["AWS_ENDPOINT_URL"])
        connection = http.client.HTTPConnection(host.hostname, host.port, timeout=60)
        connection.request("HEAD", target)
        connection.getresponse().read()
        connection.close()
        wait_for(lambda: any(line.split(" ")[1] == target for line in self.logged(begun)), 60,
                 "the server's log")

    def requests(self, mark):
        """(method, target, status, bytes, range) of each request since a mark, without settle()'s."""
        return [(m, urllib.parse.unquote(t), int(s), int(b), r)
                for m, t, s, b, r in (line.split(" ", 4) for line in self.logged(mark))
                if SETTLE not in t]

    def settled_requests(self, mark):
        """The same once nothing is asked any more."""
        last = None
        while True:
            self.settle()
            now = self.requests(mark)
            if now == last:
                return now
            last = now
            time.sleep(0.15)

    @contextlib.contextmanager
    def paused(self):
        """The gateway takes connections and answers nothing."""
        pid = int((self.folder / "run/rgw.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def stop(self):
        subprocess.run([ROOT / "tests/rgw/stop", self.folder], check=False, timeout=120)


MOUNTS = []  # all that tests made and that may still be there: see conftest.py


class Mount:
    """A running bmfs. Leaving the context unmounts it and checks that it ended well."""

    def __init__(self, bucket, folder, *options, prefix="", cache=None, env=None, build=None,
                 name="mnt"):
        self.bucket = bucket
        self.path = Path(folder) / name
        try:
            self.path.mkdir()
        except FileExistsError:
            pass  # a dead mount, perhaps
        self.cache = Path(cache) if cache else Path(folder) / f"cache-{name}"
        self.log_path = Path(folder) / f"{name}.log"
        self.command = [str((build or BUILD) / "tools/bmfs"), "-f", "--cache-dir", str(self.cache),
                        *options, bucket.location(prefix), str(self.path)]
        self.environ = {**clean_environ(), **bucket.env(), **(env or {})}
        self.process = None
        MOUNTS.append(self)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.clean_up()
            raise
        return self

    def clean_up(self):
        """Leaves no process and no mount, whatever has happened."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=30)
        if self.is_mounted():
            subprocess.run(["fusermount3", "-uz", self.path], check=False, timeout=30)

    def start(self):
        with open(self.log_path, "ab") as log:
            begun = log.tell()
            self.process = subprocess.Popen(self.command, env=self.environ, stderr=log,
                                            stdin=subprocess.DEVNULL)
        wait_for(lambda: self.process.poll() is not None or
                 f" on {self.path}: " in self.log()[begun:], 60, "the mount")
        if self.process.poll() is not None:
            raise RuntimeError(f"bmfs ended with {self.process.returncode}:\n{self.log()}")
        os.statvfs(self.path)

    def is_mounted(self):
        return f" {self.path} fuse.bmfs " in Path("/proc/mounts").read_text()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def errors(self):
        return (self.path / ".bmfs/errors").read_text()

    def stats(self):
        import json

        return json.loads((self.path / ".bmfs/stats.json").read_text())

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)
        self.process.wait(timeout=30)

    def unmount(self, check=True):
        if self.process and self.process.poll() is None:
            subprocess.run(["fusermount3", "-u", self.path], check=False, timeout=30)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        elif self.is_mounted():
            subprocess.run(["fusermount3", "-uz", self.path], check=True, timeout=30)
        if check:
            log = self.log()
            assert "Sanitizer" not in log, log
            assert self.process.returncode == 0, (self.process.returncode, log)
            assert not self.is_mounted()

    def __exit__(self, kind, value, trace):
        try:
            self.unmount(check=kind is None)
        finally:
            self.clean_up()
            if kind is not None:
                print(self.log())


def clean_environ():
    """The environment without what would lead bmfs to somebody's real store."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    keep["HOME"] = "/nonexistent"
    keep["AWS_EC2_METADATA_DISABLED"] = "true"
    return keep


def run(*command, check=True, **options):
    """Runs a command and returns what it said, bounded in time."""
    options.setdefault("timeout", 120)
    options.setdefault("capture_output", True)
    options.setdefault("text", True)
    return subprocess.run([str(c) for c in command], check=check, **options)


def shell(script, cwd, check=True, timeout=120):
    """Runs a line as a user would type it; both outputs come back as one text."""
    return subprocess.run(["bash", "-c", script], cwd=cwd, check=check, timeout=timeout, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def fixture_objects(folder=FIXTURES / "objects"):
    """(key, body) of each object of a folder of fixtures."""
    return [(urllib.parse.unquote(p.name), p.read_bytes()) for p in sorted(folder.iterdir())]


def npy(array):
    """The bytes of numpy.save."""
    import io

    import numpy

    out = io.BytesIO()
    numpy.save(out, array)
    return out.getvalue()


def header(shape, shard_sizes, dtype="gANjbnVtcHkKZmxvYXQ2NApxAC4="):
    """The bytes of a header object as numpywren writes them (float64 unless told otherwise)."""
    import json

    return json.dumps({"shape": shape, "shard_sizes": shard_sizes, "dtype": dtype}).encode()


def object_name(index, shape, shards):
    """numpywren's name of a block."""
    parts = []
    for i, n, s in zip(index, shape, shards):
        parts.append(f"{i * s}_{min((i + 1) * s, n)}_{s}_")
    return "".join(parts)


def put_matrix(bucket, key, array, shards, prefix=PREFIX, with_header=True):
    """Stores a matrix as numpywren would."""
    import itertools

    if with_header:
        bucket.put(f"{prefix}{key}/header", header(list(array.shape), list(shards)))
    counts = [-(-n // s) for n, s in zip(array.shape, shards)]
    for index in itertools.product(*(range(c) for c in counts)):
        part = array[tuple(slice(i * s, (i + 1) * s) for i, s in zip(index, shards))]
        bucket.put(f"{prefix}{key}/{object_name(index, array.shape, shards)}", npy(part))


def have(*programs):
    return all(shutil.which(p) for p in programs)


def rss_kib(pid):
    """Peak resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))


class SlowLine:
    """A TCP proxy on loopback that lets bulk data through at a limited rate in all. Small replies
    pass at once: what is slow is the line, not the server."""

    def __init__(self, url, bytes_per_second):
        import socket
        import threading

        host, _, port = url.split("//")[1].partition(":")
        self.target = (host, int(port))
        self.bytes_per_second = bytes_per_second
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.waiting = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def busy(self):
        """Connections that have more than a small reply under way."""
        return self.waiting

    def accept(self):
        import socket
        import threading

        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            threading.Thread(target=self.pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, True), daemon=True).start()

    def pump(self, source, sink, limited):
        sent = 0
        try:
            while data := source.recv(16384):
                sent = sent + len(data) if len(data) > 4096 else 0
                if limited and sent > 65536 and self.bytes_per_second:
                    with self.lock:
                        self.waiting += 1
                    time.sleep(len(data) * max(self.waiting, 1) / self.bytes_per_second)
                    with self.lock:
                        self.waiting -= 1
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for s in (source, sink):
                try:
                    s.shutdown(2)
                except OSError:
                    pass


class Proxy:
    """A running tests/proxy in front of a server: see there for what it can do."""

    def __init__(self, url, seed=0):
        target = url.split("//")[1].rstrip("/")
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests/proxy/proxy.py", "--target", target, "--seed", str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def do(self, what, **words):
        import json

        self.process.stdin.write(json.dumps({"do": what, **words}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert not isinstance(answer, dict) or "error" not in answer, answer
        return answer
