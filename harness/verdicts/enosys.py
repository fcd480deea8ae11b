"""Every distinct ENOSYS of a cell, and whether the program that met it coped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.model.observations import Failure, Observation, Origin
from harness.verdicts.processes import ended_well, met

ENOSYS = "ENOSYS"


class Coped(StrEnum):
    """What is known of the program after it met the refusal; its text is shown as it stands."""

    COPED = "coped"
    """Its process ended with status 0 and the step met its expectations."""
    FAILED = "its process failed"
    """Its process ended with another status or by a signal; whether for that reason is open."""
    UNKNOWN = "not known whether it coped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enosys:
    """One system call that one program found not implemented, by one origin."""

    name: str
    number: int
    abi: str
    program: str
    origin: Origin
    count: int
    coped: Coped
    remark: str = ""

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What makes it distinct: table and number, program, origin."""
        return (self.abi, self.number, self.program, self.origin.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowKey:
    """A row of the matrix: one scenario in one image, over all kernels."""

    image: str
    file: str
    scenario: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEnosys:
    """An ENOSYS of a row that was not seen before in it, and on which kernels it was met."""

    row: RowKey
    enosys: Enosys
    """As it was on the first of the kernels."""
    kernels: tuple[str, ...]
    coped: tuple[tuple[Coped, tuple[str, ...]], ...]
    """What became of the program, and on which kernels."""


def row_of(observation: Observation) -> RowKey:
    """Return the row that a cell is in."""
    return RowKey(image=observation.image, file=observation.file, scenario=observation.scenario)


def distinct(observation: Observation) -> tuple[Enosys, ...]:
    """Return a cell's distinct ENOSYS, in order of first occurrence.

    Failures that differ in their operation alone are one; it has coped if each of them has.
    """
    groups: dict[tuple[str, int, str, str], list[Failure]] = {}
    for failure in sorted(observation.failures, key=lambda failure: failure.offset):
        if failure.errno == ENOSYS:
            key = (failure.abi, failure.number, failure.program, failure.origin.value)
            groups.setdefault(key, []).append(failure)
    return tuple(_merged(observation, failures) for failures in groups.values())


def new_in_row(
    observations: Iterable[Observation],
    kernels: Sequence[str],
    seen: Iterable[Observation] = (),
) -> tuple[NewEnosys, ...]:
    """Return each row's distinct ENOSYS, once, with the kernels it was met on.

    ``kernels`` is their order. What is in ``seen``, the observations of an earlier run, is not
    new in its row and left out.
    """
    old = {(row_of(earlier), item.key) for earlier in seen for item in distinct(earlier)}
    order = {name: place for place, name in enumerate(kernels)}
    groups: dict[tuple[RowKey, tuple[str, int, str, str]], dict[str, Enosys]] = {}
    rows: dict[RowKey, int] = {}
    for observation in observations:
        row = row_of(observation)
        rows.setdefault(row, len(rows))
        for item in distinct(observation):
            if (row, item.key) not in old:
                groups.setdefault((row, item.key), {})[observation.kernel] = item
    found = []
    for (row, _), met_on in groups.items():
        names = sorted(met_on, key=lambda name: order.get(name, len(order)))
        found.append(_new(row, {name: met_on[name] for name in names}))
    return tuple(sorted(found, key=lambda new: rows[new.row]))


def coped_of(observation: Observation, failure: Failure) -> Coped:
    """Return what is known of the program that met a failing call."""
    well = ended_well(observation, failure)
    if well is False:
        return Coped.FAILED
    return Coped.COPED if well and met(observation, failure) else Coped.UNKNOWN


def describe(item: Enosys) -> str:
    """Return the call as ``fchmodat2 (452)``, with the table it is of unless the usual one."""
    table = "" if item.abi == "x86_64" else f", {item.abi}"
    return f"{item.name} ({item.number}{table})"


def coped_text(new: NewEnosys) -> str:
    """Return what became of the program, by kernel where that differs."""
    if len(new.coped) == 1:
        return new.coped[0][0].value
    return "; ".join(f"{coped} on {', '.join(kernels)}" for coped, kernels in new.coped)


def line(new: NewEnosys) -> str:
    """Return the one line that a user reads of it; its parts are not yet made safe to show."""
    item = new.enosys
    return (
        f"ENOSYS  {describe(item)}  {item.program}  on {', '.join(new.kernels)}"
        f"  from {item.origin.value}  {coped_text(new)}"
    )


def _merged(observation: Observation, failures: list[Failure]) -> Enosys:
    first = failures[0]
    states = {coped_of(observation, failure) for failure in failures}
    worst = next(state for state in (Coped.FAILED, Coped.UNKNOWN, Coped.COPED) if state in states)
    return Enosys(
        name=first.name,
        number=first.number,
        abi=first.abi,
        program=first.program,
        origin=first.origin,
        count=sum(failure.count for failure in failures),
        coped=worst,
        remark=first.remark,
    )


def _new(row: RowKey, met_on: dict[str, Enosys]) -> NewEnosys:
    coped: dict[Coped, list[str]] = {}
    for kernel, item in met_on.items():
        coped.setdefault(item.coped, []).append(kernel)
    return NewEnosys(
        row=row,
        enosys=next(iter(met_on.values())),
        kernels=tuple(met_on),
        coped=tuple((state, tuple(names)) for state, names in coped.items()),
    )
