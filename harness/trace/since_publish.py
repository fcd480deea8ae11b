"""Write since.toml anew, by hand, when a newer source has more calls.

    apt-get download manpages-dev && dpkg-deb -x manpages-dev_*.deb pages
    zcat pages/usr/share/man/man2/syscalls.2.gz > syscalls.2
    python -m harness.trace.since_publish syscalls.2 syscalls.csv > harness/trace/since.toml

``syscalls.csv`` is libseccomp's (src/syscalls.csv); it knows nothing older than 3.0, but calls
that the page does not list yet.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

from harness.trace.syscalls import ABIS, Syscalls

_ROW = re.compile(r"^\\fB([a-z_][a-z0-9_]*)\\fP\(2\)\t(\d+\.\d+(?:\.\d+)?)")
_TITLE = re.compile(r'^\.TH (?:"?syscalls"?|SYSCALLS) .*?"(Linux man-pages [^"]*)"')
_VERSION = re.compile(r"SCMP_KV_(\d+)_(\d+)")
_OLDEST = "3.0"
"""What libseccomp says of every call that is as old or older."""


def of_page(page: str) -> dict[str, str]:
    """Return the calls of syscalls(2) and the kernel that each was new in."""
    found = (_ROW.match(line) for line in page.splitlines())
    return {match[1]: match[2] for match in found if match}


def of_table(text: str) -> dict[str, str]:
    """Return the calls of libseccomp's table that are newer than its beginning."""
    found: dict[str, str] = {}
    for row in csv.DictReader(text.splitlines()):
        name = next(iter(row.values()))
        for column in ("x86_64_kver", "x86_kver"):
            match = _VERSION.fullmatch(row[column])
            if match and (version := f"{match[1]}.{match[2]}") != _OLDEST:
                found.setdefault(name, version)
    return found


def text(page: str, table: str) -> str:
    """Return the data file: calls of a PC's two tables, by name."""
    title = _TITLE.search(page.partition(".SH NAME")[0].splitlines()[-1])
    first = table.partition(",")[0].removeprefix("#syscall").strip(" ()")
    syscalls = Syscalls()
    names = sorted({name for abi in ABIS for name in syscalls.by_name(abi)})
    since = of_table(table) | of_page(page)
    rows = [f'{name} = "{since[name]}"' for name in names if name in since]
    return "\n".join(
        [
            "# Which kernel introduced a system call; written by harness/trace/since_publish.py.",
            f"# Source: syscalls(2) of {title[1] if title else 'man-pages'};",
            f"# what it does not list: src/syscalls.csv of libseccomp ({first}).",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(text(*(Path(name).read_text() for name in sys.argv[1:3])))
