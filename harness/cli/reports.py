"""``harness report``: a run's report, made from its record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UsageError
from harness.report import contents, files
from harness.report.files import Format
from harness.results.files import write_whole
from harness.results.runs import LATEST


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or its directory.")] = (
        LATEST
    ),
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.HTML,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to; - is standard output. Without it: report.FORMAT beside run.json.",
            show_default=False,
        ),
    ] = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are recorded.")] = Path(
        "results"
    ),
) -> None:
    """Write a run's report: HTML for people, Markdown for CI's summaries, JSON for machines."""
    made = contents.load(_directory(run, results))
    if out is None:
        typer.echo(files.write(made, form))
    elif str(out) == "-":
        sys.stdout.buffer.write(files.render(made, form))
    else:
        write_whole(out, files.render(made, form))


def _directory(run: str, results: Path) -> Path:
    for path in (results / run, Path(run)):
        if path.is_dir():
            return path
    raise UsageError(
        f"there is no run {run!r} in {results}: give a run's id or its directory; "
        "--results names where runs are recorded"
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)
