"""The pytest plugin: hooks that turn pytest's objects into plain values and back.

Only what every session needs is imported here; the rest of the harness is loaded when a
session has a cell, so that the plugin costs nothing in a repository without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.plugin import settings

if TYPE_CHECKING:
    from harness.guest.guest import Guest
    from harness.plugin.python_tests import Bench, Container, Kernel
    from harness.plugin.reports import Gathered

_LISTENER = "kernels-listener"
_PLANNED = pytest.StashKey[tuple[str, float, dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; ``harness.plugin.settings`` reads them."""
    settings.declare(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> None:
    """Let a run that is resumed go on as it was begun, before anything looks at the options."""
    if not any(word.partition("=")[0] == "--resume" for word in args):
        return
    from harness.errors import UsageError
    from harness.plugin.resuming import expand

    try:
        expand(args, early_config, early_config.known_args_namespace)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    early_config.known_args_namespace = parser.parse_known_args(args, copy(early_config.option))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers and register what listens to reports."""
    config.addinivalue_line(
        "markers", "image(name, ...): the images that a test's container fixture runs by default"
    )
    config.addinivalue_line(
        "markers", "kernels(expression): the kernels that a test applies to, as --kernels has it"
    )
    config.addinivalue_line(
        "markers", "known: a scenario that shows a documented breakage; it runs if asked for alone"
    )
    config.pluginmanager.register(Listener(config), _LISTENER)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a wrong option once, before files are collected one by one."""
    if settings.given(session.config):
        from harness.plugin.session import session_of

        session_of(session.config).claim()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Take up the run that is resumed as soon as it is known what the workers would run."""
    if not node.config.getoption("resume"):
        return
    from harness.errors import HarnessError
    from harness.plugin.session import session_of

    try:
        session_of(node.config).take_up(ids)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    """End the session with what is wrong with a catalog, which every file would complain of."""
    result = yield
    if settings.PROBLEM in session.config.stash:
        raise pytest.UsageError(session.config.stash[settings.PROBLEM])
    return result


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


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a kernel once for each that was selected, and for each image.

    First, so that ids begin with image and kernel, as those of scenarios do.
    """
    if not _is_ours(metafunc, "kernel"):
        return
    from harness.plugin.python_tests import parametrize

    parametrize(metafunc, images=_is_ours(metafunc, "container"))


def _is_ours(metafunc: pytest.Metafunc, name: str) -> bool:
    """Tell whether a test's fixture is this plugin's: others may have one of the same name."""
    found = metafunc.definition._fixtureinfo.name2fixturedefs.get(name, ())
    return bool(found) and getattr(found[-1].func, "__module__", "") == __name__


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Open the run before the first cell and end every guest after the last.

    Before that, what differs from a baseline is run once more: whoever reports sees to it.
    """
    cells = [item for item in session.items if _may_be_cell(item)]
    if session.config.option.collectonly:
        return (yield)
    listener = cast(Listener, session.config.pluginmanager.get_plugin(_LISTENER))
    if not cells:  # workers may have some
        result = yield
        listener.confirm()
        return result
    from harness.plugin.session import session_of

    with session_of(session.config).running(cells):
        result = yield
        listener.confirm()
        return result


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out documented breakages unless asked for, and let the baseline's cells run first."""
    _deselect(config, items)
    if not config.getoption("baseline"):
        return
    from harness.plugin.session import session_of

    comparing = session_of(config).comparing
    if comparing is not None:
        comparing.first(items)


def _deselect(config: pytest.Config, items: list[pytest.Item]) -> None:
    cases = [item for item in items if "kernels_cell" in item.keywords and "known" in item.keywords]
    if not cases:
        return
    from harness.plugin.corpus import asked_for

    given = [
        (config.invocation_params.dir / text.partition("::")[0]).resolve() for text in config.args
    ]
    expression = config.getoption("markexpr", "")
    out = [
        item
        for item in cases
        if not asked_for(
            item.path,
            [mark.name for mark in item.iter_markers()],
            expression=expression,
            paths=given,
        )
    ]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


def _may_be_cell(item: pytest.Item) -> bool:
    if "kernels_cell" in item.keywords:
        return True
    names = getattr(item, "fixturenames", ())
    return "_kernels_bench" in names


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Attach observations to their report, so that they reach a controller.

    Outermost, since what counts as an expected failure is decided by another plugin's wrapper.
    """
    report = yield
    if settings.BENCH in item.stash:
        item.stash[settings.BENCH].conclude(report, call)
    elif call.when == "call" and "kernels_cell" in item.keywords:
        from harness.plugin.items import CellItem

        if isinstance(item, CellItem):
            item.report(report)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where its cells are recorded: all workers share one run."""
    results = str(settings.results_of(node.config))
    plan = (results, time.time(), settings.begun(node.config))
    node.workerinput["kernels_run"] = node.config.stash.setdefault(_PLANNED, plan)


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel that the test runs on: name, tags, release."""
    from harness.plugin.python_tests import Kernel
    from harness.plugin.session import session_of

    if not hasattr(request, "param"):
        pytest.fail(
            "ask for kernel, guest or container by an argument of the test: "
            "which kernels it runs on is decided when it is collected",
            pytrace=False,
        )
    return Kernel(request.param, session_of(request.config))


@pytest.fixture
def _kernels_bench(request: pytest.FixtureRequest, kernel: Kernel) -> Iterator[Bench]:
    from harness.plugin.python_tests import Bench

    bench = Bench(request.node, kernel)
    request.node.stash[settings.BENCH] = bench
    yield bench
    bench.close()


@pytest.fixture
def guest(_kernels_bench: Bench) -> Guest:
    """A fresh guest of the kernel, with no container in it."""
    return _kernels_bench.guest()


@pytest.fixture
def container(request: pytest.FixtureRequest, _kernels_bench: Bench) -> Callable[..., Container]:
    """Start containers: ``container("redis").run(["redis-cli", "--version"])``.

    Each has a guest of its own, and waits while commands run beside it. Keywords are those of
    scenario files: user, env, memory, cap_add, service=True and so on. The image is the one of
    the test's marker unless it is named.
    """
    default: str = getattr(request, "param", "")

    def start(image: str | None = None, **keys: Any) -> Container:
        __tracebackhide__ = True
        return _kernels_bench.container(default, image, keys)

    return start


class Listener:
    """Gathers cells from reports and shows the matrix; idle in a session without cells."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._gathered: Gathered | None = None
        self._besides = 0
        """Failed reports of what is no cell."""
        self._terminable = ExitStack()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a cell's observation from its report, before others keep or write the report."""
        if not hasattr(report, "kernels_cells") or settings.is_worker(self._config):
            self._besides += report.failed
            return
        from harness.plugin.reports import Gathered

        if self._gathered is None:
            self._gathered = Gathered(self._config)
            self._be_terminable()
        self._gathered.add(report)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Say with -v where a cell's time went."""
        if self._gathered is not None:
            self._gathered.detail()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Let SIGTERM end a controller of workers as Ctrl-C does, once it knows of cells."""
        with self._terminable:
            if settings.given(self._config):
                self._be_terminable()
            return (yield)

    def confirm(self) -> None:
        """Run once more what differs from the baseline; a worker leaves that to its controller."""
        if self._gathered is not None:
            self._gathered.confirm()

    def _be_terminable(self) -> None:
        if not self._config.pluginmanager.has_plugin("dsession"):
            return  # the session that runs cells itself sees to it
        from harness.plugin.signals import terminated_as_interrupted

        self._terminable.enter_context(terminated_as_interrupted())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the run's record and turn the exit status where cells are missing."""
        if settings.is_worker(self._config):
            return
        if self._gathered is None and settings.OPENED in self._config.stash:
            from harness.plugin.reports import Gathered

            self._gathered = Gathered(self._config)
        if self._gathered is not None:
            self._gathered.besides = self._besides
            self._gathered.finish(session)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the matrix."""
        if self._gathered is not None and self._gathered.cells:
            self._gathered.summarise(terminalreporter)
