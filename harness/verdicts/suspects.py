"""Which refused call probably broke a cell, by what the cell alone shows."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.explanations import Tie
from harness.model.observations import Failure, Observation, ProcessEnd, StepResult
from harness.verdicts.cause import is_quiet_failure, latest, refused
from harness.verdicts.enosys import Coped, coped_of
from harness.verdicts.processes import calls_of, failed_processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A call, the process that failed of it where one did, and what ties it to the failure."""

    failure: Failure
    end: ProcessEnd | None
    tie: Tie


def suspect_of(
    observation: Observation, harmless: Callable[[Failure], bool] = lambda _: False
) -> Suspect | None:
    """Return the refused call that probably broke a cell; None where nothing ties one to it.

    It is one that the output names, else the last refusal of the process that failed first, of
    those that met any: first of those that ended as the step did. Where no such process failed,
    it is one that the output names, or whose errno the output tells where there is no other; a
    call that is ``harmless`` is one in that case alone. What the same program met in a step that
    ended as expected is no suspect; nor is what a program coped with. A cell of which it was found
    out what a file asks for has none.
    """
    if observation.cause:
        return None
    steps = observation.steps
    bad = {place for place, step in enumerate(steps) if step.unmet or step.timed_out}

    def in_question(failure: Failure) -> bool:
        if not refused(failure) or is_quiet_failure(failure):
            return False
        return not bad or not failure.steps or bad.issuperset(failure.steps)

    def telling(failure: Failure) -> bool:
        return in_question(failure) and not harmless(failure)

    said = "\n".join(printed(steps[place]) for place in sorted(bad))
    for end in _likeliest(observation, bad):
        calls = list(filter(telling, calls_of(observation, end)))
        if calls:
            return _of_process(calls, end, said)
    for wanted in (telling, in_question):
        found = _told(observation, list(filter(wanted, observation.failures)), said)
        if found is not None:
            return found
    return None


def tie_of(failure: Failure, end: ProcessEnd | None) -> Tie:
    """Return what ties a call to the end of the process that met it."""
    if end is None:
        return Tie.NEW
    return Tie.LAST if end.last_failure == f"{failure.name} {failure.errno}" else Tie.EARLIER


def _told(observation: Observation, calls: list[Failure], said: str) -> Suspect | None:
    """Return the call that the output names, or the only one whose errno it tells."""
    open_ = [call for call in calls if coped_of(observation, call) is not Coped.COPED]
    named = [call for call in open_ if _names(said, call)]
    telling = named or [call for call in open_ if tells(said, call)]
    if not named and len(telling) != 1:
        return None
    found, tie = telling[0], Tie.NAMED if named else Tie.TOLD
    return Suspect(failure=found, end=failed_with(observation, found), tie=tie)


def failed_with(observation: Observation, failure: Failure) -> ProcessEnd | None:
    """Return the failed process that met a call; None: it ended well, or was not seen to end."""
    ends = failed_processes(observation)
    return next((end for end in ends if end.pid == failure.pid), None)


def _likeliest(observation: Observation, bad: set[int]) -> list[ProcessEnd]:
    """Return the failed processes, those first that ended as a step did that did not go well."""
    ways = {(observation.steps[place].exit, observation.steps[place].signal) for place in bad}
    ends = failed_processes(observation)
    return sorted(ends, key=lambda end: (end.exit, end.signal) not in ways)  # else in order


def _of_process(calls: list[Failure], end: ProcessEnd, said: str) -> Suspect:
    named = [call for call in calls if _names(said, call)]
    if named:
        return Suspect(failure=latest(named), end=end, tie=Tie.NAMED)
    found = latest(calls)
    return Suspect(failure=found, end=end, tie=tie_of(found, end))


def printed(step: StepResult) -> str:
    """Return what a step printed, and what it was expected to."""
    return "\n".join([*step.unmet, step.stderr, step.stdout])


def _names(said: str, call: Failure) -> bool:
    return re.search(rf"\b{re.escape(call.name)}\b", said) is not None


def tells(said: str, call: Failure) -> bool:
    """Tell whether a text has the words for a call's errno."""
    number = getattr(errno, call.errno, 0)
    return bool(number) and os.strerror(number) in said
