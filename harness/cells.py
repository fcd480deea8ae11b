"""The cells of a command that is no pytest session: several run at once, recorded in one run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from harness.ending import Ending
from harness.errors import GuestError
from harness.laboratory import Laboratory
from harness.model.hosts import HostEntry
from harness.model.observations import Observation
from harness.model.scenarios import Scenario
from harness.results.runs import RunDir
from harness.scenarios.ahead import Ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One scenario in one image on one host."""

    scenario: Scenario
    image: str
    entry: HostEntry

    @property
    def id(self) -> str:
        """The cell's id, which is pytest's for the same cell."""
        scenario = self.scenario
        return f"{scenario.file}::{scenario.name}[{self.image}-{self.entry.name}]"


class Cells:
    """Runs cells and records them; made by :func:`running`."""

    def __init__(
        self, laboratory: Laboratory, run: RunDir, told: Callable[[Observation], object]
    ) -> None:
        self._laboratory = laboratory
        self._run = run
        self._told = told
        self._ending = Ending()
        # Each waits for a place of its own; how many there are depends on the accelerator.
        self._ahead: Ahead[str, Observation] = Ahead(2 * len(os.sched_getaffinity(0)), self._ending)

    def begin(self, cells: Iterable[Cell]) -> None:
        """Begin to run cells, as many at once as there is room for guests."""
        self._ahead.begin([(cell.id, self._job(cell)) for cell in cells])

    def of(self, cell: Cell) -> Observation:
        """Return what was observed of a cell, which may have been run ahead."""
        return self._ahead.result(cell.id, self._job(cell))

    def observe(self, cell: Cell, repeat: int = 0) -> Observation:
        """Run a cell and record it.

        Raises:
            GuestError: the command ended before it did.
            StoreError: it cannot be recorded.
        """
        log = self._run.console_path(cell.id, repeat)
        seen = self._laboratory.observe(cell.id, cell.scenario, cell.image, cell.entry, log)
        if self._ending.told:
            raise GuestError("the command ended before the cell did")
        seen = replace(seen, repeat=repeat)
        self._run.write_cell(seen)
        self._told(seen)
        return seen

    def end(self) -> None:
        """Drop what has not begun, and end what runs."""
        self._ahead.close(self._interrupt)

    def _job(self, cell: Cell) -> Callable[[], Observation]:
        return lambda: self.observe(cell)

    def _interrupt(self) -> None:
        self._ending.tell()
        self._laboratory.assembly.interrupt()


@contextmanager
def running(
    cells: Iterable[Cell],
    laboratory: Laboratory,
    run: RunDir,
    told: Callable[[Observation], object] = lambda _: None,
) -> Iterator[Cells]:
    """Run cells ahead of need while the block runs; ``told`` hears of each once it is recorded."""
    made = Cells(laboratory, run, told)
    try:
        made.begin(cells)
        yield made
    finally:
        made.end()
