"""Plain data of explanations: what a cell met, and which known causes match.

As in :mod:`harness.model`, every class is frozen, without behaviour and made of JSON's types.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.findings import Cause
from harness.model.observations import Origin, ProcessEnd, Verdict


class Certainty(StrEnum):
    """How far a cause is known to be that of a cell; the order is from most to least."""

    CONFIRMED = "confirmed"
    """A run with exactly that answer as the only change failed in the same way."""
    STATED = "stated"
    """A text says so outright: the kernel's, the program's, or what the harness found in a file."""
    SUSPECTED = "suspected"
    """What is known of it was seen in what failed."""
    UNCLEAR = "unclear"
    """It was met; nothing ties it to the failure, or it is not known what became of it."""
    COPED = "coped"
    """It was met by programs that went on and ended well."""


class Tie(StrEnum):
    """What ties a refused call to the failure of a cell."""

    LAST = "last"
    """It was the last call to fail in the process that failed."""
    EARLIER = "earlier"
    """It was refused in the process that failed; other calls failed after it."""
    KNOWN = "known"
    """What the step printed is what a known cause of that refusal is known by."""
    NAMED = "named"
    """What the step printed, or was expected to, names it."""
    TOLD = "told"
    """What the step printed tells of its errno, and nothing else was answered so."""
    NEW = "new"
    """It does not fail where the cell passes, and no process failed that met it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCause:
    """A known cause that matches a cell."""

    name: str
    certainty: Certainty
    text: str
    help: str
    references: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    """What in the cell matches, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A system call that one program was refused, and what became of the program."""

    syscall: str
    errno: str
    program: str
    origin: Origin
    since: str = ""
    """The kernel that introduced the call (syscalls(2)); empty: not known."""
    implemented: bool | None = None
    """What the census of this kernel says of the call; None: it says nothing."""
    coped: bool | None = None
    """Whether its process ended with 0 and the step as expected; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known of one cell."""

    cell: str
    """Its pytest node id."""
    scenario: str
    image: str
    kernel: str
    verdict: Verdict
    outcome: str
    """The matrix's words: ``failed with 2 ENOSYS``."""
    release: str = ""
    """What the running kernel called itself."""
    reason: str = ""
    differs: tuple[str, ...] = ()
    """The first lines of an output that are not as expected, after + and -."""
    asks: str = ""
    """What a file of the image asks for that this kernel is not."""
    first: ProcessEnd | None = None
    """The process that failed first, or the one that met the cause; None: none is known."""
    cause: Cause | None = None
    """The refused call that probably broke it; confirmed only where a run showed it."""
    tie: Tie | None = None
    """What ties that to the failure."""
    implemented: bool | None = None
    """What the census says of that call."""
    causes: tuple[NamedCause, ...] = ()
    """The known causes that match, the surest first."""
    refusals: tuple[Refusal, ...] = ()
    """Every other call that was refused."""
    drill: str = ""
    """Not empty: this was a drill, no evidence about a real kernel."""
    doubts: tuple[str, ...] = ()
    """What was not recorded or not done as usual."""
