"""What a trace says, aggregated: plain data between the parser, the ledger and the judge.

Paths are bytes here, as the kernel has them; they become text when a failure is judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class CallKey(NamedTuple):
    """What makes two failing calls the same line of a report.

    ``operation`` holds the raw arguments that name a multiplexed call's operation, and is empty
    for any other call. ``entered`` says that a sys_enter event came before the sys_exit event.
    """

    path: bytes
    number: int
    error: int
    entered: bool
    operation: tuple[int, ...]


@dataclass(slots=True)
class Tally:
    """Failing calls of one kind within one family; the rest describes the first of them."""

    key: CallKey
    pid: int
    seconds: float
    arguments: tuple[int, ...] | None
    quiet: bool
    """Too common to be the cause of anything: never a process's last failure."""
    count: int = 1
    steps: set[int] = field(default_factory=set)


@dataclass(slots=True)
class End:
    """How one process ended, as raw events say it."""

    pid: int
    parent: int
    path: bytes
    seconds: float
    exit: int | None
    """Status of exit or exit_group by the 64-bit table's numbers, else None."""
    exit32: int | None
    """The same by the 32-bit table's; which one counts depends on the program's ABI."""
    signal: int
    """The signal that ended it, 0 for none."""
    last: tuple[int, int] | None
    """Number and error of its last failing call that is not quiet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All that one recording's events say, membership resolved.

    Seconds count from the recording's start mark, else from its first event.
    """

    calls: tuple[Tally, ...]
    ends: tuple[End, ...]
    apparatus: int
    """Failing calls of the runtime, the guest's own programs and the sleeper."""
    lost: int
    """Events that the kernel says it dropped."""
    dropped: int
    """Calls and ends beyond this harness's own bounds, counted but not kept."""
    unparsed: int
    """Lines that are none of the armed events."""
    complete: bool
    """Whether the end mark was seen."""
    containers: int
    """How many of the marked processes were seen to start a program."""

    def paths(self) -> tuple[str, ...]:
        """Return the program paths that the calls and ends name, for :mod:`harness.trace.elf`."""
        found = {tally.key.path for tally in self.calls} | {end.path for end in self.ends}
        return tuple(sorted(text(path) for path in found if path))


def text(path: bytes) -> str:
    r"""Return a path as text; bytes that are not UTF-8 are shown as ``\xNN``."""
    return path.decode(errors="backslashreplace")
