"""Known causes: documented ways in which an image breaks on another host, and how each is seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.model.observations import Origin


class Effect(StrEnum):
    """What a cause usually does to a program."""

    BREAKS = "breaks"
    DEGRADES = "degrades"
    """Callers are known to have a way round it: it is never suspected of a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPattern:
    """What the host must be like; what is empty is not asked for."""

    cgroup: tuple[str, ...] = ()
    engine: tuple[str, ...] = ()
    seccomp: tuple[str, ...] = ()
    """Globs of the profile's title."""
    cmdline: str = ""
    """Regular expression, searched for in the command line."""
    sysctl: dict[str, str] = field(default_factory=dict)
    """Name to a glob of the value that the host set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Evidence in a cell; all that is given must be there, of the several values of a key one."""

    syscall: tuple[str, ...] = ()
    """Globs; with errno, origin, operation and abi it is about one failing call."""
    errno: tuple[str, ...] = ()
    origin: tuple[Origin, ...] = ()
    operation: tuple[str, ...] = ()
    abi: str = ""
    program: tuple[str, ...] = ()
    """Globs: the program that met the call; without a call the one that failed."""
    exit: tuple[int, ...] = ()
    signal: tuple[str, ...] = ()
    message: str = ""
    """Regular expression of a kernel message, as the next are of other texts."""
    stdout: str = ""
    stderr: str = ""
    output: str = ""
    """Of stdout or stderr."""
    reason: str = ""
    """Of the sentence why the cell failed: what a runtime said is in it."""
    asks: str = ""
    """Of what a file of the image asks of the kernel, where that was found out: it says it all."""
    host: HostPattern = field(default_factory=HostPattern)
    states: bool = False
    """Whether the text says the cause outright, so that nothing is left to suspect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCause:
    """One documented cause."""

    name: str
    text: str
    """What happens, in plain words."""
    help: str
    """What usually helps."""
    references: tuple[str, ...]
    """Threads or pages that document it."""
    when: tuple[Pattern, ...]
    """One of them is enough."""
    effect: Effect = Effect.BREAKS
    where: str = ""
    """File and line of the entry, for messages."""
