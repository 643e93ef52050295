"""Random requests must be signed as botocore signs them: sigv4_oracle.py SIGN_LINES [SEED]

Keys, queries, headers, endpoints, regions, dates and session tokens are random; the encoding of the
URL is compared with urllib's as well."""

import datetime
import os
import random
import subprocess
import sys
import types
from urllib.parse import quote

try:
    import botocore.auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError:
    print("no botocore here")
    sys.exit(77)

CASES = 500
seed = os.environ.get("SEED") or random.randrange(2**32)
rng = random.Random(int(seed))
print("SEED=%s" % seed)

PLAIN = "abcXYZ019-._~"
ODD = " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}\t\x7fé€😀\u00a0"


def text(length_max, alphabet=PLAIN + ODD):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, length_max)))


def hexed(word):
    return word.encode().hex() or "-"


class Case:
    def __init__(self):
        self.method = rng.choice(["GET", "PUT", "HEAD", "DELETE"])
        host = rng.choice(["127.0.0.1:9000", "bucket.s3.eu-west-1.amazonaws.com", "h:443", "[::1]:81"])
        self.base = rng.choice(["http://", "https://"]) + host + rng.choice(["/bucket", "/a%20b/bucket"])
        if self.base.startswith("https") and host == "h:443":
            self.base = self.base.replace(":443", "")  # as it must be in the Host header
        self.region = rng.choice(["us-east-1", "eu-west-1", "cn-north-1"])
        self.access = text(20, PLAIN) or "A"
        self.secret = text(40, PLAIN + "+/=") or "S"
        self.token = text(2000, PLAIN + "+/=") if rng.random() < 0.5 else ""
        self.key = text(60) or "k"
        self.payload = rng.choice(["UNSIGNED-PAYLOAD", "%064x" % rng.getrandbits(256)])
        self.time = rng.randrange(10**9, 2 * 10**9)
        names = rng.sample(["prefix", "list-type", "start-after", "delimiter", "a", "a-b", "é", "a="], rng.randint(0, 5))
        self.params = [(n, text(30)) for n in names]
        heads = rng.sample(["range", "if-match", "if-none-match", "x-amz-meta-a", "x-amz-meta-a-b", "content-type"], rng.randint(0, 5))
        self.headers = [(h, text(20, PLAIN + "  \"*=,;/")) for h in heads]

    def line(self):
        words = [self.method, self.base, self.region, self.access, self.secret, self.token,
                 self.key, self.payload, str(self.time)]
        out = [hexed(w) for w in words]
        for kind, pairs in (("p", self.params), ("h", self.headers)):
            for name, value in pairs:
                out += [kind, hexed(name), hexed(value)]
        return " ".join(out)

    def expected(self):
        url = self.base + "/" + quote(self.key, safe="/-._~")
        when = datetime.datetime.utcfromtimestamp(self.time)
        clock = types.SimpleNamespace(datetime=types.SimpleNamespace(utcnow=lambda: when))
        botocore.auth.datetime = clock
        botocore.auth.get_current_datetime = lambda: when  # newer versions ask this instead
        request = AWSRequest(self.method, url, params=dict(self.params), headers=dict(self.headers))
        auth = botocore.auth.S3SigV4Auth(
            Credentials(self.access, self.secret, self.token or None), "s3", self.region)
        auth.payload = lambda _: self.payload
        auth.add_auth(request)
        query = auth.canonical_query_string(request)
        return (url + ("?" + query if query else ""), request.headers["Authorization"].replace(", ", ","))


cases = [Case() for _ in range(CASES)]
run = subprocess.run([sys.argv[1]], input="\n".join(c.line() for c in cases) + "\n",
                     capture_output=True, text=True, timeout=60)
if run.returncode != 0:
    sys.exit(run.stderr)
got = [tuple(line.split(" ", 1)) for line in run.stdout.splitlines()]
if len(got) != CASES:
    sys.exit("%d answers for %d cases" % (len(got), CASES))
for case, answer in zip(cases, got):
    if answer != case.expected():
        sys.exit("case %r:\n got %s\nwant %s" % (vars(case), answer, case.expected()))
print("%d requests agree" % CASES)
