"""Which process failed first, and whether the one that met a failing call ended well."""

from __future__ import annotations

from harness.model.observations import Failure, Observation, ProcessEnd, StepResult, Verdict


def failed(end: ProcessEnd) -> bool:
    """Whether a process ended with another status than 0, or by a signal."""
    return end.signal is not None or (end.exit is not None and end.exit != 0)


def failed_processes(observation: Observation) -> tuple[ProcessEnd, ...]:
    """Return the processes that failed, the first to fail first."""
    return tuple(sorted(filter(failed, observation.ends), key=lambda end: end.offset))


def calls_of(observation: Observation, end: ProcessEnd) -> tuple[Failure, ...]:
    """Return the failing calls that a process may have made, in order of first occurrence.

    Calls are aggregated by program, and only the first occurrence has its pid: what another
    process of the same program met is among them.
    """
    calls = [
        failure
        for failure in observation.failures
        if failure.pid == end.pid or (failure.path or failure.program) in (end.path, end.program)
    ]
    return tuple(sorted(calls, key=lambda failure: failure.offset))


def ended_well(observation: Observation, failure: Failure) -> bool | None:
    """Whether the process that met ``failure`` ended with status 0; None: not known.

    A call that was met more than once may have been met by several processes of one program:
    then all of them must have ended with 0, and one that failed makes it unknown.
    """
    ends = [end for end in observation.ends if end.pid == failure.pid]
    if not ends:
        return None
    if any(map(failed, ends)):
        return False
    if any(end.exit is None for end in ends):
        return None
    siblings = [end for end in observation.ends if end.program == failure.program]
    if failure.count > 1 and any(map(failed, siblings)):
        return None
    return True


def steps_of(observation: Observation, failure: Failure) -> tuple[StepResult, ...]:
    """Return the steps in which ``failure`` occurred, as far as they are recorded."""
    steps = observation.steps
    return tuple(steps[index] for index in failure.steps if 0 <= index < len(steps))


def met(observation: Observation, failure: Failure) -> bool:
    """Whether the steps in which ``failure`` occurred met their expectations."""
    steps = steps_of(observation, failure)
    if not steps:
        return observation.verdict is Verdict.PASSED
    return not any(step.unmet or step.timed_out for step in steps)
