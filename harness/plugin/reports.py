"""Observations on their way to whoever prints them, and the matrix at the end.

A cell's observation travels on its pytest report, so that a controller of xdist has it too.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.model.hosts import HostEntry
from harness.model.observations import Observation
from harness.model.scenarios import Known, Scenario
from harness.plugin import settings
from harness.plugin.compared import Compared
from harness.plugin.knowledge import applying
from harness.plugin.record import record_of
from harness.plugin.remembering import remember
from harness.plugin.resuming import take_part
from harness.plugin.session import SESSION, Session
from harness.plugin.terminal import accelerator_line, places_line, seconds_line, write
from harness.plugin.writing import write_reports
from harness.report.junit import properties
from harness.results import resuming
from harness.results.codec import decode, encode
from harness.results.meta import ImageFacts, KernelFacts, RunMeta
from harness.results.runs import RunDir
from harness.scenarios.causes import own_files
from harness.verdicts.known import Judgement
from harness.verdicts.outcome import FAILED_STATUS, Outcome, exit_status, outcome_of

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from harness.report.matrix import Matrix

ATTRIBUTE = "kernels_cells"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellReport:
    """What a worker tells the controller of one cell."""

    observation: Observation
    known: Judgement
    kernel: KernelFacts
    image: ImageFacts
    accelerator: str
    accelerator_why: str
    places: int
    """How many guests run at once; 0 while that is not known."""
    run: str
    """The run's directory."""
    row: int
    """Place in the order of collection: workers report in an order of their own."""
    column: int
    """Place of the kernel among the selected."""
    scenario: Scenario | None = None
    """What to run again, should the cell be compared; a Python test has none."""
    entries: tuple[Known, ...] = ()
    """The known differences that apply to it."""
    repeats: tuple[Observation, ...] = ()
    """Further runs of it."""


def judged(observation: Observation, known: Judgement) -> Outcome:
    """Return what a cell counts as."""
    return outcome_of(observation, known.state)


def facts(observation: Observation, known: Judgement) -> list[tuple[str, object]]:
    """Return a cell's properties for JUnit."""
    return list(properties(observation, judged(observation, known)))


def cell_report(
    session: Session,
    item: pytest.Item,
    entry: HostEntry,
    observation: Observation,
    known: Judgement,
) -> CellReport:
    """Return what there is to tell of a cell."""
    choice = session.assembly.chosen
    scenario: Scenario | None = getattr(item, "scenario", None)
    expected = (
        scenario.known
        if scenario
        else session.knowledge.apart(observation.scenario, observation.image)
    )
    return CellReport(
        observation=observation,
        known=known,
        kernel=session.kernel_facts(entry),
        image=session.image_facts(observation.image),
        accelerator=choice.accelerator.value if choice else "",
        accelerator_why=choice.why if choice else "",
        places=session.laboratory.places if choice else 0,
        run=str(session.run.path) if session.run else "",
        row=session.places.get(item.nodeid, 0),
        column=session.entries.index(entry) if entry in session.entries else 0,
        scenario=scenario if session.comparing else None,
        entries=applying(expected, entry, observation),
        repeats=session.repeats.get(observation.id, ()),
    )


def attach(report: Any, cells: Iterable[CellReport], config: pytest.Config) -> None:
    """Put cells onto a pytest report; from a worker in a form that xdist carries."""
    travels = settings.is_worker(config)
    setattr(report, ATTRIBUTE, [encode(cell).decode() if travels else cell for cell in cells])


def detached(report: pytest.TestReport) -> list[CellReport]:
    """Take the cells off a report, which pytest keeps for as long as the session lasts."""
    return [
        decode(CellReport, cell.encode()) if isinstance(cell, str) else cell
        for cell in report.__dict__.pop(ATTRIBUTE)
    ]


class Gathered:
    """Every cell reported so far, on whichever process prints."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.cells: list[CellReport] = []
        self._fresh: list[CellReport] = []
        self.problem = ""
        self.besides = 0
        """Tests that failed and are no cells."""
        self.forgotten = ""
        """What keeps the run out of the history."""
        self.left = 0
        """Cells that the run was to have and has not."""
        self._traceback = ""
        self._stopped = False
        self.compared = Compared(config.stash.get(SESSION, None))
        self._own = settings.OPENED in config.stash
        """Whether cells run in this process, which then says itself what it uses."""
        self._announced = self._own

    def add(self, report: pytest.TestReport) -> None:
        """Take the cells of a report."""
        first = not self.cells
        self._fresh = detached(report)
        self.cells += self._fresh
        if not self._own and first:
            self._begin()
        if not self._announced and self.cells[-1].accelerator:
            self._announced = True
            self._say(accelerator_line(self.cells[-1].accelerator, self.cells[-1].accelerator_why))
            self._say(places_line(self.cells[-1].places))

    def detail(self) -> None:
        """Say where the newest cells' seconds went, once their own line is complete (-v)."""
        if self.config.get_verbosity() > 0:
            for cell in self._fresh:
                if line := seconds_line(cell.observation.durations):
                    self._say(line)
        self._fresh = []

    def _say(self, text: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and reporter.verbosity >= -1:
            write(reporter, text)

    def _begin(self) -> None:
        """Write down that a run of workers has begun, in case that it never ends.

        It outlasts the workers: cells are run once more and reports are written after them.
        """
        run = self._run()
        if run is not None:
            self._recording(lambda: take_part(self.config, run.path))
            self._recording(lambda: run.write_meta(self._meta(run)))

    def _recording(self, write: Callable[[], object]) -> None:
        """Do a part of what ends a session; what goes wrong in it costs no other part."""
        try:
            write()
        except HarnessError as error:
            self.problem = str(error)
        except Exception as error:  # a mistake of a report's must not cost the run's end
            self.problem = f"{type(error).__name__}: {error}, a mistake of the harness's own"
            self._traceback = traceback.format_exc()

    def _run(self) -> RunDir | None:
        if self._own:
            return self.config.stash[SESSION].run
        named = next((cell.run for cell in self.cells if cell.run), "")
        return RunDir(Path(named)) if named else None

    def _complete(self) -> None:
        """Take the cells that ran ahead and were recorded, but that pytest never came to."""
        if not self._own:
            return
        session = self.config.stash[SESSION]
        told = {cell.observation.id for cell in self.cells}
        for item, observation in session.recorded_cells:
            if observation.id not in told:
                known = session.known(item, observation)
                self.cells.append(cell_report(session, item, item.entry, observation, known))

    def confirm(self) -> None:
        """Run what findings rest on once more, while guests can still be started."""
        run = self._run()
        if run is not None:
            self.compared.confirm(self.cells, run)

    def accelerator(self) -> str:
        """Return the line about the accelerator."""
        used = next((cell for cell in self.cells if cell.accelerator), None)
        if used is None:
            return accelerator_line("", "")
        return accelerator_line(used.accelerator, used.accelerator_why)

    def matrix(self) -> Matrix:
        """Lay the cells out in the order of collection."""
        from harness.report.matrix import build

        ordered = sorted(self.cells, key=_row)
        columns = sorted(self.cells, key=lambda cell: cell.column)
        known = {cell.observation.id: cell.known for cell in self.cells}
        return build(
            [cell.observation for cell in ordered],
            kernels=list(dict.fromkeys(cell.observation.kernel for cell in columns)),
            judge=lambda observation: known[observation.id],
            accelerator=self.accelerator(),
        )

    def summarise(self, reporter: TerminalReporter) -> None:
        """Print the matrix; pytest has decided about colour, by terminal, NO_COLOR and --color."""
        from harness.report.terminal import render

        writer = reporter._tw
        encoding = getattr(writer._file, "encoding", "") or ""
        reporter.section("kernels")
        text = render(
            self.matrix(),
            width=writer.fullwidth,
            colour=writer.hasmarkup,
            unicode=encoding.lower().startswith("utf"),
        )
        reporter.write(text)
        reporter.ensure_newline()
        self.compared.summarise(reporter, self.cells)
        run = self._run()
        if self.problem:
            reporter.write_line(f"not wholly recorded: {self.problem}")
            reporter.write(self._traceback)
        elif run is not None:
            reporter.write_line(f"recorded in {run.path}; for a browser: report.html")
        if self.left:
            cells = "1 cell is" if self.left == 1 else f"{self.left} cells are"
            reporter.write_line(f"{cells} missing: `pytest --resume` continues this run")
        if self.forgotten:
            reporter.write_line(f"not in the history: {self.forgotten}")

    def _remember(self, run: RunDir, meta: RunMeta) -> None:
        self.left = len(resuming.left(run, meta))
        self.forgotten = remember(run.path)

    def finish(self, session: pytest.Session) -> None:
        """Compare, turn the exit status where that is due, and write run.json for the last time."""
        self._complete()
        matrix, run = self.matrix(), self._run()
        if run is not None:
            self._recording(lambda: self.compared.conclude(self.cells, run))
        status = exit_status(matrix.cells, self.config.getoption("allow_missing_kernels"))
        if self.compared.turns(self.cells, settings.wanted(self.config).fail_on):
            status = FAILED_STATUS
        if int(session.exitstatus) == int(pytest.ExitCode.OK) and status:
            session.exitstatus = status
        if run is None:
            return
        self._stopped = bool(session.shouldstop or session.shouldfail)
        meta = self._meta(run)
        self._recording(lambda: run.finish(meta, matrix.counts, int(session.exitstatus)))
        self._recording(run.announce)
        self._recording(lambda: self._remember(run, meta))
        self._recording(lambda: write_reports(run.path, self.config.getoption("report")))
        if self.problem and int(session.exitstatus) == int(pytest.ExitCode.OK):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _meta(self, run: RunDir) -> RunMeta:
        cells = sorted(self.cells, key=_row)
        begun = resuming.read(run.path)
        causes = tuple(map(str, own_files(self.config.rootpath, self.config.getini("causes"))))
        begun = replace(begun, causes=causes)
        return record_of(begun, cells, besides=self.besides, stopped=self._stopped)


def _row(cell: CellReport) -> int:
    return cell.row
