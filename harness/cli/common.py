"""What commands that work with guests start from: an assembly of the working directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.assembly import Assembly
from harness.cli.inifile import ini_options
from harness.cli.lines import Lines
from harness.images import catalog
from harness.laboratory import Laboratory
from harness.oci_limits import limits

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
    found = ini_options()
    options = replace(
        found,
        accelerator=accelerator,
        adhoc=adhoc,
        kernels=kernels,
        image_limits=limits(image_limits, found.image_limits),
    )
    made = Assembly(options, Lines())
    try:
        yield made
    finally:
        made.close()


def laboratory(made: Assembly, *extra: str) -> Laboratory:
    """Return a laboratory with the catalog's images and those given by reference."""
    entries = catalog.load_catalog(made.image_directories)
    for text in extra:
        if text not in entries:
            entries[text] = catalog.adhoc(text, base=Path.cwd())
    return Laboratory(made, entries)
