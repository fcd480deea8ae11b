"""What the history says of cells over the nights: since when, and whether back and forth.

Nights alone are looked at: other runs are of parts of the matrix, and of code under work. A
night in which nothing was learnt of a cell (its kernel was unavailable, its guest was lost)
neither ends a breakage nor begins one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

from harness.results.history import History, State

_BAD = (State.BROKEN, State.KNOWN)
_LEARNT = (State.OK, *_BAD)
# Each answer is one walk along the index (cell, run), newest first, that stops where it finds.
_PASTS = f"""
WITH earlier AS (
    SELECT number, id AS name, kind, reason, outcomes.state AS now, (
        SELECT past.run FROM outcomes AS past JOIN runs ON runs.id = past.run
        WHERE past.cell = number AND past.run < :run AND night
        AND past.state IN ('{"', '".join(_LEARNT)}')
        ORDER BY past.run DESC LIMIT 1
    ) AS previous
    FROM outcomes JOIN cells ON number = cell WHERE outcomes.run = :run
)
SELECT name, now, kind, reason, previous, (
    SELECT state FROM outcomes WHERE cell = number AND outcomes.run = previous
), (
    SELECT min(bad.run) FROM outcomes AS bad JOIN runs ON runs.id = bad.run
    WHERE bad.cell = number AND bad.run < :run AND night
    AND bad.state IN ('{"', '".join(_BAD)}')
    AND bad.run > coalesce((
        SELECT good.run FROM outcomes AS good JOIN runs ON runs.id = good.run
        WHERE good.cell = number AND good.run < :run AND night AND good.state = 'ok'
        ORDER BY good.run DESC LIMIT 1
    ), '')
)
FROM earlier ORDER BY number
"""  # noqa: S608 - the names of states


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A cell of a run, and what the nights before the run say of it."""

    id: str
    now: State
    kind: str
    """The matrix's words."""
    reason: str
    previous: str
    """The last night before in which something was learnt of the cell; empty: there is none."""
    was: State | None
    """The cell's state in that night."""
    since: str
    """The first of the nights in which it was broken without a break up to the run; or empty."""


def pasts(history: History, run: str) -> tuple[Past, ...]:
    """Return every cell of a run with its past, in the order in which cells were first seen."""
    found = history.connection.execute(_PASTS, {"run": run})
    return tuple(
        Past(
            id=id,
            now=State(now),
            kind=kind,
            reason=reason,
            previous=previous or "",
            was=State(was) if was else None,
            since=since or "",
        )
        for id, now, kind, reason, previous, was, since in found
    )


def flapping(history: History, run: str, nights: int) -> dict[str, tuple[str, ...]]:
    """Return the cells that changed both ways in the last ``nights`` nights, ``run`` the last.

    Each with the nights in which it changed.
    """
    window = (run, *history.nights(nights - 1, before=run))
    marks = ", ".join("?" * len(window))
    found = history.connection.execute(
        "SELECT id, outcomes.run, state FROM outcomes JOIN cells ON number = cell"  # noqa: S608
        f" WHERE outcomes.run IN ({marks}) ORDER BY number, outcomes.run",
        window,
    )
    changes = {}
    for id, rows in groupby(found, key=itemgetter(0)):
        learnt = [(night, state in _BAD) for _, night, state in rows if state in _LEARNT]
        turns = [
            (night, bad) for (_, before), (night, bad) in pairwise(learnt) if bad is not before
        ]
        if {bad for _, bad in turns} == {True, False}:
            changes[id] = tuple(night for night, _ in turns)
    return changes


def absent(history: History, run: str, before: str) -> tuple[str, ...]:
    """Return the cells that the run ``before`` has and ``run`` has not."""
    found = history.connection.execute(
        "SELECT id FROM outcomes JOIN cells ON number = cell WHERE outcomes.run = ?"
        " AND NOT EXISTS (SELECT 1 FROM outcomes AS now WHERE now.cell = number AND now.run = ?)"
        " ORDER BY number",
        (before, run),
    )
    return tuple(id for (id,) in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """A kernel or an image that is another build in a later run."""

    what: str
    """``kernel`` or ``image``."""
    name: str
    before: str
    """The kernel's release, or the image's manifest digest, as is ``after``."""
    after: str


def renewed(history: History, run: str, before: str) -> tuple[Renewed, ...]:
    """Return the kernels and images of ``run`` that were other builds in the run ``before``."""
    found = []
    for what, shown, identity in (
        ("kernel", "release", "kernel_digest"),
        ("image", "image_digest", "image_digest"),
    ):
        rows = history.connection.execute(
            f"SELECT DISTINCT {what}, one.{shown}, two.{shown}"  # noqa: S608 - names of columns
            " FROM outcomes AS now JOIN outcomes AS past USING (cell)"
            " JOIN cells ON cells.number = cell"
            " JOIN builds AS one ON one.number = past.build"
            " JOIN builds AS two ON two.number = now.build"
            f" WHERE now.run = ? AND past.run = ? AND one.{identity} <> two.{identity}"
            f" AND one.{identity} <> '' AND two.{identity} <> '' ORDER BY 1",
            (run, before),
        )
        found += [Renewed(what=what, name=name, before=old, after=new) for name, old, new in rows]
    return tuple(found)
