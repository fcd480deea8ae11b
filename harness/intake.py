"""Runs on their way into the history: what each cell counts as, and its findings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import StoreError
from harness.findings import Finding
from harness.model.observations import Observation, Verdict
from harness.results.history import Counted, History, State
from harness.results.meta import Run
from harness.results.runs import find_runs, load_comparison, load_run
from harness.verdicts.outcome import Known, outcome_of

_STATES = {
    Verdict.PASSED: State.OK,
    Verdict.FAILED: State.BROKEN,
    Verdict.TIMED_OUT: State.BROKEN,
    Verdict.DIED: State.LOST,
    Verdict.UNAVAILABLE: State.UNAVAILABLE,
    Verdict.UNSUPPORTED: State.NONE,
    Verdict.SKIPPED: State.NONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What was taken in, and what could not be."""

    taken: tuple[str, ...] = ()
    """Ids of runs."""
    open: tuple[str, ...] = ()
    """Ids of runs without an end: they go on, or were cut off."""
    problems: tuple[str, ...] = ()
    """One sentence each."""


def counted(observation: Observation, known: bool) -> Counted:
    """Return a cell as the history has it; ``known``: a known difference says that it fails."""
    found = outcome_of(observation, Known.COVERED if known else Known.NO)
    return Counted(
        observation=observation,
        state=State.KNOWN if found.known else _STATES[observation.verdict],
        kind=found.kind,
        enosys=found.enosys,
    )


def take_in(history: History, path: Path) -> tuple[str, ...]:
    """Take in a run that ended, by its directory; return what of it cannot be read.

    Raises:
        StoreError: there is no such run, or it has not ended.
    """
    run = load_run(path)
    if not run.meta.finished:
        raise StoreError(f"the run {path} has not ended, or its run.json cannot be read")
    findings, problems = _findings(run)
    cells = (counted(each, each.id in run.meta.known) for each in run.observations)
    history.take_in(run.meta, cells, findings, run.repeats)
    return (*(problem.text for problem in run.problems), *problems)


def take_in_missing(history: History, results: Path) -> Intake:
    """Take in every run below ``results`` that ended and that the history lacks."""
    taken: list[str] = []
    unended: list[str] = []
    problems: list[str] = []
    for ref in find_runs(results):
        if ref.meta is None or not ref.meta.finished:
            unended.append(ref.path.name)
        elif not history.has(ref.meta):
            problems += take_in(history, ref.path)
            taken.append(ref.path.name)
    return Intake(taken=tuple(taken), open=tuple(unended), problems=tuple(problems))


def _findings(run: Run) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    try:
        comparison = load_comparison(run.path)
    except StoreError as error:
        return (), (str(error),)
    return (comparison.findings if comparison else ()), ()
