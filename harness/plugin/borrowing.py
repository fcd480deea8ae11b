"""Baseline cells of earlier runs, for those that this session did not run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.model.hosts import HostEntry
from harness.model.observations import Observation
from harness.model.scenarios import Known
from harness.plugin import settings
from harness.plugin.knowledge import applying
from harness.results.runs import RunDir, find_runs
from harness.verdicts.enosys import RowKey, row_of
from harness.verdicts.views import LOST, RAN, Recorded

if TYPE_CHECKING:
    from harness.plugin.reports import CellReport
    from harness.plugin.session import Session


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A baseline cell of an earlier run, and a cell of this session of the same row."""

    recorded: Recorded
    twin: CellReport
    entry: HostEntry
    """The baseline."""

    @property
    def known(self) -> tuple[Known, ...]:
        """The known differences that apply to it."""
        entries = self.twin.scenario.known if self.twin.scenario else ()
        return applying(entries, self.entry, self.recorded.observation)


class Lender:
    """Finds each baseline cell once, in the newest run that has it with the same digests."""

    def __init__(self, session: Session, baseline: HostEntry) -> None:
        self._session = session
        self._baseline = baseline
        self._digest: str | None = None
        self._found: dict[RowKey, Borrowed | None] = {}

    def lend(self, cells: Sequence[CellReport], run: str) -> list[Borrowed]:
        """Return the baseline's cells for rows of which ``cells`` has none; ``run`` is this one."""
        rows = {row_of(cell.observation): cell for cell in reversed(cells)}
        for cell in cells:
            if cell.observation.kernel == self._baseline.name:
                rows.pop(row_of(cell.observation), None)
        for row, cell in rows.items():
            if row not in self._found:
                self._found[row] = self._find(cell, run)
        return [found for row in rows if (found := self._found[row])]

    def twin(self, id: str) -> CellReport | None:
        """Return a cell of this session of the same row as a borrowed one."""
        borrowed = (one for one in self._found.values() if one is not None)
        return next((one.twin for one in borrowed if one.recorded.observation.id == id), None)

    def _find(self, cell: CellReport, run: str) -> Borrowed | None:
        mine = cell.observation
        if cell.scenario is None or mine.environment is None:
            return None
        name = settings.cell_name(mine.scenario, mine.image, self._baseline.name)
        id = f"{mine.file}::{name}"
        for reference in reversed(find_runs(settings.results_of(self._session.config))):
            earlier = RunDir(reference.path)
            one = earlier.find_cell(id) if reference.path.name != run else None
            if one is not None and self._is_alike(one, mine):
                recorded = Recorded(
                    observation=one, run=reference.path.name, repeats=earlier.find_repeats(id)
                )
                return Borrowed(recorded, cell, self._baseline)
        return None

    def _is_alike(self, one: Observation, mine: Observation) -> bool:
        """Tell whether a cell is what the baseline's would be today."""
        if one.environment is None or mine.environment is None or one.verdict not in RAN | LOST:
            return False
        return (
            one.scenario_digest == mine.scenario_digest
            and one.environment.image_digest == mine.environment.image_digest
            and one.environment.kernel_digest == self._kernel_digest()
        )

    def _kernel_digest(self) -> str:
        """Return the digest of the baseline's kernel as it would run today; empty: none."""
        if self._digest is None:
            if self._session.ended:
                return ""
            try:
                self._digest = self._session.assembly.host(self._baseline)[0].kernel.digest
            except HarnessError:
                self._digest = ""
        return self._digest


def notes(borrowed: Sequence[Borrowed]) -> tuple[str, ...]:
    """Return a sentence on each run that cells were taken from."""
    runs: dict[str, int] = {}
    for one in borrowed:
        runs[one.recorded.run] = runs.get(one.recorded.run, 0) + 1
    return tuple(
        f"the baseline of {number} {'row' if number == 1 else 'rows'} was not run in this session: "
        f"it is taken from run {name}, with the same kernel, image and scenario"
        for name, number in runs.items()
    )
