"""What every command starts from: an assembly of the working directory, lines on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness.assembly import Assembly, Options
from harness.images import catalog
from harness.laboratory import Laboratory
from harness.oci_limits import limits
from harness.report.plain import clean, clean_lines

Accel = Annotated[
    str, typer.Option("--accel", metavar="auto|kvm|tcg", help="What runs the guests.")
]
Adhoc = Annotated[
    list[str] | None,
    typer.Option(
        "--kernel",
        metavar="NAME=PATH[,modules=DIR]",
        help="Also this bzImage, under that name; may be given several times.",
    ),
]


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


@contextmanager
def assembly(
    *,
    accelerator: str = "auto",
    adhoc: tuple[str, ...] = (),
    kernels: str | None = None,
    image_limits: Sequence[str] = (),
) -> Iterator[Assembly]:
    """Put an assembly together for the working directory and close it afterwards.

    ``kernels`` are those that guests are to be of, which says how many fit into memory.
    """
    options = Options(
        rootdir=Path.cwd(),
        images_dir=Path.cwd() / "images",
        accelerator=accelerator,
        adhoc=adhoc,
        kernels=kernels,
        image_limits=limits(image_limits),
    )
    made = Assembly(options, Lines())
    try:
        yield made
    finally:
        made.close()


def laboratory(made: Assembly, *extra: str) -> Laboratory:
    """Return a laboratory with the catalog's images and those given by reference."""
    user = made.options.images_dir
    directories = catalog.directories(user if user is not None and user.is_dir() else None)
    entries = catalog.load_catalog(directories)
    for text in extra:
        if text not in entries:
            entries[text] = catalog.adhoc(text, base=Path.cwd())
    return Laboratory(made, entries)


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
