"""What a cell met and why, as far as it is known: the refused call, and known causes that match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.explanations import Certainty, Explanation, NamedCause, Refusal, Tie
from harness.findings import Cause
from harness.model.causes import Effect, KnownCause
from harness.model.observations import Failure, Observation, Verdict
from harness.verdicts.cause import described, refused
from harness.verdicts.enosys import Coped, coped_of
from harness.verdicts.matching import (
    BROKE,
    Match,
    fits_call,
    is_call,
    match,
    rank,
    symptom,
    weakened,
)
from harness.verdicts.outcome import Known, outcome_of
from harness.verdicts.processes import failed_processes
from harness.verdicts.suspects import Suspect, failed_with, suspect_of, tie_of

_COPED = {Coped.COPED: True, Coped.FAILED: False, Coped.UNKNOWN: None}
_LINES = 2
_WIDTH = 80
"""Lines of an output that differ, and how much of each."""
TELLING = (Certainty.CONFIRMED, Certainty.STATED, Certainty.SUSPECTED)
"""How sure a cause must be for a failure to be put down to it."""


def explain(
    observation: Observation,
    causes: Sequence[KnownCause],
    *,
    cause: Cause | None = None,
    since: Mapping[str, str] | None = None,
    known: Known = Known.NO,
) -> Explanation:
    """Return what is known of a cell.

    Args:
        observation: the cell.
        causes: the known causes, from :func:`harness.scenarios.causes.load_for`.
        cause: what a comparison with another cell named; without it the cell alone speaks.
        since: which kernel introduced a call, by name.
        known: whether a known difference says that the cell fails.
    """
    since = since or {}
    found = _suspect(observation, causes, cause)
    suspect = found.failure if found else None
    if found is not None and cause is None:
        cause = described(observation, found.failure, found.end, since)
    first = found.end if found else None
    first = first or next(iter(failed_processes(observation)), None)
    return Explanation(
        cell=observation.id,
        scenario=observation.scenario,
        image=observation.image,
        kernel=observation.kernel,
        verdict=observation.verdict,
        outcome=outcome_of(observation, known).text,
        release=observation.environment.release if observation.environment else "",
        reason=observation.reason,
        differs=_differs(observation),
        asks=observation.cause,
        first=first if observation.verdict in BROKE else None,
        cause=cause,
        tie=found.tie if found else None,
        implemented=suspect.implemented if suspect is not None else None,
        causes=_named(observation, causes, suspect, cause),
        refusals=_refusals(observation, suspect, since),
        drill=observation.environment.drill if observation.environment else "",
        doubts=tuple(_doubts(observation)),
    )


def plainly_passed(observation: Observation) -> bool:
    """Tell whether there is nothing to explain: it passed, and no call was refused."""
    return observation.verdict is Verdict.PASSED and not any(map(refused, observation.failures))


def named(explanation: Explanation) -> NamedCause | None:
    """Return the cause that a cell's failure is put down to; None: none is known.

    One that was coped with, or that nothing ties to the failure, is none.
    """
    return next((one for one in explanation.causes if one.certainty in TELLING), None)


def _suspect(
    observation: Observation, causes: Sequence[KnownCause], cause: Cause | None
) -> Suspect | None:
    """Return the call that probably broke a cell."""
    if observation.verdict not in BROKE:
        return None
    if cause is not None:
        wanted = (cause.syscall, cause.errno, cause.program, cause.origin)
        for failure in observation.failures:
            if (failure.name, failure.errno, failure.program, failure.origin) == wanted:
                ends = failed_processes(observation)
                end = next((one for one in ends if one.program == cause.program), None)
                return Suspect(failure=failure, end=end, tie=tie_of(failure, end))
        return None
    for known in causes if not observation.cause else ():
        told = symptom(known, observation)
        if told is not None:
            return Suspect(failure=told, end=failed_with(observation, told), tie=Tie.KNOWN)
    harmless = [
        pattern
        for known in causes
        if known.effect is Effect.DEGRADES
        for pattern in known.when
        if is_call(pattern)
    ]
    return suspect_of(
        observation, lambda failure: any(fits_call(pattern, failure) for pattern in harmless)
    )


def _named(
    observation: Observation,
    causes: Sequence[KnownCause],
    suspect: Failure | None,
    cause: Cause | None,
) -> tuple[NamedCause, ...]:
    confirmed = cause is not None and cause.confirmed is True
    found: list[tuple[Match, KnownCause]] = []
    for known in causes:
        one = match(known, observation, suspect, confirmed)
        if one is not None:
            found.append((one, known))
    if any(one.suspect for one, _ in found):  # what was merely printed as well is no better
        found = [(one if one.suspect else weakened(one), known) for one, known in found]
    found.sort(key=lambda pair: rank(pair[0]))
    return tuple(
        NamedCause(
            name=known.name,
            certainty=one.certainty,
            text=known.text,
            help=known.help,
            references=known.references,
            evidence=one.evidence,
        )
        for one, known in found
    )


def _refusals(
    observation: Observation, suspect: Failure | None, since: Mapping[str, str]
) -> tuple[Refusal, ...]:
    """Return the refused calls besides the suspected one, each once, in order of occurrence."""
    found: dict[tuple[str, str, str, str], Refusal] = {}
    for failure in sorted(observation.failures, key=lambda failure: failure.offset):
        if not refused(failure) or failure is suspect:
            continue
        key = (failure.name, failure.errno, failure.program, failure.origin.value)
        coped = _COPED[coped_of(observation, failure)]
        before = found.get(key)
        if before is not None:  # of several operations the worst counts
            worse = min(before.coped, coped, key=lambda one: (True, None, False)[::-1].index(one))
            found[key] = replace(before, coped=worse)
            continue
        found[key] = Refusal(
            syscall=failure.name,
            errno=failure.errno,
            program=failure.program,
            origin=failure.origin,
            since=since.get(failure.name, ""),
            implemented=failure.implemented,
            coped=coped,
        )
    return tuple(found.values())


def _differs(observation: Observation) -> tuple[str, ...]:
    """Return the first lines of the first output that is not as expected."""
    unmet = next((step.unmet[0] for step in observation.steps if step.unmet), "")
    lines = [line.strip() for line in unmet.splitlines()[1:]]
    changed = [line for line in lines if line.startswith(("+", "-")) and line[1:2] not in "+-"]
    return tuple(line[:_WIDTH] for line in changed[:_LINES])


def _doubts(observation: Observation) -> list[str]:
    doubts = list(observation.notes)
    if observation.verdict in BROKE and not observation.traced:
        doubts.append("system calls were not traced in this cell")
    if observation.lost_events:
        doubts.append(f"{observation.lost_events} events of the tracer were lost")
    return doubts
