"""Decide an upgrade: run what is asked on both sides, compare, confirm causes, advise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from harness.cells import Cell, Cells, running
from harness.findings import Cause, Comparison, Finding, Kind
from harness.laboratory import Laboratory
from harness.model.causes import KnownCause
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Known, Scenario
from harness.results.codec import encode
from harness.results.files import translated, write_whole
from harness.results.runs import RunDir, cell_name
from harness.scenarios import accepted, causes
from harness.scenarios.accepted import Accepted
from harness.scenarios.generic import FILE, TOOLS
from harness.scenarios.sitting import COULD_NOT_RUN
from harness.trace import since
from harness.upgrade_plan import Place, Plan, Question, Row
from harness.verdicts.compare import Terms, compare
from harness.verdicts.confirm import Refusals, confirmed, trials
from harness.verdicts.unlike import Asked
from harness.verdicts.upgrade import Advice, advise
from harness.verdicts.views import RAN, Recorded

CONFIRMATIONS = "confirmations"
"""Directory of a run with the cells that were run to confirm a cause."""

_NEWS = frozenset({Kind.BROKEN, Kind.DEGRADED, Kind.CHANGED, Kind.FIXED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What came of a plan."""

    comparison: Comparison
    advices: tuple[Advice, ...]
    observations: tuple[Observation, ...]
    """Of both sides, without repeats."""


def carry_out(
    plan: Plan, laboratory: Laboratory, run: RunDir, *, confirm: bool, say: Callable[[str], None]
) -> Upgrade:
    """Run a plan's cells, recorded in ``run``, and say what they mean.

    The side before is run twice, and where a finding is new, both sides once more: what differs
    between two runs of one side is noise. ``confirm`` tries causes out on the kernel before.

    Raises:
        StoreError: a cell cannot be recorded.
        ConfigError: the file of known differences is wrong.
    """
    with _cells(plan, laboratory, run, say) as cells:
        answered = [_answer(question, cells, plan, confirm=confirm) for question in plan.questions]
    findings = tuple(one for advice in answered for one in advice.findings)
    unmatched = tuple(
        f"{advice.image}: {sentence}"
        for advice in answered
        for sentence in (*advice.could_not_run, *advice.not_exercised)
    )
    comparison = Comparison(title=plan.title, findings=findings, unmatched=unmatched)
    run.write_comparison(comparison)
    return Upgrade(comparison=comparison, advices=tuple(answered), observations=tuple(cells.first))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """The cells of a plan, and what they are judged by."""

    laboratory: Laboratory
    run: RunDir
    accepted: Sequence[Accepted]
    causes: Sequence[KnownCause]
    ran: Cells
    say: Callable[[str], None]
    first: list[Observation] = field(default_factory=list)

    def of(self, row: Row, place: Place) -> Observation:
        """Return the observation of a cell, which may have been run ahead."""
        found = self.ran.of(_cell(row.scenario, place))
        self.first.append(found)
        return found

    def observe(self, scenario: Scenario, place: Place, repeat: int) -> Observation:
        """Run a cell once more, and record it."""
        return self.ran.observe(_cell(scenario, place), repeat)

    def trial(self, scenario: Scenario, place: Place, refused: Refusals) -> Observation:
        """Run a cell with some calls refused, and record it apart from the others."""
        words = " ".join(f"{name}={errno}" for name, errno in refused.items())
        id = f"{_cell(scenario, place).id} refusing {words}"
        spec = replace(scenario.container, refuse=dict(refused))
        changed = replace(scenario, container=spec)
        log = self.run.console_path(id)
        seen = self.laboratory.observe(id, changed, place.image, place.entry, log)
        directory = self.run.path / CONFIRMATIONS
        with translated(directory):
            directory.mkdir(exist_ok=True)
        write_whole(directory / f"{cell_name(id)}.json", encode(seen))
        self.say(f"{id}: {seen.verdict.value}")
        return seen


@contextmanager
def _cells(
    plan: Plan, laboratory: Laboratory, run: RunDir, say: Callable[[str], None]
) -> Iterator[_Cells]:
    """Begin to run all cells, and end them."""
    options = laboratory.assembly.options
    known = accepted.load_from(options.scenarios)
    documented = causes.load_for(options.rootdir, options.causes)
    wanted = [
        _cell(row.scenario, place)
        for question in plan.questions
        for row in question.rows
        for place in (row.before, row.after)
    ]

    def told(seen: Observation) -> None:
        say(f"{seen.id}{' again' if seen.repeat else ''}: {seen.verdict.value}")

    with running(wanted, laboratory, run, told) as ran:
        yield _Cells(
            laboratory=laboratory,
            run=run,
            accepted=known,
            causes=documented,
            ran=ran,
            say=say,
        )


def _cell(scenario: Scenario, place: Place) -> Cell:
    return Cell(scenario=scenario, image=place.image, entry=place.entry)


# --- one question -----------------------------------------------------------------------


def _answer(question: Question, cells: _Cells, plan: Plan, *, confirm: bool) -> Advice:
    findings = []
    could_not_run, not_exercised = list(question.could_not_run), list(question.not_exercised)
    for row in question.rows:
        before, after = cells.of(row, row.before), cells.of(row, row.after)
        absent = [one for one in (before, after) if one.verdict is Verdict.UNAVAILABLE]
        if absent:
            could_not_run.append(f"{row.scenario.name} on {absent[0].kernel}: {absent[0].reason}")
        elif _has_no_shell(row.scenario, before, after):
            not_exercised.append(f"shell and package tools: {before.steps[0].unmet[0]}")
        else:
            findings.append(_finding(row, before, after, cells, plan, confirm=confirm))
    return advise(
        question.title, findings, not_exercised=not_exercised, could_not_run=could_not_run
    )


def _has_no_shell(scenario: Scenario, *sides: Observation) -> bool:
    """Tell whether an image without a shell was asked for one, which says nothing of a kernel."""
    return (scenario.file, scenario.name) == (FILE, TOOLS) and all(
        side.steps and any(said.startswith(COULD_NOT_RUN) for said in side.steps[0].unmet)
        for side in sides
    )


def _finding(
    row: Row, first: Observation, second: Observation, cells: _Cells, plan: Plan, *, confirm: bool
) -> Finding:
    terms = Terms(
        asked=plan.asked,
        since=since.load(),
        known=lambda observation: _known(row, observation, cells),
        causes=cells.causes,
    )
    before = Recorded(observation=first, run=cells.run.path.name)
    after = Recorded(observation=second, run=cells.run.path.name)
    if first.verdict in RAN and second.verdict in RAN:
        before = replace(before, repeats=(cells.observe(row.scenario, row.before, 1),))
    found = compare(before, after, terms)
    if found.kind in _NEWS:
        again = cells.observe(row.scenario, row.before, 2)
        before = replace(before, repeats=(*before.repeats, again))
        after = replace(after, repeats=(cells.observe(row.scenario, row.after, 1),))
        found = compare(before, after, terms)
    if not confirm or found.cause is None or plan.asked is not Asked.KERNEL:
        return found
    return _tried(found, found.cause, row, second, cells)


def _known(row: Row, observation: Observation, cells: _Cells) -> Sequence[Known]:
    sides = (row.before, row.after)
    entry = next(side.entry for side in sides if side.entry.name == observation.kernel)
    entries = (
        *row.scenario.known,
        *accepted.of_cell(cells.accepted, row.scenario.name, observation.image),
    )
    return [one for one in entries if cells.laboratory.applies(one.kernels, entry)]


def _tried(finding: Finding, cause: Cause, row: Row, broken: Observation, cells: _Cells) -> Finding:
    """Return the finding with its cause confirmed, or not."""
    said: Cause | None = None
    why = ""
    for refused in trials(finding):
        seen = cells.trial(row.scenario, row.before, refused)
        found = confirmed(cause, refused, broken, seen)
        if found is None:
            why = seen.reason
            continue
        said = found
        if found.confirmed:
            break
    if said is None:
        return replace(finding, notes=(*finding.notes, f"the cause could not be tried out: {why}"))
    return replace(finding, cause=said)
