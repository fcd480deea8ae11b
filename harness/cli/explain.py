"""``harness explain``: what is known of why cells are as they are."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.cli.history import RESULTS, Results
from harness.cli.inifile import ini_options
from harness.errors import UsageError
from harness.explanations import Explanation
from harness.recall import find, recall
from harness.report.contents import explained, session_causes
from harness.report.explained import paragraph
from harness.report.failure import wrapped
from harness.report.plain import clean
from harness.results.codec import encode
from harness.results.meta import Run
from harness.results.runs import LATEST, load_comparison
from harness.scenarios import causes

_WIDTH = 100
"""Columns where standard output is no terminal."""


def explain(
    cells: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CELL]...",
            help="Test ids, or IMAGE/SCENARIO/KERNEL; * and ? stand for anything. Without any: "
            "every cell that did not plainly pass.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help="A run's id, its directory, or last.")
    ] = LATEST,
    results: Results = RESULTS,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--causes",
            metavar="FILE",
            help="Also these known causes; scenarios/causes.yaml is read where there is one.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")] = False,
) -> None:
    """Explain cells of a run: what was met first, who answered, which known case that is."""
    found = _run(results, run)
    known = causes.load([causes.packaged(), *_files(found, files or [])])
    comparison = load_comparison(found.path) if found.path.is_dir() else None
    everything = explained(found, comparison, known, all_cells=bool(cells))
    chosen = _chosen(found, list(everything.values()), cells or [])
    if as_json:
        data = [{**asdict(one), "text": paragraph(one)} for one in chosen]
        sys.stdout.buffer.write(encode(data))
        return
    width = Console().width if sys.stdout.isatty() else _WIDTH
    for number, (text, alike) in enumerate(_by_text(chosen).items()):
        typer.echo("\n" if number else "", nl=False)
        typer.echo("\n".join(map(_title, alike)))
        typer.echo("\n".join(wrapped(text, width, "  ")))
    if not chosen:
        typer.echo(f"every cell of {found.path.name} passed, and no system call was refused")


def _by_text(chosen: Iterable[Explanation]) -> dict[str, list[Explanation]]:
    """Return the cells by what there is to say of them, in order of their first."""
    found: dict[str, list[Explanation]] = {}
    for one in chosen:
        found.setdefault(paragraph(one), []).append(one)
    return found


def _title(one: Explanation) -> str:
    where = f"{one.image}/{one.scenario}/{one.kernel}"
    release = f" ({one.release})" if one.release else ""
    return clean(f"{where}{release}: {one.outcome}")


def _run(results: Path, name: str) -> Run:
    directory = results / name
    if directory.is_dir():  # latest is a link, which is no id
        return recall(results, str(directory))
    found = find(results, name)
    if not found:
        raise UsageError(f"there is no run {name!r} in {results}: none came to its end")
    return recall(results, found)


def _files(run: Run, more: Sequence[Path]) -> Iterable[Path]:
    """Return the user's files of causes: the session's own, the repository's, ``more``."""
    options = ini_options()
    given = [path.absolute() for path in more]
    own = causes.own_files(options.rootdir, (*options.causes, *given))
    return (*session_causes(run), *own)


def _chosen(run: Run, found: list[Explanation], patterns: Sequence[str]) -> list[Explanation]:
    """Return what is asked for, in the order in which the run's cells were collected.

    Raises:
        UsageError: a pattern fits no cell.
    """
    order = {id: place for place, id in enumerate(run.meta.cells)}
    found = sorted(found, key=lambda one: order.get(one.cell, len(order)))
    if not patterns:
        return found
    chosen: set[str] = set()
    for pattern in patterns:
        fits = [one for one in found if _fits(pattern, one)]
        if not fits:
            raise UsageError(
                f"there is no cell {pattern!r} in {run.path.name}: give a test id or "
                "IMAGE/SCENARIO/KERNEL, as `harness explain` without a cell lists them"
            )
        chosen |= {one.cell for one in fits}
    return [one for one in found if one.cell in chosen]


def _fits(pattern: str, one: Explanation) -> bool:
    # Not fnmatch: the brackets of a test id are no set of characters.
    glob = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    names = (one.cell, f"{one.image}/{one.scenario}/{one.kernel}")
    return any(re.fullmatch(glob, name, re.DOTALL) for name in names)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)
