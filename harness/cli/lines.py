"""What commands write: progress and complaints on standard error, tables on standard output."""

from __future__ import annotations

import sys
import threading
import time

from rich.console import Console
from rich.table import Table

from harness.report.plain import clean, clean_lines


class Lines:
    """Progress as lines on standard error; a download's is rewritten on a terminal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._terminal = sys.stderr.isatty()
        self._last = time.monotonic()

    def say(self, text: str) -> None:
        """Write a line."""
        with self._lock:
            sys.stderr.write("\n".join(clean_lines(text)) + "\n")

    def update(self, what: str, done: int, total: int | None) -> None:
        """Show how far a download is, at most ten times a second, on a terminal only."""
        now = time.monotonic()
        if not self._terminal or (now - self._last < 0.1 and done != total):
            return
        with self._lock:
            self._last = now
            of = f" of {total / 1e6:.1f}" if total else ""
            end = "\n" if done == total else ""
            sys.stderr.write(f"\r\x1b[K{clean(what)}: {done / 1e6:.1f}{of} MB{end}")


def complain(problem: object) -> None:
    """Write what is wrong to standard error; names and words of outside data move no cursor."""
    sys.stderr.write("harness: " + "\n".join(clean_lines(str(problem))) + "\n")


def show(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; plain where standard output is no terminal."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(clean, row))
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False).print(table)
