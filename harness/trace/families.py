"""Processes of a trace, grouped by what their membership of the container depends on."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.trace.records import CallKey, End, Tally

SLEEPER = b"/run/harness-init"
"""Where the static program lies that keeps a container of several steps alive: this path, or
one below it."""


@dataclass(slots=True, eq=False)
class Family:
    """Processes that share their membership, and what failed in them."""

    parent: Family | None
    marked: bool = False
    step: int | None = None
    """The step whose first process founded this family."""
    live: int = 0
    tallies: dict[CallKey, Tally] = field(default_factory=dict)
    ends: list[End] = field(default_factory=list)
    folded: bool = False


@dataclass(slots=True, eq=False)
class Process:
    """One thread group, alive."""

    pid: int
    parent: int
    path: bytes
    family: Family
    threads: int = 1
    founded: bool = False
    leader_gone: bool = False
    exit: int | None = None
    exit32: int | None = None
    group_exit: bool = False
    signal: int = 0
    generated: list[int] = field(default_factory=list)
    last: Tally | None = None


@dataclass(slots=True, eq=False)
class Hot:
    """The tallies that a thread's next failing call may simply add one to."""

    process: Process
    calls: dict[tuple[bytes | tuple[bytes, ...], ...], Tally] = field(default_factory=dict)


def unfolded(family: Family | None) -> Family | None:
    """Return the nearest family, this one or an ancestor, that still holds its own record."""
    while family is not None and family.folded:
        family = family.parent
    return family


def is_member(family: Family | None) -> bool:
    """Return whether a mark made this family, or one that it descends from, the container's."""
    while family is not None:
        if family.marked:
            return True
        family = family.parent
    return False


def step_of(family: Family | None) -> int | None:
    """Return the step whose first process the nearest marked family descends from."""
    while family is not None:
        if family.marked:
            return family.step
        family = family.parent
    return None


def is_sleeper(path: bytes) -> bool:
    """Return whether a program is the harness's own, in the container on its behalf."""
    return path == SLEEPER or path.startswith(SLEEPER + b"/")


def failures(family: Family) -> int:
    """Return how many failing calls a family made."""
    return sum(tally.count for tally in family.tallies.values())


def collect(
    family: Family, calls: dict[CallKey, Tally], ends: list[End], *, keep: bool = False
) -> int:
    """Merge a family's record into ``calls`` and ``ends``; return the sleeper's failures."""
    step = step_of(family)
    ignored = 0
    for key, tally in family.tallies.items():
        if not keep and is_sleeper(key.path):
            ignored += tally.count
            continue
        if step is not None:
            tally.steps = {step}
        known = calls.get(key)
        if known is None:
            calls[key] = tally
            continue
        first, other = sorted((known, tally), key=lambda one: one.seconds)
        first.count += other.count
        first.steps |= other.steps
        calls[key] = first
    ends.extend(end for end in family.ends if keep or not is_sleeper(end.path))
    return ignored
