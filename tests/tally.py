"""Counts what a report of tests says, and keeps what it says about failures.

    tests/tally.py REPORT FOLDER

REPORT: pytest's JUnit XML or meson's testlog.json. Prints "PASSED FAILED SKIPPED"; FOLDER/names gets
a line for each test that failed and FOLDER/reports the end of its output. A report that cannot be
read is one failure.
"""

import json
import sys
import xml.etree.ElementTree as tree
from pathlib import Path

LINES_MAX = 60  # of each failure


def of_meson(path):
    """(name, "passed", "failed" or "skipped", text) of each test."""
    verdicts = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
    for line in path.read_text().splitlines():
        test = json.loads(line)
        yield (test["name"], verdicts.get(test["result"], "failed"),
               f"{test['result']}\n{test.get('stdout') or ''}{test.get('stderr') or ''}")


def of_pytest(path):
    for case in tree.parse(path).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        bad = [c for c in case if c.tag in ("failure", "error")]
        verdict = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
        yield name, verdict, "\n".join(c.text or "" for c in bad)


def main(report, folder):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        results = list((of_meson if report.suffix == ".json" else of_pytest)(report))
    except (OSError, ValueError, tree.ParseError) as e:
        results = [(str(report), "failed", f"no report: {e}")]
    with open(folder / "names", "a") as names, open(folder / "reports", "a") as reports:
        for name, verdict, text in results:
            count[verdict] += 1
            if verdict == "failed":
                print(f"{report.parts[0]}: {name}", file=names)
                print(f"\n-- {report.parts[0]}: {name}", *text.splitlines()[-LINES_MAX:], sep="\n",
                      file=reports)
    print(*count.values())


main(Path(sys.argv[1]), Path(sys.argv[2]))
