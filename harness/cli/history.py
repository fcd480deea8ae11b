"""``harness history`` and ``harness compare``: runs, and how two of them differ."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.cli.inifile import known_causes
from harness.cli.lines import complain, show
from harness.errors import UsageError
from harness.intake import Intake, take_in_missing
from harness.recall import LAST, find, recall
from harness.report import differences
from harness.results import exchange
from harness.results.history import History, RunRow
from harness.results.meta import Run
from harness.trace import since
from harness.verdicts.compare import Terms
from harness.verdicts.sides import compare_runs
from harness.verdicts.unlike import Asked

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where runs are recorded.")]
RESULTS = Path("results")
Group = Annotated[
    Path | None,
    typer.Option(
        "--results", metavar="DIR", help="Where runs are recorded.", show_default="results"
    ),
]

history_app = typer.Typer(
    help="The history of all runs: listed, exported, imported.", invoke_without_command=True
)


@contextmanager
def _history(results: Path) -> Iterator[tuple[History, Intake]]:
    """Open the history once it has all runs that it can have; say what it cannot have."""
    if not results.is_dir():
        raise UsageError(f"there are no runs: {results} is no directory; --results names one")
    with History.open(results) as history:
        intake = take_in_missing(history, results)
        for problem in intake.problems:
            complain(problem)
        yield history, intake


@history_app.callback()
def list_(context: typer.Context, results: Results = RESULTS) -> None:
    """List all runs of the history, oldest first; runs that it lacks are taken in."""
    context.obj = results
    if context.invoked_subcommand:
        return
    with _history(results) as (history, intake):
        show(["run", "ended", "", "cells", "what became of them"], list(map(_row, history.runs())))
        if intake.open:
            typer.echo(f"not ended, so not in the history: {', '.join(intake.open)}")


def _row(run: RunRow) -> list[str]:
    states = ", ".join(f"{count} {state.value}" for state, count in sorted(run.states.items()))
    total = sum(run.states.values())
    return [run.id, run.finished, "night" if run.night else "", str(total), states]


@history_app.command("export")
def export_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write.")],
    results: Group = None,
) -> None:
    """Write the history to a file that `harness history import` takes elsewhere.

    For CI, whose runners start empty: keep the file as a cache or an artefact.
    """
    with _history(results or context.obj) as (history, _):
        exchange.export_history(history, file)
        typer.echo(f"{len(history.runs())} runs, {file.stat().st_size / 1e6:.1f} MB in {file}")


@history_app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote.")],
    results: Group = None,
) -> None:
    """Merge a file that `harness history export` wrote; the second time changes nothing."""
    with History.open(results or context.obj) as history:
        merged = exchange.import_history(history, file)
        typer.echo(f"{merged.new} of {merged.total} runs new")


def compare(
    before: Annotated[
        str, typer.Argument(metavar="RUN", help="An id, its beginning, a directory, or last.")
    ],
    after: Annotated[str, typer.Argument(metavar="RUN", help="The later one, given likewise.")],
    anyway: Annotated[
        bool,
        typer.Option("--compare-anyway", help="Compare even what is not alike besides."),
    ] = False,
    results: Results = RESULTS,
) -> None:
    """Compare the same cells across time: kernels and images may be newer builds."""
    terms = Terms(
        asked=Asked.TIME,
        anyway=anyway,
        since=since.load(),
        causes=known_causes(),
    )
    comparison = compare_runs(_run(results, before), _run(results, after), terms)
    terminal = Console()
    typer.echo(
        differences.render(
            comparison,
            width=terminal.width,
            colour=terminal.color_system is not None and not terminal.no_color,
            unicode=(sys.stdout.encoding or "").lower().startswith("utf"),
        ),
        nl=False,
    )


def _run(results: Path, name: str) -> Run:
    found = find(results, name)
    if not found:
        raise UsageError(f"there is no run {LAST!r} in {results}: none came to its end")
    return recall(results, found)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(history_app, name="history")
    app.command()(compare)
