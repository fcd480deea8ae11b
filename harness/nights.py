"""One night against the nights before: what broke, what is still broken, what went away.

Whether a cell is broken is said by its verdict, not by the comparison of outputs: a breakage is
new when the cell was not broken in the last night in which something was learnt of it. The
comparison adds the cause, and what else differs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.findings import Comparison, Field, Finding, Kind
from harness.model.causes import KnownCause
from harness.model.observations import Observation
from harness.results.history import History, State
from harness.results.timeline import Past, Renewed, absent, flapping, pasts, renewed
from harness.verdicts.compare import Terms, compare
from harness.verdicts.unlike import Asked
from harness.verdicts.views import Recorded

NIGHT_SCHEMA = 1
"""Version of the JSON that a night's report is written in."""
WINDOW = 14
"""Nights that are looked back on for what flaps, unless told otherwise."""
ENOSYS = "enosys"
NEWS = (Kind.BROKEN.value, Kind.DEGRADED.value, Kind.CHANGED.value, ENOSYS)
"""What can be asked to count when it is new; a breakage always does."""
_SAMPLES = 2
"""Earlier nights of the same builds that show what differs by itself."""
_OTHER = (Kind.DEGRADED, Kind.CHANGED)


class Standing(StrEnum):
    """How a cell stands over the nights; the order is from worst to best."""

    NEW = "new"
    """Broken, and was not the last time that something was learnt of it."""
    STILL = "still broken"
    FLAPS = "flaps"
    """Not broken now as the last time, but it changed both ways not long ago."""
    GONE = "gone"
    """No longer broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A cell that is, or was, broken."""

    cell: str
    """pytest's node id."""
    standing: Standing
    kind: str
    """The matrix's words."""
    reason: str
    since: str = ""
    """The first night of the breakage: a run's id. Of a new one it is this night."""
    turns: tuple[str, ...] = ()
    """The nights in which it changed, where it changed both ways: runs' ids."""
    finding: Finding | None = None
    """Against the last night that has the cell, where that night's observation is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlearnt:
    """A cell of which nothing was learnt."""

    cell: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What one night came to."""

    run: str
    against: str
    """The last night that came to its end: a run's id; empty: this is the first."""
    cells: int
    renewed: tuple[Renewed, ...] = ()
    """Kernels and images that are other builds than in the last night."""
    changes: tuple[Change, ...] = ()
    differences: tuple[Finding, ...] = ()
    """Degraded and changed cells that are not broken."""
    lost: tuple[Unlearnt, ...] = ()
    """Cells whose guest was lost."""
    unavailable: tuple[Unlearnt, ...] = ()
    """Cells whose kernel or image could not be had."""
    uncompared: tuple[Unlearnt, ...] = ()
    """Cells whose verdict was held against the night before and nothing else, and why."""
    absent: tuple[str, ...] = ()
    """Cells of the last night that this one has not run."""
    schema: int = NIGHT_SCHEMA


def night_of(
    history: History,
    run: str,
    *,
    window: int = WINDOW,
    since: Mapping[str, str] | None = None,
    causes: Sequence[KnownCause] = (),
) -> tuple[Night, Comparison]:
    """Compare a run that the history has with the nights before it.

    Returns what the night came to, and the comparison of each of its cells with the same one in
    the last night that has it. ``since`` says which kernel introduced a call; ``causes`` are the
    known ones.
    """
    last = next(iter(history.nights(1, before=run)), "")
    turns = flapping(history, run, window)
    terms = Terms(asked=Asked.TIME, since=since or {}, causes=causes)
    changes: list[Change] = []
    differences: list[Finding] = []
    findings: list[Finding] = []
    uncompared: list[Unlearnt] = []
    everything = pasts(history, run)
    for past in everything:
        finding, obstacle = _compared(history, run, past, terms)
        if finding is not None:
            findings.append(finding)
        if obstacle:
            uncompared.append(Unlearnt(cell=past.id, reason=obstacle))
        standing = _standing(past, past.id in turns)
        if standing is not None:
            changes.append(_change(run, past, standing, turns.get(past.id, ()), finding))
        elif finding is not None and finding.kind in _OTHER:
            differences.append(finding)
    night = Night(
        run=run,
        against=last,
        cells=len(everything),
        renewed=renewed(history, run, last) if last else (),
        changes=tuple(sorted(changes, key=lambda change: list(Standing).index(change.standing))),
        differences=tuple(sorted(differences, key=lambda one: _OTHER.index(one.kind))),
        lost=_those(everything, State.LOST),
        unavailable=_those(everything, State.UNAVAILABLE),
        uncompared=tuple(uncompared),
        absent=absent(history, run, last) if last else (),
    )
    title = f"{run} against {last}" if last else f"{run}, the first night"
    return night, Comparison(title=title, findings=tuple(findings))


def findings_of(night: Night) -> tuple[Finding, ...]:
    """Return the findings that a night tells of."""
    of_changes = (change.finding for change in night.changes if change.finding is not None)
    return (*of_changes, *night.differences)


def has_new(night: Night, fail_on: Collection[str]) -> bool:
    """Whether something new is broken, or is what ``fail_on``, some of :data:`NEWS`, names."""
    if any(change.standing is Standing.NEW for change in night.changes):
        return True
    kinds = {finding.kind.value for finding in night.differences}
    enosys = any(
        one.field is Field.ENOSYS and one.after
        for finding in findings_of(night)
        for one in finding.differences
    )
    return bool(kinds & set(fail_on)) or (enosys and ENOSYS in fail_on)


def _standing(past: Past, flaps: bool) -> Standing | None:
    was_broken = past.was in (State.BROKEN, State.KNOWN)
    if past.now is State.BROKEN:
        return Standing.STILL if was_broken else Standing.NEW
    if past.now is not State.OK:
        return None
    if was_broken:
        return Standing.GONE
    return Standing.FLAPS if flaps else None


def _change(
    run: str, past: Past, standing: Standing, turns: tuple[str, ...], finding: Finding | None
) -> Change:
    return Change(
        cell=past.id,
        standing=standing,
        kind=past.kind,
        reason=past.reason,
        since=run if standing is Standing.NEW else past.since,
        turns=turns,
        finding=finding,
    )


def _those(everything: tuple[Past, ...], state: State) -> tuple[Unlearnt, ...]:
    return tuple(
        Unlearnt(cell=past.id, reason=past.reason) for past in everything if past.now is state
    )


# --- comparing ---------------------------------------------------------------------------


def _compared(history: History, run: str, past: Past, terms: Terms) -> tuple[Finding | None, str]:
    """Return a cell's finding against the last night that has it, or why there is none."""
    if past.now not in (State.OK, State.BROKEN, State.KNOWN) or not past.previous:
        return None, ""
    after = history.observations(run, past.id)
    before = history.observations(past.previous, past.id)
    if not after or not before:
        return None, f"what was observed in {past.previous} is no longer kept"
    samples = _samples(history, past, before[0])
    finding = compare(
        Recorded(observation=before[0], run=past.previous, repeats=(*before[1:], *samples)),
        Recorded(observation=after[0], run=run, repeats=after[1:]),
        terms,
    )
    failed = past.now is not State.OK and past.was is not State.OK
    if finding.kind is Kind.UNKNOWN and finding.notes and not failed:
        return finding, finding.notes[0]
    return finding, ""


def _samples(history: History, past: Past, before: Observation) -> tuple[Observation, ...]:
    """Return earlier nights' observations of a cell on the very builds of ``before``."""
    return tuple(
        each
        for night in history.nights(_SAMPLES, before=past.previous)
        for each in history.observations(night, past.id)
        if _alike(each, before)
    )


def _alike(one: Observation, two: Observation) -> bool:
    if one.environment is None or two.environment is None:
        return False
    alike = one.scenario_digest == two.scenario_digest
    # All but the texts that explain a choice.
    facts = ("kernel_digest", "image_digest", "accelerator", "cpu", "runtime", "seccomp", "tools")
    return alike and all(
        getattr(one.environment, fact) == getattr(two.environment, fact) for fact in facts
    )
