"""Plain data of comparisons: what differs between two observations, and what it means.

As in :mod:`harness.model`, every class is frozen, without behaviour and made of JSON's types.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.observations import Origin

COMPARISON_SCHEMA = 1
"""Version of the JSON that a comparison is written in."""


class Kind(StrEnum):
    """The class of a finding; the order is from worst to best."""

    BROKEN = "broken"
    """Met its expectations on the baseline, not here."""
    DEGRADED = "degraded"
    """A new ENOSYS or errno, with which the program coped."""
    CHANGED = "changed"
    """Output, errno profile or messages differ, expectations are met."""
    UNKNOWN = "unknown"
    """Fails its expectations on both sides, or a guest was lost: nothing was learnt."""
    FIXED = "fixed"
    """Did not meet its expectations on the baseline, does here."""
    SAME = "same"


class Field(StrEnum):
    """What of an observation differs."""

    VERDICT = "verdict"
    EXIT = "exit"
    SIGNAL = "signal"
    STDOUT = "stdout"
    STDERR = "stderr"
    ENOSYS = "enosys"
    ERRNO = "errno"
    MESSAGES = "messages"
    MEMORY = "memory"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field of one step, or of the whole cell, that is not the same on both sides."""

    field: Field
    step: int | None = None
    """Index of the step; None: the cell."""
    before: str = ""
    """As compared: normalised, bounded. Empty: it was not there."""
    after: str = ""
    syscall: str = ""
    """For ``enosys`` and ``errno``, as are the next six."""
    errno: str = ""
    program: str = ""
    operation: str = ""
    origin: Origin | None = None
    coped: bool | None = None
    """Whether the program that met a refusal coped; None: not known, or no refusal."""
    abi: str = ""
    """Whose table the call is of: ``x86_64`` or ``i386``."""
    known: str = ""
    """The reason of the known difference that covers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What probably broke a cell. Suspected until a run with that answer alone confirms it."""

    syscall: str
    errno: str
    program: str
    origin: Origin
    since: str = ""
    """The kernel that introduced the call (syscalls(2)); empty: not known."""
    confirmed: bool | None = None
    """None: suspected; True and False: what a run with exactly that refusal said."""
    evidence: tuple[str, ...] = ()
    """Arguments, the process's end, the tail of its stderr: one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison: where its observation comes from."""

    run: str
    """Id of the run."""
    cell: str
    """The cell's pytest node id."""
    kernel: str
    release: str = ""
    image_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one cell's comparison with its baseline came to."""

    scenario: str
    file: str
    image: str
    kind: Kind
    before: Side
    after: Side
    differences: tuple[Difference, ...] = ()
    """Not noise, not known."""
    known: tuple[Difference, ...] = ()
    stale: tuple[str, ...] = ()
    """Reasons of known differences that no longer occur."""
    noise: tuple[Difference, ...] = ()
    """What also differs between two runs of the same side."""
    cause: Cause | None = None
    unlike: tuple[str, ...] = ()
    """What else differs between the sides than was asked to be compared, one sentence each."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All findings of one comparison."""

    title: str
    """What is compared: ``5.10 against 6.12``, or two runs' ids."""
    findings: tuple[Finding, ...] = ()
    unmatched: tuple[str, ...] = ()
    """Cells that one side lacks, one sentence each."""
    notes: tuple[str, ...] = ()
    """What else is to be said of the whole comparison, one sentence each."""
    schema: int = COMPARISON_SCHEMA
