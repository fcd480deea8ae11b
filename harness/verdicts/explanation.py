"""What a cell met and why, as far as it is known: known causes, and the call that was refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.explanations import Certainty, Explanation, NamedCause
from harness.findings import Cause
from harness.model.causes import Effect, KnownCause
from harness.model.observations import Failure, Observation
from harness.verdicts.cause import suspect_of
from harness.verdicts.matching import BROKE, Match, fits_call, is_call, match, rank


def explain(
    observation: Observation,
    causes: Sequence[KnownCause],
    *,
    cause: Cause | None = None,
) -> Explanation:
    """Return what is known of a cell.

    Args:
        observation: the cell.
        causes: the known causes, from :func:`harness.scenarios.causes.load_for`.
        cause: what a comparison with another cell named; without it the cell alone speaks.
    """
    suspect = _suspect(observation, causes, cause)
    confirmed = cause is not None and cause.confirmed is True
    found: list[tuple[Match, KnownCause]] = []
    for known in causes:
        one = match(known, observation, suspect, confirmed)
        if one is not None:
            found.append((one, known))
    found.sort(key=lambda pair: rank(pair[0]))
    return Explanation(
        cell=observation.id, causes=tuple(_named(one, known) for one, known in found)
    )


def named(explanation: Explanation) -> NamedCause | None:
    """Return the cause that a cell's failure is put down to; None: none is known.

    One that was coped with, or that nothing ties to the failure, is none.
    """
    telling = (Certainty.CONFIRMED, Certainty.STATED, Certainty.SUSPECTED)
    return next((one for one in explanation.causes if one.certainty in telling), None)


def _suspect(
    observation: Observation, causes: Iterable[KnownCause], cause: Cause | None
) -> Failure | None:
    if observation.verdict not in BROKE:
        return None
    if cause is not None:
        wanted = (cause.syscall, cause.errno, cause.program, cause.origin)
        for failure in observation.failures:
            if (failure.name, failure.errno, failure.program, failure.origin) == wanted:
                return failure
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


def _named(one: Match, known: KnownCause) -> NamedCause:
    return NamedCause(
        name=known.name,
        certainty=one.certainty,
        text=known.text,
        help=known.help,
        references=known.references,
        evidence=one.evidence,
    )
