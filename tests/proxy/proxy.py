#!/usr/bin/env python3
"""A proxy on loopback that makes an HTTP server fail as told.

    tests/proxy/proxy.py --target 127.0.0.1:8000 [--seed N] [--rate BYTES]
                         [--fault KIND:NTH[+][:METHOD[:REGEX]]]...

prints its own port, then takes commands on standard input, a JSON object a line, and answers each
with one; it ends with its input, and prints what its faults hit. Commands ("do"):

    add     a fault: kind, nth (1: the next request), always (from then on), method and target
            (regular expressions; the target is unquoted). Answers with its number.
    clear   removes all faults and answers with their hits, in the order of adding.
    hits    the same without removing.
    rate    bytes a second that bodies of PUTs may have in all; 0: as fast as it goes.
    seen    requests so far, those with a body under way to the server, and those whose client went
            away before their reply.
    trace   [method, target, status, fault] of the last requests.

A fault strikes once unless it is told to strike always, and counts. Requests go to the server byte
for byte as they came, Host included, so that signatures hold. Nothing is asked of the server but
what clients ask."""

import argparse
import asyncio
import collections
import json
import random
import re
import socket
import struct
import sys
import urllib.parse

HEAD_MAX = 256 * 1024
PIECE = 64 * 1024
PAUSE_S = 0.5  # of `slow` and `late`
CLOSED_S = 0.25  # of `refuse`
FOREVER_S = 3600

# Answers that never come from the server: status line, further headers, body.
OWN = {
    "500": ("500 Internal Server Error", "", "InternalError", "try again"),
    "503": ("503 Slow Down", "", "SlowDown", "reduce your rate"),
    "503-after": ("503 Slow Down", "Retry-After: 1\r\n", "SlowDown", "reduce your rate"),
    "403-expired": ("403 Forbidden", "", "ExpiredToken", "the token has expired"),
    "400-uri": ("400 Bad Request", "", "InvalidURI", "such a key cannot be"),
    "307": ("307 Temporary Redirect", "Location: http://127.0.0.1:9/elsewhere\r\n",
            "TemporaryRedirect", "ask another server"),
    "200-error": ("200 OK", "", "InternalError", "it failed after all"),
}
KINDS = [
    "refuse",     # the connection is reset, and none is taken for a moment
    "reset",      # reset before the request reaches the server
    *OWN,
    "slow",       # carried out after a pause
    "silent",     # never carried out, never answered
    "half",       # half of the reply's body, then the end
    "half-head",  # the same in the middle of the headers
    "longer",     # the reply claims one byte more than it has
    "shorter",    # ... and here one byte less, and has no more
    "garbage",    # status and headers of a success, and a body that is no XML
    "nonsense",   # no HTTP at all
    "flip",       # one bit of the reply's body, anywhere
    "lost",       # carried out, then reset instead of a reply
    "late",       # carried out, and answered after a pause
]


class Gone(Exception):
    """A connection ended where a message has not."""


class Fault:
    def __init__(self, kind, nth=1, always=False, method="", target=""):
        if kind not in KINDS or nth < 1:
            raise ValueError(f"no such fault: {kind}, {nth}")
        self.kind, self.left, self.always = kind, nth, always
        self.method, self.target = re.compile(method or ".*"), re.compile(target)
        self.hits = 0

    def due(self, method, target):
        """Counts a request; true when it is the one."""
        if not self.method.fullmatch(method) or not self.target.search(target):
            return False
        self.left -= 1
        if self.left > 0 or (self.hits and not self.always):
            return False
        self.hits += 1
        return True


class Message:
    """The head of a request or a reply, kept as it came."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw.decode("latin-1").split("\r\n")
        self.first = lines[0].split(" ", 2)
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.fields[name.strip().lower()] = value.strip()

    @property
    def length(self):
        return int(self.fields.get("content-length", 0))

    @property
    def chunked(self):
        return "chunked" in self.fields.get("transfer-encoding", "").lower()

    def with_length(self, length):
        """The same head for a body of another length."""
        lines = [line for line in self.raw[:-4].split(b"\r\n")
                 if not re.match(rb"(?i)(content-length|transfer-encoding):", line)]
        return b"\r\n".join(lines) + b"\r\nContent-Length: %d\r\n\r\n" % length


async def read_head(reader):
    try:
        return Message(await reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
        raise Gone from e


async def read_body(reader, message):
    """The whole body of a reply, without the framing of chunks."""
    if not message.chunked:
        return await reader.readexactly(message.length)
    body = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        body += (await reader.readexactly(size + 2))[:-2]
        if size == 0:
            return body


def reset(writer):
    """Ends a connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Link:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy, reader, writer):
        self.proxy, self.reader, self.writer = proxy, reader, writer
        self.up_reader = self.up_writer = None

    async def run(self):
        try:
            while await self.serve():
                pass
        except (Gone, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for writer in (self.writer, self.up_writer):
                if writer:
                    writer.transport.abort() if writer.is_closing() else writer.close()

    async def serve(self):
        """One request; false when the connection is not to be used any more."""
        request = await read_head(self.reader)
        method, target = request.first[0], urllib.parse.unquote(request.first[1])
        fault = self.proxy.strike(method, target)
        entry = [method, target, 0, fault.kind if fault else None]
        self.proxy.trace.append(entry)
        self.entry = entry
        kind = fault.kind if fault else None
        if kind == "refuse":
            self.proxy.close_for_a_moment()
        if kind in ("refuse", "reset"):
            reset(self.writer)
            return False
        if kind == "silent":
            await asyncio.sleep(FOREVER_S)
        if kind == "slow":
            await asyncio.sleep(PAUSE_S)
        if kind in OWN or kind == "nonsense":
            return await self.answer(request, kind)
        return await self.forward(request, kind)

    async def answer(self, request, kind):
        """Replies instead of the server, without asking it."""
        expects = "100-continue" in request.fields.get("expect", "").lower()
        if not expects:
            await self.reader.readexactly(request.length)
        if kind == "nonsense":
            self.writer.write(b"\x00\xffnot HTTP at all\r\n\r\n")
            await self.writer.drain()
            return False
        status, more, code, text = OWN[kind]
        body = b"" if request.first[0] == "HEAD" else (
            f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{text}</Message>'
            "<RequestId>proxy</RequestId></Error>").encode()
        self.entry[2] = int(status[:3])
        end = "Connection: close\r\n" if expects else ""
        self.writer.write(f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\n{more}{end}"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await self.writer.drain()
        return not expects

    async def send_up(self, request):
        """Passes a request on; the head of the final reply, and whether all of the body went."""
        if not self.up_writer:
            self.up_reader, self.up_writer = await asyncio.open_connection(
                *self.proxy.target, limit=HEAD_MAX)
        self.up_writer.write(request.raw)
        if "100-continue" in request.fields.get("expect", "").lower():
            reply = await read_head(self.up_reader)
            if reply.first[1] != "100":
                return reply, False
            self.writer.write(reply.raw)
        left = request.length
        while left:
            data = await self.reader.read(min(left, PIECE))
            if not data:
                raise Gone
            await self.proxy.pace(len(data))
            self.up_writer.write(data)
            await self.up_writer.drain()
            left -= len(data)
        reply = await read_head(self.up_reader)
        while reply.first[1] == "100":
            reply = await read_head(self.up_reader)
        return reply, True

    async def forward(self, request, kind):
        self.proxy.under_way += request.length > 0
        try:
            reply, whole = await self.watch(self.send_up(request))
        except (Gone, OSError):
            self.proxy.cut += request.length > 0
            raise
        finally:
            self.proxy.under_way -= request.length > 0
        if kind == "lost":
            await self.body_of(request, reply)
            reset(self.writer)
            return False
        if kind == "late":
            await asyncio.sleep(PAUSE_S)
        self.entry[2] = int(reply.first[1])
        keep = await self.give_back(request, reply, kind)
        await self.writer.drain()
        return keep and whole and reply.fields.get("connection", "").lower() != "close"

    async def watch(self, work):
        """Does the work unless the client goes away meanwhile: its end is seen by the reader."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait([task], timeout=0.02)
            if not task.done() and (self.reader.at_eof() or self.reader.exception()):
                task.cancel()
                raise Gone
        return task.result()

    async def body_of(self, request, reply):
        if request.first[0] == "HEAD" or reply.first[1] in ("204", "304"):
            return b""
        return await read_body(self.up_reader, reply)

    async def give_back(self, request, reply, kind):
        """Relays a reply, spoilt as told; false when the connection ends with it."""
        body = await self.body_of(request, reply)
        head = reply.with_length(len(body)) if reply.chunked else reply.raw
        if kind == "half-head":
            self.writer.write(head[:len(head) // 2])
            return False
        if kind == "half":
            self.writer.write((head + body)[:len(head) + len(body) // 2] if body else head[:-2])
            return False
        if kind in ("longer", "shorter") and body:
            self.writer.write(reply.with_length(len(body) + (1 if kind == "longer" else -1)))
            self.writer.write(body if kind == "longer" else body[:-1])
            return kind == "shorter"
        if kind == "flip" and body:
            at = self.proxy.random.randrange(len(body) * 8)
            body = bytearray(body)
            body[at // 8] ^= 1 << at % 8
        if kind == "garbage":
            body = b"<ListBucketResult><Contents><Key>\xff\xfe<<<&" + self.proxy.random.randbytes(64)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            body = b"" if request.first[0] == "HEAD" else body
        self.writer.write(head + bytes(body))
        return True


class Proxy:
    def __init__(self, target, seed):
        self.target = target
        self.random = random.Random(seed)
        self.faults, self.requests, self.under_way, self.cut = [], 0, 0, 0
        self.trace = collections.deque(maxlen=1000)
        self.rate, self.free_at = 0, 0.0
        self.server, self.port = None, 0
        self.tasks = set()

    def strike(self, method, target):
        """The fault of a request, or None. All count it; of several that are due the first takes it
        and the others take the next one."""
        self.requests += 1
        for i, fault in enumerate(self.faults):
            if fault.due(method, target):
                return fault
        return None

    async def pace(self, size):
        """Waits until a piece of that size may pass at the rate that all have together."""
        if not self.rate:
            return
        now = asyncio.get_running_loop().time()
        self.free_at = max(self.free_at, now) + size / self.rate
        await asyncio.sleep(self.free_at - now)

    async def accept(self, reader, writer):
        await Link(self, reader, writer).run()

    async def listen(self):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", self.port, limit=HEAD_MAX,
                                                 backlog=256, reuse_address=True)
        self.port = self.server.sockets[0].getsockname()[1]

    def close_for_a_moment(self):
        async def later():
            await asyncio.sleep(CLOSED_S)
            await self.listen()

        if self.server:
            self.server.close()
            self.server = None
            task = asyncio.ensure_future(later())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def command(self, line):
        words = json.loads(line)
        do = words.pop("do")
        if do == "add":
            self.faults.append(Fault(**words))
            return len(self.faults) - 1
        if do in ("clear", "hits"):
            hits = [f.hits for f in self.faults]
            if do == "clear":
                self.faults = []
            return hits
        if do == "rate":
            self.rate = words["rate"]
            return self.rate
        if do == "seen":
            return {"requests": self.requests, "under_way": self.under_way, "cut": self.cut}
        if do == "trace":
            return list(self.trace)
        raise ValueError(f"no such command: {do}")


async def serve(options):
    host, _, port = options.target.rpartition(":")
    proxy = Proxy((host, int(port)), options.seed)
    proxy.rate = options.rate
    for text in options.fault:
        kind, nth, *rest = text.split(":", 3)
        proxy.faults.append(Fault(kind, int(nth.rstrip("+")), nth.endswith("+"), *rest))
    await proxy.listen()
    print(proxy.port, flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            answer = proxy.command(line)
        except (ValueError, TypeError, KeyError) as e:
            answer = {"error": str(e)}
        print(json.dumps(answer), flush=True)
    for fault in proxy.faults:
        print(f"{fault.kind}: {fault.hits} hits", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--target", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--fault", action="append", default=[])
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
