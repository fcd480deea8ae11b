"""Who answered a failed call: the seccomp filter, a kernel that lacks it, or the kernel at work.

The evidence is two facts kept apart. Did the call reach the kernel: its beginning (sys_enter)
was recorded, or it was armed and was not, for seccomp refuses before that event and the call
still has a sys_exit. Does the kernel implement it: the census of this kernel says so.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from harness.model.observations import Failure, Origin, ProcessEnd
from harness.trace.operations import UNKNOWN_OPERATION, Operations
from harness.trace.plan import EXITS32, Armed, Plan
from harness.trace.records import End, Tally, Trace, text
from harness.trace.syscalls import Syscalls

_REFUSALS = frozenset({errno.ENOSYS, errno.EPERM, errno.EACCES})
_SIGSYS = 31
# Where a number has two names, the kernel's (include/uapi/asm-generic/errno.h, errno-base.h),
# and one that leaks out of it without being in userland's list (include/linux/errno.h).
_ERRNO_NAMES = {11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP", 524: "ENOTSUPP"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known beside the trace.

    Attributes:
        implemented: the census, ABI to numbers; an ABI without a census is left out.
        abis: program path to ABI, for those that are not ``x86_64``.
    """

    plan: Plan
    armed: Armed
    implemented: Mapping[str, frozenset[int]] = field(default_factory=dict)
    abis: Mapping[str, str] = field(default_factory=dict)

    def abi(self, path: str) -> str:
        """Return whose table's numbers the program's calls are of."""
        return self.abis.get(path, "x86_64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The answer for one kind of failure."""

    origin: Origin
    reached: bool | None
    implemented: bool | None
    remark: str = ""


class Judge:
    """Turns a trace into failures and ends as the observation has them."""

    def __init__(self, syscalls: Syscalls, operations: Operations) -> None:
        self._syscalls = syscalls
        self._operations = operations

    def failures(self, trace: Trace, evidence: Evidence) -> tuple[Failure, ...]:
        """Return the failures, one for each name, errno, program, operation and origin."""
        found: dict[tuple[str, ...], Failure] = {}
        for tally in trace.calls:  # in the order of their first occurrence
            failure = self._failure(tally, evidence, lost=trace.lost > 0)
            key = (
                failure.name,
                failure.abi,
                failure.errno,
                failure.program,
                failure.operation,
                failure.origin,
            )
            known = found.get(key)
            if known is not None:
                steps = tuple(sorted({*known.steps, *failure.steps}))
                failure = replace(known, count=known.count + failure.count, steps=steps)
            found[key] = failure
        return tuple(found.values())

    def ends(self, trace: Trace, evidence: Evidence) -> tuple[ProcessEnd, ...]:
        """Return how the container's processes ended, in order."""
        return tuple(self._end(end, evidence, lost=trace.lost > 0) for end in trace.ends)

    def _failure(self, tally: Tally, evidence: Evidence, *, lost: bool) -> Failure:
        key = tally.key
        path = text(key.path)
        abi = evidence.abi(path)
        name = self._syscalls.name(key.number, abi)
        ruling = rule(tally, name, abi, evidence, lost=lost)
        # The parser picks operations by the 64-bit table's numbers.
        operation = key.operation if abi == "x86_64" else ()
        return Failure(
            name=name,
            number=key.number,
            abi=abi,
            errno=errno_name(key.error),
            program=program(path),
            operation=self._operations.name(name, operation),
            origin=ruling.origin,
            reached=ruling.reached,
            implemented=ruling.implemented,
            remark=ruling.remark,
            count=tally.count,
            pid=tally.pid,
            path=path,
            offset=round(tally.seconds, 6),
            arguments=tally.arguments,
            steps=tuple(sorted(tally.steps)),
        )

    def _end(self, end: End, evidence: Evidence, *, lost: bool) -> ProcessEnd:
        path = text(end.path)
        abi = evidence.abi(path)
        status = end.exit if abi == "x86_64" else end.exit32
        number = 0 if status is not None else end.signal
        exits = {60, 231} if abi == "x86_64" else EXITS32
        if status is None and not number and not lost and all(map(evidence.armed.covers, exits)):
            # Before 5.16 a filter's kill ends a process with no event but its end
            # (kernel/seccomp.c, do_exit(SIGSYS)); nothing else does.
            number = _SIGSYS
        last = ""
        if end.last is not None:
            last = f"{self._syscalls.name(end.last[0], abi)} {errno_name(end.last[1])}"
        return ProcessEnd(
            pid=end.pid,
            parent=end.parent,
            program=program(path),
            path=path,
            offset=round(end.seconds, 6),
            exit=status,
            signal=signal_name(number) if number else None,
            last_failure=last,
        )


def rule(tally: Tally, name: str, abi: str, evidence: Evidence, *, lost: bool) -> Ruling:
    """Say who answered; ``lost`` when events are missing, so that absence proves nothing."""
    number, error = tally.key.number, tally.key.error
    census = evidence.implemented.get(abi)
    implemented = None if census is None else number in census
    reached: bool | None = True if tally.key.entered else None
    unsure = False
    # Only a refusal tells of a filter: another call may have begun before the recording.
    refusal = error in _REFUSALS or (abi == "x86_64" and number in evidence.plan.refusable)
    if reached is None and refusal and evidence.armed.covers(number):
        reached, unsure = (None, True) if lost else (False, False)

    def ruling(origin: Origin, remark: str = "") -> Ruling:
        return Ruling(origin=origin, reached=reached, implemented=implemented, remark=remark)

    if reached is False:
        first = evidence.plan.drill.get(abi)
        if first is not None and number >= first and error == errno.ENOSYS:
            return ruling(Origin.DRILL)
        return ruling(Origin.SECCOMP, "the kernel lacks it as well" if implemented is False else "")
    if error != errno.ENOSYS:
        if unsure and error in _REFUSALS:
            return ruling(Origin.UNKNOWN, "events were lost")
        return ruling(Origin.OTHER)
    if unsure:
        return ruling(Origin.UNKNOWN, "events were lost")
    if implemented is None:
        return ruling(Origin.UNKNOWN, "there is no census of this kernel to compare with")
    if not implemented:
        if reached:
            return ruling(Origin.KERNEL)
        return ruling(Origin.UNKNOWN, "whether it reached the kernel was not recorded")
    if name in UNKNOWN_OPERATION:
        return ruling(Origin.OTHER, "unknown operation of a multiplexed call")
    return ruling(Origin.OTHER, "the kernel implements the call but not what was asked of it")


def program(path: str) -> str:
    """Return the last component of a program's path."""
    return PurePosixPath(path).name


def errno_name(error: int) -> str:
    """Return an errno's name (Linux's numbers), or the number when it has none."""
    return _ERRNO_NAMES.get(error) or errno.errorcode.get(error, str(error))


def signal_name(number: int) -> str:
    """Return a signal's name without SIG, as signal(7) has it."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return f"RT{number - 32}" if 32 < number <= 64 else str(number)
