"""A session's cells compared with those of its baseline kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import UsageError
from harness.findings import Comparison, Kind
from harness.model.hosts import HostEntry
from harness.model.observations import Observation
from harness.model.scenarios import Known
from harness.plugin import settings
from harness.plugin.borrowing import Lender, notes
from harness.plugin.settings import Wanted
from harness.scenarios import accepted
from harness.trace import since
from harness.verdicts.acceptance import proposals
from harness.verdicts.compare import Terms
from harness.verdicts.enosys import ENOSYS, row_of
from harness.verdicts.known import matches
from harness.verdicts.sides import compare_sides
from harness.verdicts.views import Recorded

if TYPE_CHECKING:
    from harness.plugin.reports import CellReport
    from harness.plugin.session import Session

_FINDINGS = frozenset({Kind.BROKEN, Kind.DEGRADED, Kind.CHANGED, Kind.FIXED})
"""What is run once more before it is reported."""

_ONCE = "it was not run once more: noise is not ruled out"


class Comparing:
    """What this session compares its cells with, and what came of it."""

    def __init__(self, session: Session, wanted: Wanted) -> None:
        self.session = session
        self.wanted = wanted
        self.baseline = session.assembly.entry(wanted.baseline)
        self.repeats: dict[str, list[Observation]] = {}
        """What was run once more at the end, by the cell's id."""
        self.lender = Lender(session, self.baseline)

    def first(self, items: list[pytest.Item]) -> None:
        """Move the baseline's items to the front; otherwise the order stays."""
        items.sort(key=lambda item: entry_of(item) != self.baseline)

    def compare(self, cells: Sequence[CellReport], run: str) -> Comparison:
        """Compare every cell with its own on the baseline, with all repeats that there are."""
        name = self.baseline.name
        cells = sorted(cells, key=lambda cell: (cell.row, cell.column))  # workers' is their own
        others = [cell for cell in cells if cell.observation.kernel != name]
        rows = {row_of(cell.observation) for cell in others}
        own = [
            cell
            for cell in cells
            if cell.observation.kernel == name and row_of(cell.observation) in rows
        ]
        borrowed = self.lender.lend(others + own, run)
        known = {cell.observation.id: cell.entries for cell in cells}
        known |= {one.recorded.observation.id: one.known for one in borrowed}
        before = [*(self._recorded(cell, run) for cell in own), *(b.recorded for b in borrowed)]
        kernels = dict.fromkeys(cell.observation.kernel for cell in others)
        comparison = compare_sides(
            f"{', '.join(kernels) or 'nothing'} against {name}",
            [self._with_repeats(one) for one in before],
            [self._with_repeats(self._recorded(cell, run)) for cell in others],
            Terms(
                anyway=self.wanted.anyway,
                since=since.load(),
                known=lambda one: known.get(one.id, ()),
                causes=self.session.knowledge.causes,
            ),
        )
        return replace(comparison, notes=notes(borrowed))

    def conclude(self, cells: Sequence[CellReport], run: str) -> Comparison:
        """Compare for the last time, and say of findings that were not run once more that so."""
        comparison = self.compare(cells, run)
        noted = tuple(
            replace(one, notes=(*one.notes, _ONCE))
            if one.kind in _FINDINGS and one.after.cell not in self.repeats
            else one
            for one in comparison.findings
        )
        return replace(comparison, findings=noted)

    def to_confirm(self, comparison: Comparison) -> list[str]:
        """Return the ids of the cells on which findings rest, the baseline's among them."""
        found = [finding for finding in comparison.findings if finding.kind in _FINDINGS]
        ids = [side.cell for finding in found for side in (finding.before, finding.after)]
        return list(dict.fromkeys(ids))

    def _recorded(self, cell: CellReport, run: str) -> Recorded:
        return Recorded(observation=cell.observation, run=run, repeats=cell.repeats)

    def _with_repeats(self, one: Recorded) -> Recorded:
        more = self.repeats.get(one.observation.id, ())
        return replace(one, repeats=(*one.repeats, *more))


def comparing_of(session: Session, wanted: Wanted) -> Comparing | None:
    """Return what a session compares with, if it compares.

    Raises:
        UsageError: ``--baseline`` names no kernel.
    """
    return Comparing(session, wanted) if wanted.baseline else None


def entry_of(item: Any) -> HostEntry | None:
    """Return the kernel of an item; None: it is no cell."""
    entry = getattr(item, "entry", None)
    if entry is None:
        callspec = getattr(item, "callspec", None)
        entry = callspec.params.get("kernel") if callspec is not None else None
    return entry if isinstance(entry, HostEntry) else None


def turns(
    comparison: Comparison | None, cells: Iterable[CellReport], fail_on: frozenset[str]
) -> bool:
    """Tell whether findings turn the exit status: broken ones do, others as asked for."""
    kinds = {finding.kind.value for finding in comparison.findings} if comparison else set()
    if kinds & (fail_on | {Kind.BROKEN.value}):
        return True
    if settings.ENOSYS not in fail_on:
        return False
    return any(_unknown_enosys(cell.observation, cell.entries) for cell in cells)


def update_known(session: Session, comparison: Comparison, run: str) -> str:
    """Write entries for findings that are not known, and return what was written where.

    Raises:
        ConfigError, StoreError: the file is wrong, or cannot be written.
        UsageError: there is no place for it.
    """
    if not session.knowledge.files:
        raise UsageError("--update-known: scenario_dirs names no directory to write known.yaml to")
    path = session.knowledge.files[0]
    when = f"{datetime.now(UTC):%Y-%m-%d}, run {run}"
    number = accepted.add(path, proposals(comparison.findings, when))
    return f"{path}: {number} known differences added, to be reviewed"


def _unknown_enosys(observation: Observation, entries: Sequence[Known]) -> bool:
    named = [entry for entry in entries if entry.syscall or entry.errno]
    return any(
        failure.errno == ENOSYS and not any(matches(entry, failure) for entry in named)
        for failure in observation.failures
    )
