"""What probably broke a cell: the call that failed in the process that failed first."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Mapping

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
        and not is_quiet_failure(failure)
    ]
    for end in _newly_failed(before, after):
        calls = [failure for failure in calls_of(after, end) if failure in new]
        if calls:
            return described(after, latest(calls), end, since or {})
    turned_down = list(filter(refused, new))
    return described(after, latest(turned_down), None, since or {}) if turned_down else None


def met(call: Failure | Cause | Refusal) -> str:
    """Return which program got which answer, from whom, for which call."""
    name = call.name if isinstance(call, Failure) else call.syscall
    if isinstance(call, Failure) and call.operation:
        name += f" ({call.operation})"
    # Of a kernel that refuses a call one would think that it lacks it.
    whom = "a kernel that has it" if call.origin is Origin.OTHER else call.origin.value
    return f"{call.program} gets {call.errno} from {whom} for {name}"


def refused(failure: Failure) -> bool:
    """Tell whether a call was turned down as such, not merely unsuccessful."""
    return failure.errno == ENOSYS or failure.origin is Origin.SECCOMP


def _newly_failed(before: Observation, after: Observation) -> Iterable[ProcessEnd]:
    """Return the processes that failed, the first first, as many fewer as failed before."""
    usual = Counter((end.program, end.exit, end.signal) for end in failed_processes(before))
    for end in failed_processes(after):
        key = (end.program, end.exit, end.signal)
        if usual[key]:
            usual[key] -= 1
        else:
            yield end


def is_quiet_failure(failure: Failure) -> bool:
    """Tell whether a failing call is part of how programs normally work."""
    number = failure.number if failure.abi == "x86_64" else -1
    return is_quiet(number, getattr(errno, failure.errno, 0))


def latest(calls: Iterable[Failure]) -> Failure:
    """Return the last of some failing calls, a refused one before any other."""
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
