"""Compare two observations of one cell: what differs, and what of it matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.findings import Cause, Difference, Field, Finding, Kind, Side
from harness.model.causes import KnownCause
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Known
from harness.verdicts import known as known_differences
from harness.verdicts.cause import cause_of
from harness.verdicts.differences import Factors, Found, found, two_ways
from harness.verdicts.explanation import explain, named
from harness.verdicts.profile import is_complete
from harness.verdicts.unlike import Asked, Unlike, unlike
from harness.verdicts.views import LOST, RAN, Key, Recorded, Spot, noise, view

ANYWAY = "--compare-anyway"
"""The option that compares what is too unlike."""


def nothing_known(observation: Observation) -> Sequence[Known]:
    """Return the known differences of a cell of which nothing is known."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How to compare."""

    asked: Asked = Asked.KERNEL
    anyway: bool = False
    """Compare even what is so unlike that the answer is worth little."""
    factors: Factors = field(default_factory=Factors)
    since: Mapping[str, str] = field(default_factory=dict)
    """Which kernel introduced a call (:mod:`harness.trace.since`)."""
    known: Callable[[Observation], Sequence[Known]] = nothing_known
    """The known differences of a cell's scenario that apply to its kernel."""
    causes: Sequence[KnownCause] = ()
    """Known causes, one of which may be that of a breakage."""


def compare(before: Recorded, after: Recorded, terms: Terms) -> Finding:
    """Return what the comparison of two observations of one cell came to.

    Further runs of either side tell noise from differences. Nothing is learnt from a guest
    that was lost, a cell that did not run, or a verdict that differs from run to run.
    """
    left, right = before.observation, after.observation
    apart = unlike(left, right, terms.asked)
    blank = Finding(
        scenario=right.scenario,
        file=right.file,
        image=right.image,
        kind=Kind.UNKNOWN,
        before=side_of(before),
        after=side_of(after),
        unlike=apart.sentences,
    )
    obstacle = _obstacle(left, right, apart, anyway=terms.anyway)
    if obstacle:
        return replace(blank, notes=(obstacle,))
    differences, noisy = _differences(before, after, terms.factors)
    entries = (*terms.known(right), *terms.known(left))
    covered = _failure_known(left, right, terms)
    mine = [(one, _reason(one, entries, right, covered)) for one in differences]
    kept = tuple(one for one, reason in mine if not reason)
    known = tuple(replace(one, known=reason) for one, reason in mine if reason)
    unsteady = any(one.field is Field.VERDICT for one in noisy)
    kind = Kind.UNKNOWN if unsteady else _kind(left, right, kept, covered=bool(covered))
    cause = cause_of(left, right, terms.since) if kind is Kind.BROKEN else None
    return replace(
        blank,
        kind=kind,
        differences=kept,
        known=known,
        stale=_stale(right, terms.known(right), (*differences, *noisy)),
        noise=noisy,
        cause=cause,
        notes=(
            *_notes(left, right, unsteady=unsteady),
            *(_case(right, cause, terms.causes) if kind is Kind.BROKEN else ()),
        ),
    )


def _case(broken: Observation, cause: Cause | None, causes: Sequence[KnownCause]) -> Iterator[str]:
    """Yield what helps where the breakage is a known case; ``harness explain`` tells the rest."""
    case = named(explain(broken, causes, cause=cause))
    if case is not None:
        yield f"known case {case.name}: {case.help} See {case.references[0]}"


def side_of(recorded: Recorded) -> Side:
    """Return where an observation comes from."""
    one = recorded.observation
    environment = one.environment
    return Side(
        run=recorded.run,
        cell=one.id,
        kernel=one.kernel,
        release=environment.release if environment else "",
        image_digest=environment.image_digest if environment else "",
    )


def _obstacle(left: Observation, right: Observation, apart: Unlike, *, anyway: bool) -> str:
    """Return why nothing can be learnt, if so."""
    for one in (left, right):
        if one.verdict in LOST:
            return f"the guest was lost on {one.kernel}: {one.reason}"
        if one.verdict not in RAN:
            return f"it did not run on {one.kernel}: {one.verdict.value}, {one.reason}"
    if apart.refused and not anyway:
        return f"not compared, as {' and '.join(apart.worthless)}; {ANYWAY} compares it"
    return ""


def _differences(
    before: Recorded, after: Recorded, factors: Factors
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """Return what differs between the sides, and what of that is noise."""
    everything = (*before.usable, *after.usable)
    origins = all(map(is_complete, everything))
    left, right = before.observation, after.observation
    extra = tuple(dict.fromkeys((*right.normalise, *left.normalise)))
    one, two = ([view(o, extra, origins=origins) for o in s.usable] for s in (before, after))
    unsteady = noise(one) | noise(two)
    results = found(before, after, one[0], two[0], factors)
    steady = tuple(each.difference for each in results if not each.keys & unsteady)
    return steady, _noisy(results, unsteady)


def _noisy(results: Sequence[Found], unsteady: frozenset[Key]) -> tuple[Difference, ...]:
    """Return the differences that are noise; a verdict's also where the sides agree by chance."""
    noisy = [each.difference for each in results if each.keys & unsteady]
    verdict = Spot(Field.VERDICT)
    if verdict in unsteady and not any(one.field is Field.VERDICT for one in noisy):
        noisy.append(Difference(field=Field.VERDICT))
    return tuple(noisy)


def _failure_known(left: Observation, right: Observation, terms: Terms) -> str:
    """Return the reason of the known difference that explains why one side alone failed."""
    if _met(left) == _met(right):
        return ""
    failed = left if _met(right) else right
    entries = terms.known(failed)
    entry = next((one for one in entries if known_differences.covers(one, failed)), None)
    return entry.reason if entry else ""


def _reason(
    difference: Difference, entries: Sequence[Known], right: Observation, covered: str
) -> str:
    """Return the reason of the known difference that explains this one.

    Of a failure that is known (``covered``) all differences are consequences.
    """
    if covered:
        return covered
    step = _step_name(right, difference)
    explain = known_differences.explains
    return next((one.reason for one in entries if explain(one, difference, step)), "")


def _step_name(observation: Observation, difference: Difference) -> str:
    number, steps = difference.step, observation.steps
    return steps[number].name if number is not None and number < len(steps) else ""


def _kind(
    left: Observation, right: Observation, kept: Sequence[Difference], *, covered: bool
) -> Kind:
    match (_met(left), _met(right)):
        case (False, False):
            return Kind.UNKNOWN
        case (True, False) if not covered:
            return Kind.BROKEN
        case (False, True) if not covered:
            return Kind.FIXED
    if any(one.field in (Field.ENOSYS, Field.ERRNO) and one.after for one in kept):
        return Kind.DEGRADED
    return Kind.CHANGED if kept else Kind.SAME


def _met(observation: Observation) -> bool:
    return observation.verdict is Verdict.PASSED


def _stale(
    right: Observation, entries: Sequence[Known], differences: Sequence[Difference]
) -> tuple[str, ...]:
    """Return the reasons of entries for this kernel of which nothing happened."""
    explain = known_differences.explains
    stale = [
        entry.reason
        for entry in entries
        if (
            not any(explain(entry, one, _step_name(right, one)) for one in differences)
            if known_differences.about_outputs(entry)
            else known_differences.is_stale(entry, right)
        )
    ]
    return tuple(dict.fromkeys(stale))


def _notes(left: Observation, right: Observation, *, unsteady: bool) -> tuple[str, ...]:
    notes = []
    if unsteady:
        notes.append("its verdict is not the same in every run on one kernel")
    if not _met(left) and not _met(right):
        notes.append(f"it fails on both sides: {right.reason}")
    for one in (left, right):
        if not one.traced:
            notes.append(f"failing calls were not compared: {one.kernel} was not traced")
        elif one.lost_events:
            notes.append(
                f"on {one.kernel} {one.lost_events} events of the tracer were lost: calls that "
                "are missing there count for nothing"
            )
    notes += [one.cause for one in (left, right) if one.cause]
    if two_ways(left, right):
        notes.append("peak memory was not compared: it was measured in two ways")
    return tuple(dict.fromkeys(notes))
