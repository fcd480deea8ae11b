"""What a session with cells holds: its assembly, its laboratory, its run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import pytest

from harness.assembly import Assembly
from harness.errors import HarnessError
from harness.images import catalog as images
from harness.kernels import selection
from harness.laboratory import Laboratory
from harness.model import HostEntry, Observation, Scenario
from harness.plugin import settings
from harness.plugin.terminal import TerminalProgress
from harness.report.junit import properties
from harness.results.meta import ImageFacts, KernelFacts, RunMeta
from harness.results.runs import RunDir
from harness.scenarios.ahead import Ahead
from harness.verdicts.enosys import distinct
from harness.verdicts.known import Judgement, judge
from harness.verdicts.outcome import Outcome, outcome

if TYPE_CHECKING:
    from harness.plugin.items import CellItem

SESSION = pytest.StashKey["Session"]()
RUN = "kernels_run"
"""Key of a worker's input that names the run's directory."""
_PREPARING = 2
"""Threads that fetch, build and survey; the work is bound by cores and the network."""


def session_of(config: pytest.Config) -> Session:
    """Return the session, made when the first cell is collected.

    Raises:
        pytest.UsageError: an option or a catalog is wrong.
    """
    if SESSION not in config.stash:
        try:
            config.stash[SESSION] = Session(config)
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[SESSION]


class Session:
    """One pytest session, or one of its workers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.assembly = Assembly(settings.options_of(config), TerminalProgress(config))
        self.entries = self.assembly.selected
        self._given_images = tuple(config.getoption("image"))
        self.laboratory = Laboratory(self.assembly, self._load_images())
        self.run: RunDir | None = None
        self._ahead: Ahead[str, Observation] = Ahead((), 1)

    def _load_images(self) -> dict[str, images.ImageEntry]:
        options = self.assembly.options
        user = options.images_dir
        loaded = images.load_catalog(
            images.directories(user if user is not None and user.is_dir() else None)
        )
        for text in self._given_images:
            if text not in loaded:
                loaded[text] = images.adhoc(text, base=self.config.invocation_params.dir)
        return loaded

    def images_for(self, scenario: Scenario) -> tuple[str, ...]:
        """Return the images that a scenario runs in.

        Raises:
            UsageError: one is in no catalog.
        """
        names = self._given_images or scenario.images
        for name in names:
            images.pick(self.laboratory.images, name, where=f"{scenario.file}:{scenario.line}")
        return names

    def kernels_for(self, definition: pytest.Item) -> list[HostEntry]:
        """Return the kernels that a Python test runs on: the selected ones that its markers fit."""
        marked = [str(word) for mark in definition.iter_markers("kernels") for word in mark.args]
        if not marked:
            return self.entries
        locks = self.assembly.locks
        return [
            entry
            for entry in self.entries
            if all(
                selection.applies(
                    expression,
                    name=entry.name,
                    release=locks[entry.name].release if entry.name in locks else "",
                    aliases=entry.aliases,
                    tags=entry.tags,
                )
                for expression in marked
            )
        ]

    @contextmanager
    def running(self, items: list[pytest.Item]) -> Iterator[None]:
        """Open the run, begin to prepare and to run ahead, and end every guest at the end."""
        from harness.plugin.items import CellItem

        cells = [item for item in items if isinstance(item, CellItem)]
        self.run = self._open_run()
        # Under xdist the controller decides what runs next, so nothing can run ahead.
        worker = hasattr(self.config, "workerinput")
        with _terminated_as_interrupted(), self._preparing([] if worker else cells):
            jobs = [] if worker else [(cell.nodeid, self._job(cell)) for cell in cells]
            self._ahead = Ahead(jobs, self._places())
            try:
                yield
            finally:
                self._ahead.close(self.assembly.apparatus.keeper.end)
                self.assembly.close()

    def _places(self) -> int:
        wanted = self.config.getoption("guests")
        return int(wanted) if wanted.isdigit() else self.laboratory.places

    def _open_run(self) -> RunDir:
        worker = getattr(self.config, "workerinput", None)
        if worker is not None and RUN in worker:
            return RunDir.join(Path(worker[RUN]))
        return RunDir.create(settings.results_of(self.config), RunMeta())

    @contextmanager
    def _preparing(self, cells: list[CellItem]) -> Iterator[None]:
        """Make hosts and images ready in the order in which cells need them."""
        wanted: dict[object, Callable[[], object]] = {}
        for cell in cells:
            wanted.setdefault(("kernel", cell.entry.name), self._host_maker(cell.entry))
            wanted.setdefault(("image", cell.image), self._image_maker(cell.image))
        with ThreadPoolExecutor(_PREPARING, thread_name_prefix="prepare") as pool:
            for make in wanted.values():
                pool.submit(make)
            try:
                yield
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _host_maker(self, entry: HostEntry) -> Callable[[], object]:
        return lambda: self.laboratory.ready(entry)

    def _image_maker(self, name: str) -> Callable[[], object]:
        return lambda: self.laboratory.image(name)

    def _job(self, cell: CellItem) -> Callable[[], Observation]:
        return lambda: self._observe(cell)

    def observe(self, cell: CellItem) -> Observation:
        """Return a cell's observation: run by now, or run here."""
        return self._ahead.result(cell.nodeid, self._job(cell))

    def _observe(self, cell: CellItem) -> Observation:
        assert self.run is not None  # noqa: S101 - cells run inside running() only
        log = self.run.console_path(cell.nodeid)
        observation = self.laboratory.observe(
            cell.nodeid, cell.scenario, cell.image, cell.entry, log
        )
        self.run.write_cell(observation)
        return observation

    def kernel_facts(self, entry: HostEntry) -> KernelFacts:
        """Return what run.json says of a kernel."""
        key = (entry.name, entry.engine)
        ready = self.laboratory.hosts.made.get(key)
        if ready is None:
            failed = self.laboratory.hosts.failed.get(key)
            return KernelFacts(name=entry.name, unavailable=str(failed or ""))
        kernel = ready.machine.host.kernel
        return KernelFacts(
            name=entry.name,
            release=ready.survey.facts.release,
            digest=kernel.digest,
            origin=kernel.origin,
            packages=ready.lock.lock.packages,
            ad_hoc=ready.lock.fresh,
        )

    def image_facts(self, name: str) -> ImageFacts:
        """Return what run.json says of an image."""
        image = self.laboratory.prepared.made.get(name)
        if image is None:
            return ImageFacts(
                name=name, unavailable=str(self.laboratory.prepared.failed.get(name) or "")
            )
        return ImageFacts(name=name, ref=image.ref, digest=image.digest)

    def cell_file(self, observation: Observation) -> Path | None:
        """Return where a cell's observation lies."""
        return self.run.cell_path(observation.id) if self.run else None

    def known(self, cell: CellItem, observation: Observation) -> Judgement:
        """Return what the scenario's known differences say of a cell."""
        release = observation.environment.release if observation.environment else ""

        def here(expression: str) -> bool:
            entry = cell.entry
            return selection.applies(
                expression,
                name=entry.name,
                release=release,
                aliases=entry.aliases,
                tags=entry.tags,
            )

        return judge(observation, cell.scenario.known, here)

    def judge(self, observation: Observation, known: Judgement) -> Outcome:
        """Return what a cell counts as."""
        return outcome(observation.verdict, len(distinct(observation)), known.state)

    def properties(self, observation: Observation, judged: Outcome) -> list[tuple[str, object]]:
        """Return a cell's properties for JUnit."""
        return list(properties(observation, judged))


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the session as Ctrl-C does: guests ended, results kept, matrix shown."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt("terminated")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
