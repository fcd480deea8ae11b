"""The differences between two sides of a comparison, each with what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from harness.findings import Difference, Field
from harness.model.observations import Failure, Observation, StepResult
from harness.verdicts.enosys import ENOSYS, Coped, coped_of
from harness.verdicts.profile import CallKey, is_complete
from harness.verdicts.views import Key, Line, Recorded, Spot, View, differing

EXCERPT = 2000
"""Characters of an output that a difference shows; the whole stands in the cell's file."""
_ABOVE = 2
"""Lines of an output shown above the first that differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """How far memory and time must be apart, between all runs of both sides, to count."""

    memory: float = 2.0
    memory_least: int = 32 << 20
    """Bytes."""
    time: float = 10.0
    time_least: float = 10.0
    """Seconds: emulation on a busy machine is not steady."""


@dataclass(frozen=True, slots=True)
class Found:
    """A difference and the keys that it rests on."""

    difference: Difference
    keys: frozenset[Key]


def found(
    before: Recorded, after: Recorded, one: View, two: View, factors: Factors
) -> tuple[Found, ...]:
    """Return every difference; whether it is noise or known is not looked at.

    ``one`` and ``two`` are the views of the sides' first observations.
    """
    keys = differing(one, two)
    spots = sorted(
        (key for key in keys if isinstance(key, Spot)),
        key=lambda spot: (spot.step is not None, spot.step or 0, list(Field).index(spot.field)),
    )
    left, right = before.observation, after.observation
    calls = frozenset(key for key in keys if isinstance(key, CallKey))
    return (
        *(Found(_spot(spot, left, right, one, two), frozenset({spot})) for spot in spots),
        *_calls(left, right, one, two, calls),
        *_messages(one, two),
        *_measured(before, after, factors),
    )


def _spot(spot: Spot, left: Observation, right: Observation, one: View, two: View) -> Difference:
    if spot.step is None:
        texts = [f"{o.verdict.value}: {o.reason}".removesuffix(": ") for o in (left, right)]
        return Difference(field=spot.field, before=texts[0], after=texts[1])
    values = [getattr(each.steps[spot.step], spot.field.value) for each in (one, two)]
    if spot.field in (Field.STDOUT, Field.STDERR):
        values = list(_excerpts(*values))
    return Difference(field=spot.field, step=spot.step, before=values[0], after=values[1])


def _excerpts(before: str, after: str) -> tuple[str, str]:
    """Return both texts from shortly above the first line that differs, bounded."""
    one, two = before.splitlines(keepends=True), after.splitlines(keepends=True)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))
    start = max(0, same - _ABOVE)
    return _bounded("".join(one[start:]), start), _bounded("".join(two[start:]), start)


def _bounded(text: str, skipped: int) -> str:
    head = f"[{skipped} lines, the same]\n" if skipped else ""
    if len(text) <= EXCERPT:
        return head + text
    return f"{head}{text[:EXCERPT]}[{len(text) - EXCERPT} more characters]"


# --- failing calls ----------------------------------------------------------------------


def _calls(
    left: Observation, right: Observation, one: View, two: View, keys: frozenset[CallKey]
) -> Iterator[Found]:
    """Yield calls that fail on one side only; a call that fails in another way is one."""
    gone = [key for key in one.calls if key in keys] if is_complete(right) else []
    new = [key for key in two.calls if key in keys] if is_complete(left) else []
    taken: set[CallKey] = set()
    for key in new:
        same = [other for other in gone if other.call == key.call]
        rivals = [other for other in new if other.call == key.call]
        pair = same[0] if len(same) == len(rivals) == 1 else None
        if pair is not None:
            taken.add(pair)
        rests_on = frozenset({key} if pair is None else {key, pair})
        yield Found(_new(right, two.calls[key], one.calls[pair] if pair else None), rests_on)
    for key in gone:
        if key not in taken:
            yield Found(_gone(one.calls[key]), frozenset({key}))


def _new(after: Observation, failure: Failure, earlier: Failure | None) -> Difference:
    coped = {Coped.COPED: True, Coped.FAILED: False, Coped.UNKNOWN: None}[coped_of(after, failure)]
    was = earlier.errno if earlier else ""
    return _call(failure, ENOSYS in (was, failure.errno), was, failure.errno, coped)


def _gone(failure: Failure) -> Difference:
    return _call(failure, failure.errno == ENOSYS, failure.errno, "", None)


def _call(
    failure: Failure, enosys: bool, before: str, after: str, coped: bool | None
) -> Difference:
    return Difference(
        field=Field.ENOSYS if enosys else Field.ERRNO,
        step=failure.steps[0] if failure.steps else None,
        before=before,
        after=after,
        syscall=failure.name,
        errno=failure.errno,
        program=failure.program,
        operation=failure.operation,
        origin=failure.origin,
        coped=coped,
        abi=failure.abi,
    )


# --- the rest ---------------------------------------------------------------------------


def _messages(one: View, two: View) -> Iterator[Found]:
    """Yield each kernel message that one side lacks."""
    for text in one.messages:
        if text not in two.messages:
            yield Found(Difference(field=Field.MESSAGES, before=text), frozenset({Line(text)}))
    for text in two.messages:
        if text not in one.messages:
            yield Found(Difference(field=Field.MESSAGES, after=text), frozenset({Line(text)}))


def _measured(before: Recorded, after: Recorded, factors: Factors) -> Iterator[Found]:
    steps = min(len(before.observation.steps), len(after.observation.steps))
    for number in range(steps):
        memory = (_memories(before, number), _memories(after, number))
        if _apart(*memory, factors.memory, factors.memory_least):
            yield _figures(Field.MEMORY, number, memory, lambda value: f"{value / 2**20:.1f} MiB")
        seconds = (_seconds(before, number), _seconds(after, number))
        if _apart(*seconds, factors.time, factors.time_least):
            yield _figures(Field.TIME, number, seconds, lambda value: f"{value:.2f} s")


def two_ways(before: Observation, after: Observation) -> bool:
    """Tell whether peak memory was measured in two ways, which are never compared."""
    pairs = zip(before.steps, after.steps, strict=False)
    return any(
        one.peak_memory is not None
        and two.peak_memory is not None
        and one.peak_memory_way != two.peak_memory_way
        for one, two in pairs
    )


def _memories(side: Recorded, number: int) -> dict[str, list[float]]:
    """Return a step's peaks by the way in which they were measured."""
    ways: dict[str, list[float]] = {}
    for step in _nth(side, number):
        if step.peak_memory is not None:
            ways.setdefault(step.peak_memory_way, []).append(float(step.peak_memory))
    return ways


def _seconds(side: Recorded, number: int) -> dict[str, list[float]]:
    return {"": [step.seconds for step in _nth(side, number) if not step.timed_out]}


def _nth(side: Recorded, number: int) -> list[StepResult]:
    return [one.steps[number] for one in side.usable if number < len(one.steps)]


def _apart(
    before: dict[str, list[float]], after: dict[str, list[float]], factor: float, least: float
) -> bool:
    """Tell whether all figures of one side are beyond the factor of all of the other."""
    if before.keys() != after.keys() or len(before) != 1:
        return False
    (one,), (two,) = before.values(), after.values()
    if not one or not two:
        return False
    low, high = sorted([(min(one), max(one)), (min(two), max(two))])
    return high[0] > factor * low[1] and high[0] - low[1] >= least


def _figures(
    field: Field,
    step: int,
    sides: tuple[dict[str, list[float]], dict[str, list[float]]],
    shown: Callable[[float], str],
) -> Found:
    texts = [_range(next(iter(side.values())), shown) for side in sides]
    return Found(
        Difference(field=field, step=step, before=texts[0], after=texts[1]),
        frozenset({Spot(field, step)}),
    )


def _range(values: Sequence[float], shown: Callable[[float], str]) -> str:
    low, high = shown(min(values)), shown(max(values))
    return low if low == high else f"{low} to {high}"
