"""What probably broke a cell: the call that failed in the process that failed first."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from harness.explanations import Refusal
from harness.findings import Cause
from harness.model.observations import Failure, Observation, Origin, ProcessEnd
from harness.trace.noise import is_quiet
from harness.verdicts.enosys import ENOSYS
from harness.verdicts.processes import calls_of, failed_processes
from harness.verdicts.profile import is_timing, key_of

_TAIL = 3
"""Lines of stderr that are shown as evidence."""


def cause_of(
    before: Observation, after: Observation, since: Mapping[str, str] | None = None
) -> Cause | None:
    """Return the call that is the likely cause why ``after`` is broken; None when there is none.

    It is the last new failing call of the process that failed first: new, as ``before`` has
    none like it; a refusal before any other, as a program that gives up still looks for its
    messages' translations. Processes that fail on both sides alike are no suspects. ``since``
    says which kernel introduced a call. A cell whose own cause was found (a file that asks for a
    newer kernel) has no other.
    """
    if after.cause and not before.cause:
        return None
    known = {key_of(failure, origins=False) for failure in before.failures}
    new = [
        failure
        for failure in after.failures
        if key_of(failure, origins=False) not in known
        and not is_timing(failure)
        and not _is_quiet(failure)
    ]
    for end in _newly_failed(before, after):
        calls = [failure for failure in calls_of(after, end) if failure in new]
        if calls:
            return described(after, _suspect(calls), end, since or {})
    turned_down = list(filter(refused, new))
    return described(after, _suspect(turned_down), None, since or {}) if turned_down else None


def met(call: Failure | Cause | Refusal) -> str:
    """Return which program got which answer, from whom, for which call."""
    if isinstance(call, Failure):
        operation = f" ({call.operation})" if call.operation else ""
        return (
            f"{call.program} gets {call.errno} from {call.origin.value} for {call.name}{operation}"
        )
    return f"{call.program} gets {call.errno} from {call.origin.value} for {call.syscall}"


def refused(failure: Failure) -> bool:
    """Tell whether a call was turned down as such, not merely unsuccessful."""
    return failure.errno == ENOSYS or failure.origin is Origin.SECCOMP


def suspect_of(
    observation: Observation, harmless: Callable[[Failure], bool] = lambda _: False
) -> tuple[Failure | None, ProcessEnd | None]:
    """Return the refused call that probably broke a cell, by the cell alone, and its process.

    It is the last refusal that the process met which failed first, of those that met any. A
    call that is ``harmless``, or that the same program met in a step that ended as expected, is
    no suspect; nor is what a program met that ended well. A cell whose own cause was found has no
    other.
    """
    if observation.cause:
        return None, None
    bad = {place for place, step in enumerate(observation.steps) if step.unmet or step.timed_out}

    def telling(failure: Failure) -> bool:
        if not refused(failure) or harmless(failure) or _is_quiet(failure):
            return False
        return not bad or not failure.steps or bad.issuperset(failure.steps)

    for end in failed_processes(observation):
        calls = list(filter(telling, calls_of(observation, end)))
        if calls:
            return _suspect(calls), end
    return None, None


def _newly_failed(before: Observation, after: Observation) -> Iterable[ProcessEnd]:
    """Return the processes that failed, the first first, as many fewer as failed before."""
    usual = Counter((end.program, end.exit, end.signal) for end in failed_processes(before))
    for end in failed_processes(after):
        key = (end.program, end.exit, end.signal)
        if usual[key]:
            usual[key] -= 1
        else:
            yield end


def _is_quiet(failure: Failure) -> bool:
    number = failure.number if failure.abi == "x86_64" else -1
    return is_quiet(number, getattr(errno, failure.errno, 0))


def _suspect(calls: Iterable[Failure]) -> Failure:
    return max(calls, key=lambda failure: (refused(failure), failure.offset))


def described(
    after: Observation, failure: Failure, end: ProcessEnd | None, since: Mapping[str, str]
) -> Cause:
    """Return a call as a suspected cause, with its evidence; ``end`` is of the process it met."""
    return Cause(
        syscall=failure.name,
        errno=failure.errno,
        program=failure.program,
        origin=failure.origin,
        since=since.get(failure.name, ""),
        evidence=tuple(_evidence(after, failure, end)),
    )


def _evidence(after: Observation, failure: Failure, end: ProcessEnd | None) -> Iterable[str]:
    operation = f" {failure.operation}" if failure.operation else ""
    if failure.arguments is not None:
        arguments = ", ".join(_argument(value) for value in failure.arguments)
        yield f"called {failure.name}({arguments}){operation and f',{operation}'}"
    elif operation:
        yield f"called {failure.name} for{operation}"
    if failure.remark:
        yield failure.remark
    if end is not None:
        how = f"by SIG{end.signal}" if end.signal else f"with status {end.exit}"
        yield f"{end.program} (pid {end.pid}) ended {how}"
    step = next((step for step in after.steps if step.unmet or step.timed_out), None)
    for line in (step.stderr.splitlines() if step else [])[-_TAIL:]:
        yield f"stderr: {line}"


def _argument(value: int) -> str:
    """Return an argument as one reads it: small numbers, and small negative ones, in decimal."""
    signed = value - (1 << 64) if value >> 63 else value
    if -4096 < signed < 65536:
        return str(signed)
    low = value - (1 << 32) if value >> 31 == 1 else 0  # a 32-bit -1 and its like
    return str(low) if -4096 < low < 0 else hex(value)
