"""The errno profile of a cell: which system call of which program fails how."""

from __future__ import annotations

from typing import NamedTuple

from harness.model.observations import Failure, Observation, Origin

# fmt: off
_WAITING = frozenset({
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev",
    "pwritev2", "recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg", "accept",
    "accept4", "connect", "futex", "splice", "tee", "io_getevents", "io_pgetevents",
    "rt_sigtimedwait", "semtimedop", "semop", "mq_timedreceive", "mq_timedsend"
})
# fmt: on
"""Calls of which EAGAIN says only that something was not there yet."""


class CallKey(NamedTuple):
    """What makes two failing calls the same; pids and counts do not."""

    abi: str
    syscall: str
    errno: str
    program: str
    operation: str
    origin: Origin

    @property
    def call(self) -> tuple[str, str, str, str]:
        """The same without its answer."""
        return (self.abi, self.syscall, self.program, self.operation)


def key_of(failure: Failure, *, origins: bool = True) -> CallKey:
    """Return a failing call's key; without ``origins`` who answered makes no difference."""
    return CallKey(
        abi=failure.abi,
        syscall=failure.name,
        errno=failure.errno,
        program=failure.program,
        operation=failure.operation,
        origin=failure.origin if origins else Origin.UNKNOWN,
    )


def profile_of(observation: Observation, *, origins: bool = True) -> dict[CallKey, Failure]:
    """Return the failing calls of a cell that do not depend on timing alone."""
    found: dict[CallKey, Failure] = {}
    for failure in observation.failures:
        if not is_timing(failure):
            found.setdefault(key_of(failure, origins=origins), failure)
    return found


def is_timing(failure: Failure) -> bool:
    """Tell whether a call failed because of when it was made: something not yet, or a signal."""
    if failure.origin is Origin.SECCOMP:
        return False
    if failure.errno in ("EINTR", "EINPROGRESS"):
        return True
    if failure.errno == "ETIMEDOUT":
        return failure.name == "futex"
    return failure.errno == "EAGAIN" and failure.name in _WAITING


def is_complete(observation: Observation) -> bool:
    """Tell whether every failing call was recorded, so that absence means something."""
    return observation.traced and not observation.lost_events
