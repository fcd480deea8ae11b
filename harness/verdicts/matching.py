"""Whether a known cause's evidence is in a cell, and how far it is tied to what failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from harness.explanations import Certainty
from harness.model.causes import Effect, KnownCause, Pattern
from harness.model.observations import (
    SERVICE,
    Environment,
    Failure,
    Observation,
    Origin,
    ProcessEnd,
    StepResult,
    Verdict,
)
from harness.verdicts.cause import met, refused
from harness.verdicts.enosys import Coped, coped_of
from harness.verdicts.processes import failed_processes, steps_of
from harness.verdicts.suspects import printed, tells

BROKE = frozenset({Verdict.FAILED, Verdict.DIED, Verdict.TIMED_OUT})
"""What a cause of a failure can be the cause of."""
_LINE = 160
"""Characters of a line of output that is quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A pattern that fits a cell."""

    certainty: Certainty
    evidence: tuple[str, ...]
    suspect: bool = False
    """Whether it is about the call that probably broke the cell."""
    signs: int
    """How many things had to be there: of two causes the one that asks for more says more."""


def match(
    cause: KnownCause,
    observation: Observation,
    suspect: Failure | None = None,
    confirmed: bool = False,
) -> Match | None:
    """Return the best match of a cause's alternatives; None when none of them fits.

    Args:
        cause: the known cause.
        observation: the cell.
        suspect: the call that probably broke the cell.
        confirmed: whether a run with exactly that call refused failed in the same way.
    """
    found = [
        _tempered(one, cause.effect)
        for pattern in cause.when
        for one in _matches(pattern, observation, suspect, confirmed)
    ]
    return min(found, key=rank, default=None)


def symptom(cause: KnownCause, observation: Observation) -> Failure | None:
    """Return the refused call of which a cause's own words are in the output; None: none is."""
    if cause.effect is Effect.DEGRADES or observation.verdict not in BROKE:
        return None
    for pattern in cause.when:
        if is_call(pattern) and _signs(pattern, observation):
            for failure in observation.failures:
                if refused(failure) and fits_call(pattern, failure):
                    return failure
    return None


def rank(one: Match) -> tuple[int, bool, int]:
    """Return what matches are sorted by: the surest first, the suspect, what asks for most."""
    return (list(Certainty).index(one.certainty), not one.suspect, -one.signs)


def weakened(found: Match) -> Match:
    """Return a match that was suspected as one that nothing ties to the failure."""
    if found.certainty is not Certainty.SUSPECTED:
        return found
    return replace(found, certainty=Certainty.UNCLEAR)


def is_call(pattern: Pattern) -> bool:
    """Tell whether a pattern is about a failing call."""
    return bool(pattern.syscall or pattern.errno or pattern.origin or pattern.operation)


def fits_call(pattern: Pattern, failure: Failure) -> bool:
    """Tell whether a failing call is one that a pattern is about."""
    origin = Origin.KERNEL if failure.origin is Origin.DRILL else failure.origin
    return (
        (not pattern.errno or failure.errno in pattern.errno)  # first: it rules out the most
        and _glob(pattern.syscall, failure.name)
        and (not pattern.origin or origin in pattern.origin)
        and _glob(pattern.operation, failure.operation)
        and pattern.abi in ("", failure.abi)
        and _glob(pattern.program, failure.program)
    )


def failing_steps(observation: Observation) -> tuple[StepResult, ...]:
    """Return the steps that did not end as expected, and the service beside them.

    Where none says so, the last: the cell failed in it or after it.
    """
    bad = [step for step in observation.steps if step.unmet or step.timed_out]
    if not bad:
        bad = list(observation.steps[-1:])
    bad += [one for one in observation.steps if one.name == SERVICE and one not in bad]
    return tuple(bad)


def _tempered(found: Match, effect: Effect) -> Match:
    """Put no failure down to what callers are known to cope with, unless all points to it."""
    return found if effect is Effect.BREAKS or found.suspect else weakened(found)


def _matches(
    pattern: Pattern, seen: Observation, suspect: Failure | None, confirmed: bool
) -> Iterator[Match]:
    if not _fits_host(pattern, seen.environment):
        return
    signs = _signs(pattern, seen)
    if signs is None:
        return
    if not is_call(pattern):
        certain = Certainty.STATED if _states(pattern) else Certainty.SUSPECTED
        yield Match(certainty=certain, evidence=signs, signs=len(signs))
        return
    for failure in seen.failures:
        if not fits_call(pattern, failure):
            continue
        certainty = _certainty(pattern, seen, failure, suspect, confirmed, bool(signs))
        if certainty is not None:
            yield Match(
                certainty=certainty,
                suspect=suspect is not None and _alike(failure, suspect),
                evidence=(met(failure), *signs),
                signs=len(signs) + _keys(pattern),
            )


def _certainty(
    pattern: Pattern,
    seen: Observation,
    failure: Failure,
    suspect: Failure | None,
    confirmed: bool,
    signs: bool,
) -> Certainty | None:
    """Return how far a call that fits is tied to the failure; None: it says nothing."""
    coped = coped_of(seen, failure)
    if seen.verdict not in BROKE:
        if not refused(failure):
            return None
        return Certainty.COPED if coped is Coped.COPED else Certainty.UNCLEAR
    if suspect is not None and _alike(failure, suspect) and confirmed:
        return Certainty.CONFIRMED
    if signs and _states(pattern):
        return Certainty.STATED
    if signs or (suspect is not None and _alike(failure, suspect)):
        return Certainty.SUSPECTED
    if not refused(failure) and (_ended_with(seen, failure) or _told_of(seen, failure)):
        return Certainty.SUSPECTED
    if coped is Coped.COPED:
        return Certainty.COPED if refused(failure) else None
    return Certainty.UNCLEAR


def _states(pattern: Pattern) -> bool:
    return pattern.states or bool(pattern.asks)


def _ended_with(seen: Observation, failure: Failure) -> bool:
    """Tell whether a call was the last to fail in a process that failed."""
    words = f"{failure.name} {failure.errno}"
    return any(
        end.last_failure == words and end.program == failure.program
        for end in failed_processes(seen)
    )


def _told_of(seen: Observation, failure: Failure) -> bool:
    """Tell whether a step in which a call failed went wrong and printed the words for its errno."""
    bad = [step for step in steps_of(seen, failure) if step.unmet or step.timed_out]
    return any(tells(printed(step), failure) for step in bad)


def _alike(one: Failure, other: Failure) -> bool:
    return (one.name, one.errno, one.program, one.origin) == (
        other.name,
        other.errno,
        other.program,
        other.origin,
    )


# --- what is seen besides a call --------------------------------------------------------


def _signs(pattern: Pattern, seen: Observation) -> tuple[str, ...] | None:
    """Return what is seen of a failure besides a call, in sentences; None: something is not."""
    wanted = list(_wanted(pattern, seen))
    if not wanted:
        return ()
    if seen.verdict not in BROKE or not all(wanted):
        return None
    return tuple(wanted)


def _wanted(pattern: Pattern, seen: Observation) -> Iterator[str]:
    """Yield a sentence for each thing that is asked for; an empty one for what is not there."""
    steps = failing_steps(seen)
    stdout = [step.stdout for step in steps]
    stderr = [step.stderr for step in steps]
    for text, wanted, what in (
        ([*seen.messages, *seen.console], pattern.message, "the kernel says"),
        (stdout, pattern.stdout, "stdout says"),
        (stderr, pattern.stderr, "stderr says"),
        ([*stderr, *stdout], pattern.output, "the output says"),
        ([seen.reason], pattern.reason, "the cell failed with"),
        ([seen.cause], pattern.asks, "it was found that"),
    ):
        if wanted:
            line = _line(wanted, text)
            yield f"{what}: {line}" if line else ""
    if pattern.exit or pattern.signal or (pattern.program and not is_call(pattern)):
        yield _ended(pattern, seen, steps)


def _line(wanted: str, texts: Iterable[str]) -> str:
    for text in texts:
        found = re.search(wanted, text, re.MULTILINE)
        if found:
            start = text.rfind("\n", 0, found.start()) + 1
            end = text.find("\n", max(found.end() - 1, start))
            line = text[start : end if end >= 0 else None].strip()
            return line[:_LINE] or "(an empty line)"
    return ""


def _ended(pattern: Pattern, seen: Observation, steps: Sequence[StepResult]) -> str:
    """Return how a process ended that ended as asked, or a step where none was recorded."""
    for end in failed_processes(seen):
        if _glob(pattern.program, end.program) and _as_asked(pattern, end):
            how = f"by SIG{end.signal}" if end.signal else f"with status {end.exit}"
            return f"{end.program} (pid {end.pid}) ended {how}"
    for step in steps:
        name = PurePosixPath(step.argv[0]).name if step.argv else ""
        if _glob(pattern.program, name) and _as_asked(pattern, step):
            how = f"by SIG{step.signal}" if step.signal else f"with status {step.exit}"
            return f"{name} ended {how}"
    return ""


def _as_asked(pattern: Pattern, end: ProcessEnd | StepResult) -> bool:
    if pattern.exit and pattern.signal:
        return end.exit in pattern.exit or end.signal in pattern.signal
    return (not pattern.exit or end.exit in pattern.exit) and (
        not pattern.signal or end.signal in pattern.signal
    )


# --- the host ---------------------------------------------------------------------------


def _fits_host(pattern: Pattern, here: Environment | None) -> bool:
    host = pattern.host
    if not (host.cgroup or host.engine or host.seccomp or host.cmdline or host.sysctl):
        return True
    if here is None:
        return False
    return (
        (not host.cgroup or here.cgroup in host.cgroup)
        and (not host.engine or here.engine.value in host.engine)
        and _glob(host.seccomp, here.seccomp)
        and (not host.cmdline or re.search(host.cmdline, here.cmdline) is not None)
        and all(
            name in here.sysctl and fnmatchcase(here.sysctl[name], value)
            for name, value in host.sysctl.items()
        )
    )


def _glob(patterns: Sequence[str], text: str) -> bool:
    return not patterns or text in patterns or any(fnmatchcase(text, one) for one in patterns)


def _keys(pattern: Pattern) -> int:
    given = (pattern.syscall, pattern.errno, pattern.origin, pattern.operation, pattern.program)
    return sum(bool(one) for one in given)
