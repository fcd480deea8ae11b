"""``harness store``: what is kept, how much of it, and whether it is intact."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from harness.cli.common import assembly, show

app = typer.Typer(help="The artefact store.", no_args_is_help=True)
_DAY = 86400.0


@app.command()
def ls() -> None:
    """List what the store holds, the largest first."""
    with assembly() as made:
        entries = sorted(made.store.entries(), key=lambda entry: -entry.size)
        now = time.time()
        rows = [
            [
                entry.kind,
                entry.key[:16],
                f"{entry.size / 1e6:.1f}",
                f"{(now - entry.used) / _DAY:.1f}",
                entry.label,
            ]
            for entry in entries
        ]
        show(["kind", "key", "MB", "days unused", "what"], rows)
        typer.echo(f"{sum(e.size for e in entries) / 1e6:.0f} MB in {made.store.root}")


@app.command()
def gc(
    keep: Annotated[float, typer.Option(help="days without use after which an entry goes")] = 30.0,
) -> None:
    """Remove what was not used for some days, and what killed processes left."""
    with assembly() as made:
        gone = made.store.gc(keep * _DAY)
        typer.echo(f"{len(gone)} entries removed, {sum(e.size for e in gone) / 1e6:.0f} MB")


@app.command()
def verify() -> None:
    """Check every file of the store against what was recorded when it was made."""
    with assembly() as made:
        problems = [
            problem for entry in made.store.entries() for problem in made.store.verify(entry)
        ]
        for problem in problems:
            sys.stderr.write(f"harness: {problem}\n")
        if problems:
            sys.stderr.write("harness: remove what is damaged; it is made anew when needed\n")
            raise typer.Exit(1)
        typer.echo(f"{len(made.store.entries())} entries intact")
