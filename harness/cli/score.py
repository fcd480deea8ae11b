"""``harness score``: the corpus of documented breakages, run, and the page that tells of it."""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import Accel, assembly, laboratory, show
from harness.cli.history import RESULTS, Results
from harness.errors import HarnessError, UsageError
from harness.plugin.signals import terminated_as_interrupted
from harness.recording import command_meta
from harness.report.contents import load
from harness.report.files import Format, write
from harness.report.score import COLUMNS, page, score_rows, verdict_lines
from harness.results.codec import decode, encode
from harness.results.files import translated, write_whole
from harness.results.meta import RunMeta
from harness.results.runs import RunDir
from harness.scenarios import causes
from harness.scenarios.corpus import DIRECTORY, load_corpus
from harness.score import Try, carry_out, plan, supplied
from harness.verdicts.outcome import counts, outcome_of
from harness.verdicts.score import Score, complete, reached

FILE = "score.json"
"""Of a run: its score."""


class Status(IntEnum):
    """Exit statuses; the first that applies is taken."""

    COULD_NOT_RUN = 2
    NOT_REACHED = 1
    REACHED = 0


def score(
    case: Annotated[
        list[str] | None,
        typer.Argument(help="Cases by name; without any all.", show_default=False),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Run the cases on this host only; may be given several times.",
            show_default=False,
        ),
    ] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH[,modules=DIR]",
            help="The kernel of a host that no mirror serves here, such as 3.10=bzImage; hosts on "
            "the same source get it too.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the score here.", show_default=False),
    ] = None,
    page_: Annotated[
        Path | None,
        typer.Option(
            "--page",
            metavar="FILE",
            help="Run nothing: write the page of known breakages from the score beside it, "
            "FILE with .json for .md.",
            show_default=False,
        ),
    ] = None,
    results: Results = RESULTS,
    accel: Accel = "auto",
) -> None:
    """Run the documented breakages of scenarios/known and say how many are found and explained.

    The exit status is 0 when 95 % are found with the right cause and nothing is found where there
    is nothing, 1 when not, 2 when a cell could not be tried. Cells whose kernels have to be
    supplied by hand count apart.
    """
    try:
        if page_ is not None:
            _write_page(page_)
            return
        with terminated_as_interrupted():
            status = _measured(case or (), host or (), kernel or (), json, results, accel)
    except HarnessError as error:
        sys.stderr.write(f"harness: {error}\n")
        raise typer.Exit(Status.COULD_NOT_RUN) from error
    raise typer.Exit(status)


def _measured(
    names: list[str] | tuple[()],
    hosts: list[str] | tuple[()],
    kernels: list[str] | tuple[()],
    json: Path | None,
    results: Path,
    accel: str,
) -> Status:
    cases, images = load_corpus(Path.cwd() / DIRECTORY, Path.cwd(), names)
    known = causes.load_for(Path.cwd())
    with assembly(accelerator=accel) as made:
        lab = laboratory(made)
        lab.images.update(images)
        tries = _on(plan(cases, supplied(made.entries, kernels), known), hosts)
        _ = made.apparatus  # QEMU's absence is said before anything is recorded
        run = RunDir.create(results, RunMeta())
        cells, seen = carry_out(tries, lab, known, run, made.progress.say)
        kinds = counts(outcome_of(one) for one in seen)
        places = [(one.entry, one.case.image) for one in tries]
        command = ("harness", *sys.argv[1:])
        meta = command_meta(run.read_meta(), lab, command, places, seen)
        found = Score(
            started=meta.started,
            accelerator=meta.accelerator,
            releases={one.name: one.release for one in meta.kernels if one.release},
            cells=tuple(cells),
        )
        status = _status(found)
        meta = run.finish(meta, kinds, status)
    for file in filter(None, (run.path / FILE, json)):
        write_whole(file, encode(found))
    write(load(run.path), Format.HTML)
    show(COLUMNS, score_rows(found))
    typer.echo("\n".join(["", *verdict_lines(found), f"Recorded in {run.path}"]))
    return status


def _on(tries: list[Try], hosts: list[str] | tuple[()]) -> list[Try]:
    there = {one.entry.name for one in tries}
    for name in hosts:
        if name not in there:
            raise UsageError(f"--host {name}: no case is for it; there are {', '.join(there)}")
    return [one for one in tries if not hosts or one.entry.name in hosts]


def _status(found: Score) -> Status:
    if not complete(found):
        return Status.COULD_NOT_RUN
    return Status.REACHED if reached(found) else Status.NOT_REACHED


def _write_page(file: Path) -> None:
    last = file.with_suffix(".json")
    with translated(last):
        data = last.read_bytes()
    cases, _ = load_corpus(Path.cwd() / DIRECTORY, Path.cwd())
    write_whole(file, page(decode(Score, data), cases).encode())
    typer.echo(f"{file}: {len(cases)} cases")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(score)
