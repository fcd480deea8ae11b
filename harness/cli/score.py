"""``harness score``: the corpus of documented breakages, run, and the page that tells of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import Accel, assembly, laboratory
from harness.cli.history import RESULTS, Results
from harness.cli.lines import complain, show
from harness.errors import HarnessError, UsageError
from harness.model.observations import Observation
from harness.plugin.signals import terminated_as_interrupted
from harness.recall import find, recall
from harness.recording import command_meta
from harness.report.contents import load
from harness.report.files import Format, write
from harness.report.score import COLUMNS, page, score_rows, verdict_lines
from harness.results.codec import decode, encode
from harness.results.files import write_whole
from harness.results.meta import Run, RunMeta
from harness.results.runs import RunDir
from harness.scenarios import causes
from harness.scenarios.corpus import DIRECTORY, load_corpus
from harness.score import Try, carry_out, plan, recorded, score_of, supplied
from harness.verdicts.outcome import counts, outcome_of
from harness.verdicts.score import Score, Scored, complete, reached

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
    run: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="Boot nothing: score what this run recorded, by the causes as they are now; of "
            "several runs the last that has a cell counts.",
            show_default=False,
        ),
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
    wanted = _Wanted(
        cases=tuple(case or ()),
        hosts=tuple(host or ()),
        kernels=tuple(kernel or ()),
        runs=tuple(run or ()),
        results=results,
    )
    try:
        if page_ is not None:
            _write_page(page_)
            return
        with terminated_as_interrupted():
            found, where = _recorded(wanted) if wanted.runs else _measured(wanted, accel)
        for file in filter(None, (json, where and where / FILE)):
            write_whole(file, encode(found))
    except HarnessError as error:
        complain(error)
        raise typer.Exit(Status.COULD_NOT_RUN) from error
    show(COLUMNS, score_rows(found))
    typer.echo("\n".join(["", *verdict_lines(found), *([f"Recorded in {where}"] if where else [])]))
    raise typer.Exit(_status(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the command line asks for."""

    cases: tuple[str, ...]
    hosts: tuple[str, ...]
    kernels: tuple[str, ...]
    runs: tuple[str, ...]
    results: Path


def _measured(wanted: _Wanted, accel: str) -> tuple[Score, Path]:
    """Run the cells; return the score, and the run's directory."""
    cases, images = load_corpus(Path.cwd() / DIRECTORY, Path.cwd(), wanted.cases)
    with assembly(accelerator=accel) as made:
        known = causes.load_for(made.options.rootdir, made.options.causes)
        lab = laboratory(made)
        lab.images.update(images)
        tries = _on(plan(cases, supplied(made.entries, wanted.kernels), known), wanted.hosts)
        _ = made.apparatus  # QEMU's absence is said before anything is recorded
        run = RunDir.create(wanted.results, RunMeta())
        cells, seen = carry_out(tries, lab, known, run, made.progress.say)
        places = [(one.entry, one.case.image) for one in tries]
        command = ("harness", *sys.argv[1:])
        meta = command_meta(run.read_meta(), lab, command, places, seen)
        found = _score(meta.started, cells, seen)
        run.finish(meta, counts(outcome_of(one) for one in seen), _status(found))
    write(load(run.path), Format.HTML)
    return found, run.path


def _recorded(wanted: _Wanted) -> tuple[Score, None]:
    """Score what runs hold."""
    cases, _ = load_corpus(Path.cwd() / DIRECTORY, Path.cwd(), wanted.cases)
    runs = [_run(wanted.results, name) for name in wanted.runs]
    with assembly() as made:
        known = causes.load_for(made.options.rootdir, made.options.causes)
        tries = _on(plan(cases, supplied(made.entries, wanted.kernels), known), wanted.hosts)
    seen = recorded(tries, (one for run in runs for one in run.observations))
    cells = [score_of(one, its, known) for one, its in zip(tries, seen, strict=True)]
    return _score(max(run.meta.started for run in runs), cells, seen), None


def _run(results: Path, name: str) -> Run:
    found = find(results, name)
    if not found:
        raise UsageError(f"--run {name}: there is no run in {results}")
    return recall(results, found)


def _score(started: str, cells: Sequence[Scored], seen: Iterable[Observation]) -> Score:
    ran = [one.environment for one in seen if one.environment is not None]
    return Score(
        started=started,
        accelerator=ran[0].accelerator.value if ran else "",
        releases={one.kernel: one.release for one in ran},
        cells=tuple(cells),
    )


def _on(tries: list[Try], hosts: Sequence[str]) -> list[Try]:
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
    try:
        data = last.read_bytes()
    except OSError as error:
        raise UsageError(
            f"--page={file}: {last} cannot be read: {error.strerror}; "
            f"`harness score --json {last}` writes it"
        ) from error
    cases, _ = load_corpus(Path.cwd() / DIRECTORY, Path.cwd())
    write_whole(file, page(decode(Score, data), cases).encode())
    typer.echo(f"{file}: {len(cases)} cases")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(score)
