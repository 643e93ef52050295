"""Includes point down only: each room uses the rooms that docs/design.md lets it use."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAY_USE = {
    "base": set(),
    "matrix": {"base"},
    "s3": {"base"},
    "fs": {"base", "matrix", "s3"},
    "ops": {"base", "matrix"},
    "tools": {"base", "matrix", "s3", "fs", "ops"},
}

bad = []
for room, allowed in MAY_USE.items():
    for path in sorted(ROOT.joinpath(room).glob("**/*.[ch]")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+"([^"/]+)/', line)
            if found and found[1] != room and found[1] not in allowed:
                bad.append(f"{path.relative_to(ROOT)}:{number}: {room} must not see {found[1]}")
            if re.match(r'\s*#\s*include\s+"\.\.', line):
                bad.append(f"{path.relative_to(ROOT)}:{number}: name the room, not ../")

# Only the daemon speaks FUSE: the tools see it through mount.h, and its cache folder beside it.
for path in sorted(ROOT.joinpath("tools").glob("*.[ch]")):
    for line in path.read_text().splitlines():
        if re.match(r'#include "fs/(?!(mount|cache|lost|recover|salvage)\.h)', line) or "<fuse" in line:
            bad.append(f"{path.relative_to(ROOT)}: {line}")

print("\n".join(bad))
sys.exit(bool(bad))
