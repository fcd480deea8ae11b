"""Scenario files and their cells as pytest sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.model.hosts import HostEntry
from harness.model.observations import Observation
from harness.model.scenarios import Scenario
from harness.plugin import settings
from harness.plugin.reports import attach, cell_report, facts, judged
from harness.plugin.session import session_of
from harness.report.plain import clean, clean_lines
from harness.scenarios.corpus import add_images, load_with_images
from harness.verdicts.known import Judgement
from harness.verdicts.outcome import Outcome, PytestOutcome

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr


class CellFailed(Exception):  # noqa: N818 - never seen by a user: it carries a failing outcome
    """A cell did not meet its expectations."""


class ScenarioFile(pytest.File):
    """A YAML file with scenarios."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a cell for each scenario, image and kernel."""
        try:
            session = session_of(self.config)
        except pytest.UsageError as error:
            if settings.is_worker(self.config):
                raise self.CollectError(str(error)) from error
            self.config.stash[settings.PROBLEM] = str(error)  # said once, not of each file
            return
        try:
            scenarios, images = load_with_images(self.path, self.config.rootpath)
            add_images(session.laboratory.images, images)
            cells = [
                (session.knowledge.added(scenario, image), image, entry)
                for scenario in scenarios
                for image in session.images_for(scenario.images, f"{scenario.file}:{scenario.line}")
                for entry in session.entries
            ]
        except HarnessError as error:
            raise self.CollectError(str(error)) from error
        for scenario, image, entry in cells:
            yield CellItem.from_parent(
                self,
                name=settings.cell_name(scenario.name, image, entry.name),
                scenario=scenario,
                image=image,
                entry=entry,
            )


class CellItem(pytest.Item):
    """One kernel x image x scenario."""

    def __init__(
        self, *, scenario: Scenario, image: str, entry: HostEntry, **keywords: Any
    ) -> None:
        # As text, or pytest would not see that a part of it is in brackets, and --lf not find it.
        nodeid = f"{keywords['parent'].nodeid}::{keywords['name']}"
        super().__init__(nodeid=nodeid, **keywords)
        self.scenario = scenario
        self.image = image
        self.entry = entry
        self.observation: Observation | None = None
        self.known = Judgement()
        self.keywords["kernels_cell"] = True
        for tag in scenario.tags:
            # Known to pytest by now, or --strict-markers would refuse it.
            self.config.addinivalue_line("markers", f"{tag}: a tag of scenarios")
            self.add_marker(tag)

    def runtest(self) -> None:
        """Run the cell, or wait for it where it runs ahead, and turn its outcome."""
        session = session_of(self.config)
        self.observation = session.observe(self)
        self.known = session.known(self, self.observation)
        self.user_properties.extend(facts(self.observation, self.known))
        self._turn(self.observation, judged(self.observation, self.known))

    def _turn(self, observation: Observation, found: Outcome) -> None:
        match found.rule.pytest:
            case PytestOutcome.SKIPPED:
                pytest.skip(f"{found.text}: {clean(observation.reason)}")
            case PytestOutcome.XFAILED:
                pytest.xfail(f"known: {clean(observation.reason)}")
            case PytestOutcome.FAILED:
                raise CellFailed(clean(observation.reason))

    def report(self, report: Any) -> None:
        """Let a report tell of this cell."""
        if self.observation is None:
            return
        session = session_of(self.config)
        told = cell_report(session, self, self.entry, self.observation, self.known)
        attach(report, [told], self.config)

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> str | TerminalRepr:
        """Show what happened in the cell instead of a traceback."""
        if isinstance(excinfo.value, CellFailed) and self.observation is not None:
            from harness.report.failure import failure_text

            file = session_of(self.config).cell_file(self.observation)
            explanation = session_of(self.config).knowledge.explain(self.observation, self.known)
            return failure_text(self.observation, explanation, file)
        if isinstance(excinfo.value, HarnessError):
            return "\n".join(clean_lines(str(excinfo.value)))
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return file, line and name for reports."""
        return self.path, self.scenario.line - 1, self.name
