"""Observations on their way to whoever prints them, and the matrix at the end.

A cell's observation travels on its pytest report, so that a controller of xdist has it too.
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.model import Observation
from harness.plugin import settings
from harness.results.codec import decode, encode
from harness.results.meta import ImageFacts, KernelFacts, RunMeta
from harness.results.runs import RunDir, new_run_id, utc_now
from harness.verdicts.known import Judgement

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from harness.plugin.items import CellItem
    from harness.report.matrix import Matrix

ATTRIBUTE = "kernels_cell"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellReport:
    """What a worker tells the controller of one cell."""

    observation: Observation
    known: Judgement
    kernel: KernelFacts
    image: ImageFacts
    accelerator: str
    accelerator_why: str
    run: str
    """The run's directory."""


def attach(item: CellItem, report: Any) -> None:
    """Put a cell's observation onto its report."""
    from harness.plugin.session import session_of

    if item.observation is None:
        return
    session = session_of(item.config)
    choice = session.assembly.chosen
    cell = CellReport(
        observation=item.observation,
        known=item.known,
        kernel=session.kernel_facts(item.entry),
        image=session.image_facts(item.image),
        accelerator=choice.accelerator.value if choice else "",
        accelerator_why=choice.why if choice else "",
        run=str(session.run.path) if session.run else "",
    )
    setattr(report, ATTRIBUTE, encode(cell).decode())


class Gathered:
    """Every cell reported so far, on whichever process prints."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.cells: list[CellReport] = []
        self.started = utc_now()

    def add(self, report: pytest.TestReport) -> None:
        """Take a cell from a report."""
        self.cells.append(decode(CellReport, getattr(report, ATTRIBUTE).encode()))
        if len(self.cells) == 1:
            self._say_accelerator()

    def _say_accelerator(self) -> None:
        if hasattr(self.config, "workerinput") or not self.config.pluginmanager.has_plugin(
            "dsession"
        ):
            return  # the session itself says it before its first cell
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"kernels: {self.accelerator()}")

    def accelerator(self) -> str:
        """Return the line about the accelerator."""
        return accelerator_line(self.cells[0].accelerator, self.cells[0].accelerator_why)

    def matrix(self) -> Matrix:
        """Lay the cells out."""
        from harness.report.matrix import build

        known = {cell.observation.id: cell.known for cell in self.cells}
        return build(
            [cell.observation for cell in self.cells],
            kernels=list(dict.fromkeys(cell.observation.kernel for cell in self.cells)),
            judge=lambda observation: known[observation.id],
            accelerator=self.accelerator(),
        )

    def summarise(self, reporter: TerminalReporter) -> None:
        """Print the matrix."""
        from harness.report.terminal import render

        width = reporter._tw.fullwidth
        colour = reporter._tw.hasmarkup and "NO_COLOR" not in os.environ
        unicode = (getattr(sys.stdout, "encoding", "") or "").lower().startswith("utf")
        reporter.section("kernels")
        reporter.write(render(self.matrix(), width=width, colour=colour, unicode=unicode))
        reporter.ensure_newline()
        if self.cells[0].run:
            reporter.write_line(f"recorded in {self.cells[0].run}")

    def finish(self, session: pytest.Session) -> None:
        """Write run.json for the last time and turn the exit status where cells are missing."""
        from harness.verdicts.outcome import exit_status

        matrix = self.matrix()
        status = exit_status(matrix.cells, self.config.getoption("allow_missing_kernels"))
        if int(session.exitstatus) == int(pytest.ExitCode.OK) and status:
            session.exitstatus = status
        if not self.cells[0].run:
            return
        run = RunDir(settings.results_of(self.config) / Path(self.cells[0].run).name)
        run.finish(self._meta(run), matrix.counts, int(session.exitstatus))
        run.announce()

    def _meta(self, run: RunDir) -> RunMeta:
        kernels = {cell.kernel.name: cell.kernel for cell in self.cells}
        images = {cell.image.name: cell.image for cell in self.cells}
        environments = [c.observation.environment for c in self.cells if c.observation.environment]
        return RunMeta(
            id=run.path.name,
            started=self.started,
            command=("pytest", *map(str, self.config.invocation_params.args)),
            rootdir=str(self.config.rootpath),
            harness=version("pytest-kernels"),
            python=platform.python_version(),
            qemu=environments[0].qemu if environments else "",
            accelerator=self.cells[0].accelerator,
            accelerator_why=self.cells[0].accelerator_why,
            kernels=tuple(kernels.values()),
            images=tuple(images.values()),
        )


def accelerator_line(accelerator: str, why: str) -> str:
    """Return the line that is said once, so that slow emulation is never silent."""
    if accelerator == "tcg":
        return f"accelerator: TCG, software emulation, slow ({why})"
    return f"accelerator: {accelerator.upper() or 'none used'}"


def planned_run(config: pytest.Config) -> str:
    """Return the directory of a run that xdist's workers will make if they have a cell."""
    from datetime import UTC, datetime

    return str(settings.results_of(config) / new_run_id(datetime.now(UTC)))
