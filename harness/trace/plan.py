"""What to arm: which system calls' beginnings are recorded, written as the tracer's filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.trace.operations import FCNTL, NUMBERS

FILTER_LIMIT = 4000
"""Bytes of a filter; the kernel takes less than a page (trace_events.c, event_filter_write)."""

EXITS = frozenset({60, 231, 252})
"""exit and exit_group of 64-bit programs and exit_group of 32-bit ones: they carry the status."""

EXITS32 = frozenset({1, 252})
"""exit and exit_group of 32-bit programs. 1 is write for 64-bit ones: armed only if it must be."""

HOT = (
    *(0, 1, 262, 257, 3, 202, 232, 217, 5, 8, 9, 7, 20, 45, 44, 47),
    *(281, 35, 13, 14, 19, 228, 96),
)
"""Calls too frequent to be armed by the way, for a shorter filter: read, write, newfstatat,
openat, close, futex, ..., those that programs make most often first."""
HOT_GAPS = 5
"""How many of the gaps that hold such calls a filter asks for before all else."""

FCNTL_LAST, FCNTL_KNOWN = 16, 1030
"""fcntl's old commands, which every kernel knows, are not armed (fcntl.h): F_DUPFD to F_GETOWN_EX,
and F_DUPFD_CLOEXEC."""
FCNTL_FILTER = f"cmd>{FCNTL_LAST}&&cmd!={FCNTL_KNOWN}"
"""fcntl is armed by an event of its own, not by its number: a program that walks directories makes
one for each."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one recording needs to know beforehand.

    Attributes:
        missing: numbers that the census says this kernel lacks, below ``beyond``.
        beyond: every number above it is armed: the end of the table.
        refusable: numbers that the resolved seccomp profile can refuse.
        conditional: those of them that it refuses for some arguments only; they may succeed,
            so their successes are recorded too, to pair each beginning with its end.
        drill: ABI to the first number that a drill's filter refuses in the whole guest.
        ia32: whether 32-bit programs are expected.
    """

    missing: frozenset[int] = frozenset()
    beyond: int = 471
    refusable: frozenset[int] = frozenset()
    conditional: frozenset[int] = frozenset()
    drill: Mapping[str, int] = field(default_factory=dict)
    ia32: bool = False


def plan_for(
    implemented: Mapping[str, Iterable[int]],
    table_end: int,
    *,
    refusable: Iterable[int] = (),
    conditional: Iterable[int] = (),
    drill: Mapping[str, int] | None = None,
    ia32: bool = False,
) -> Plan:
    """Return the plan for a kernel with this census.

    Args:
        implemented: the census, ABI to numbers; empty when there is none.
        table_end: the highest number that the tables name.
        refusable: see :class:`Plan`, as for the others.
        conditional: as above.
        drill: as above.
        ia32: as above.
    """
    missing: set[int] = set()
    beyond = table_end
    for abi in ("x86_64", "i386") if ia32 else ("x86_64",):
        there = frozenset(implemented.get(abi, ()))
        if there:
            beyond = max(beyond, *there)
            missing |= set(range(beyond + 1)) - there
    return Plan(
        missing=frozenset(missing),
        beyond=beyond,
        refusable=frozenset(refusable),
        conditional=frozenset(conditional),
        drill=drill or {},
        ia32=ia32,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """What was armed in the guest, and how."""

    traced: bool
    enters: tuple[Range, ...] = ()
    """Numbers whose beginnings are recorded; the last range is open-ended."""
    ways: dict[str, str] | None = None
    """Which way was taken where kernels differ, by name."""
    notes: tuple[str, ...] = ()
    """What could not be armed, one sentence each."""

    def covers(self, number: int) -> bool:
        """Return whether a beginning of ``number`` would have been recorded."""
        return any(low <= number <= high for low, high in self.enters)


OPEN = 1 << 62
"""The end of a range that has none."""


def enter_ranges(plan: Plan) -> tuple[Range, ...]:
    """Return the numbers to arm, as ranges whose filter is short enough."""
    numbers = EXITS | (NUMBERS.keys() - {FCNTL}) | plan.missing | plan.refusable
    if plan.ia32:
        numbers |= EXITS32
    for abi, first in plan.drill.items():
        if abi == "x86_64" or plan.ia32:
            numbers |= set(range(first, plan.beyond + 1))
    ranges = _ranges(number for number in numbers if 0 <= number <= plan.beyond)
    ranges.append((plan.beyond + 1, OPEN))
    while len(enter_filter(ranges)) > FILTER_LIMIT and len(ranges) > 1:
        ranges = _narrowed(ranges)
    return tuple(ranges)


def enter_filter(ranges: Iterable[Range]) -> str:
    """Return the filter of raw_syscalls/sys_enter.

    The tracer evaluates it at each system call of the guest, and a plain list of a hundred terms
    would cost more than the calls. So it asks first whether the number lies in one of the gaps
    that the most frequent calls are in, and then goes down a tree of comparisons.
    """
    ranges = list(ranges)
    return "".join(f"{_outside(gap)}&&" for gap in _hot_gaps(ranges)) + f"({_tree(ranges)})"


def exit_filters(plan: Plan) -> tuple[str, str]:
    """Return filters of raw_syscalls/sys_exit: the wanted one, and one for kernels that refuse it.

    4.18 takes no negative number in a filter. What the second one lets through beyond the first,
    a result that is no error but looks negative, the parser drops.
    """
    also = "".join(f"||id=={number}" for number in sorted(plan.conditional))
    return f"(ret<0&&ret>-4096){also}", f"ret<0{also}"


def _ranges(numbers: Iterable[int]) -> list[Range]:
    ranges: list[Range] = []
    for number in sorted(set(numbers)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _hot_gaps(ranges: list[Range]) -> list[Range]:
    """Return the gaps between ranges that hold hot calls, the hottest first."""
    edges = zip([(-1, -1), *ranges], ranges, strict=False)
    gaps = [(below[1] + 1, above[0] - 1) for below, above in edges]
    found = (next((gap for gap in gaps if gap[0] <= number <= gap[1]), None) for number in HOT)
    return list(dict.fromkeys(gap for gap in found if gap))[:HOT_GAPS]


def _outside(gap: Range) -> str:
    low, high = gap
    return f"id>{high}" if low == 0 else f"(id<{low}||id>{high})"


def _narrowed(ranges: list[Range]) -> list[Range]:
    """Join the two neighbours that take the fewest other calls with them, hot ones least."""

    def cost(index: int) -> tuple[int, int]:
        gap = range(ranges[index][1] + 1, ranges[index + 1][0])
        return sum(number in HOT for number in gap), len(gap)

    best = min(range(len(ranges) - 1), key=cost)
    joined = (ranges[best][0], ranges[best + 1][1])
    return [*ranges[:best], joined, *ranges[best + 2 :]]


def _tree(ranges: list[Range]) -> str:
    if len(ranges) <= 3:
        return "||".join(_term(one) for one in ranges)
    middle = len(ranges) // 2
    low, high = ranges[:middle], ranges[middle:]
    split = high[0][0]
    return f"(id<{split}&&({_tree(low)}))||(id>={split}&&({_tree(high)}))"


def _term(one: Range) -> str:
    low, high = one
    if high == OPEN:
        return f"id>={low}"
    return f"id=={low}" if low == high else f"(id>={low}&&id<={high})"
