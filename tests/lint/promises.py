#!/usr/bin/env python3
"""Every promise of docs/semantics.md names the tests that hold it, and each of them exists."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def promises(text):
    """(line number, text) of each list entry and of each paragraph outside of lists and tables."""
    entry, begun = [], 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if entry and (not line.strip() or line.startswith(("- ", "#", "|"))):
            yield begun, " ".join(entry)
            entry = []
        if line.startswith("- ") or (line.startswith("  ") and entry):
            begun = begun if entry else number
            entry.append(line.strip())


def tests():
    """The names of all tests."""
    files = subprocess.run(["git", "ls-files", "tests"], cwd=ROOT, check=True, text=True,
                           capture_output=True).stdout.split()
    found = set()
    for name in files:
        if name.endswith(".py"):
            found |= set(re.findall(r"^def (test_\w+)", (ROOT / name).read_text(), re.M))
        elif name.endswith(".c"):
            found |= set(re.findall(r"^static void (\w+)\(void \*\*state\)",
                                    (ROOT / name).read_text(), re.M))
    return found


def main():
    known, bad = tests(), 0
    for line, promise in promises((ROOT / "docs/semantics.md").read_text()):
        named = re.search(r"\[([a-z0-9_, ]+)\]$", promise)
        for test in named.group(1).split(", ") if named else [None]:
            if test not in known:
                print(f"docs/semantics.md:{line}: " +
                      (f"there is no test {test}" if test else "no test is named"))
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
