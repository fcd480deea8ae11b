"""The pytest plugin: hooks that turn pytest's objects into plain values and back.

Only what every session needs is imported here; the rest of the harness is loaded when a
session has a cell, so that the plugin costs nothing in a repository without one.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.plugin import settings

if TYPE_CHECKING:
    from harness.model import HostEntry
    from harness.plugin.reports import Gathered


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; ``harness.plugin.settings`` reads them."""
    settings.declare(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers and register what listens to reports."""
    config.addinivalue_line(
        "markers", "image(name, ...): the images that a test's container fixture runs by default"
    )
    config.addinivalue_line(
        "markers", "kernels(expression): the kernels that a test applies to, as --kernels has it"
    )
    config.pluginmanager.register(Listener(config), "kernels-listener")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a wrong option once, before files are collected one by one."""
    if settings.given(session.config):
        from harness.plugin.session import session_of

        session_of(session.config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect scenario files, and leave every other YAML of the repository alone."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    if not settings.may_be_scenarios(file_path, parent):
        return None
    from harness.scenarios.detect import is_scenario_file

    if not is_scenario_file(file_path):
        return None
    from harness.plugin.items import ScenarioFile

    file: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return file


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a kernel once for each that was selected."""
    if "kernel" not in metafunc.fixturenames:
        return
    from harness.plugin.session import session_of

    chosen = session_of(metafunc.config).kernels_for(metafunc.definition)
    metafunc.parametrize("kernel", chosen, ids=[entry.name for entry in chosen], indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Open the run before the first cell and end every guest after the last."""
    from_cells = [item for item in session.items if "kernels_cell" in item.keywords]
    if not from_cells or session.config.option.collectonly:
        return (yield)
    from harness.plugin.session import session_of

    with session_of(session.config).running(session.items):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Attach a cell's observation to its report, so that it reaches a controller."""
    report = yield
    if call.when == "call" and "kernels_cell" in item.keywords:
        from harness.plugin.items import CellItem
        from harness.plugin.reports import attach

        if isinstance(item, CellItem):
            attach(item, report)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where its cells are recorded: all workers share one run."""
    from harness.plugin.reports import planned_run
    from harness.plugin.session import RUN

    node.workerinput[RUN] = node.config.stash.setdefault(_PLANNED, planned_run(node.config))


_PLANNED = pytest.StashKey[str]()


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> HostEntry:
    """The catalog entry of the kernel that the test runs on."""
    entry: HostEntry = request.param
    return entry


class Listener:
    """Gathers cells from reports and shows the matrix; idle in a session without cells."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._gathered: Gathered | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a cell's observation from its report."""
        if not hasattr(report, "kernels_cell"):
            return
        from harness.plugin.reports import Gathered

        if self._gathered is None:
            self._gathered = Gathered(self._config)
        self._gathered.add(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the run's record and turn the exit status where cells are missing."""
        if self._gathered is not None and not hasattr(self._config, "workerinput"):
            self._gathered.finish(session)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the matrix."""
        if self._gathered is not None:
            self._gathered.summarise(terminalreporter)
