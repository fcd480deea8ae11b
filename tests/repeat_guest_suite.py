"""Run the guest suite several times, note each result in a log, and sum the log up.

    python tests/repeat_guest_suite.py --times 10 [--log FILE] [pytest's arguments]

A test that failed in some runs and passed in others is flaky. The log is one JSON object a line,
is only ever added to and belongs to the repository, so that runs of many days and machines add up.
``--times 0`` runs nothing and sums it up.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
LOG = ROOT / "docs" / "guest-suite.jsonl"
SUITE = ("-n", "auto", "--dist", "loadfile", "-m", "guest", str(ROOT / "tests"))
Record = dict[str, Any]


def main(words: Sequence[str]) -> int:
    """Return 0 when every run of this call passed."""
    parser = argparse.ArgumentParser(description="Run the guest suite several times.")
    parser.add_argument("--times", type=int, default=3, metavar="N")
    parser.add_argument("--log", type=Path, default=LOG, metavar="FILE")
    given, more = parser.parse_known_args(words)
    passed = True
    for _ in range(given.times):
        record = once(more or SUITE)
        passed = passed and record["status"] == 0
        with given.log.open("a") as log:
            log.write(json.dumps(record) + "\n")
        say(f"{record['started']}: status {record['status']} in {record['seconds']} s")
    for line in summary(map(json.loads, given.log.read_text().splitlines())):
        say(line)
    return 0 if passed else 1


def once(arguments: Sequence[str]) -> Record:
    """Run pytest once and return what there is to note of it."""
    started, begin = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    failed = [
        f"{case.get('classname')}.{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return {
        "started": started,
        "commit": revision(),
        "seconds": round(time.monotonic() - begin),
        "status": status,
        "tests": len(cases),
        "failed": failed,
    }


def revision() -> str:
    """Return which commit is checked out, with ``+`` behind it where files differ from it."""
    words = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip()


def summary(records: Iterable[Record]) -> list[str]:
    """Return how many runs passed, how many did since the last that failed, and what failed."""
    everything = list(records)
    passed = sum(record["status"] == 0 for record in everything)
    failures = Counter(name for record in everything for name in record["failed"])
    row = sum(1 for _ in takewhile(lambda record: record["status"] == 0, reversed(everything)))
    lines = [f"{passed} of {len(everything)} runs passed, the last {row} in a row"]
    lines += [
        f"failed in {count} of {len(everything)}: {name}" for name, count in failures.most_common()
    ]
    return lines


def say(text: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
