"""A file has at most 800 lines and no room has words of unfinished work."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES_MAX = 800
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")

bad = []
names = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.py", "*.sh"], cwd=ROOT, text=True,
                       check=True, capture_output=True).stdout.split()
for name in names:
    lines = ROOT.joinpath(name).read_text().splitlines()
    if len(lines) > LINES_MAX:
        bad.append(f"{name}: {len(lines)} lines, at most {LINES_MAX}")
    bad += [f"{name}:{i}: {line.strip()}" for i, line in enumerate(lines, 1)
            if UNFINISHED.search(line)]

print("\n".join(bad))
sys.exit(bool(bad))
