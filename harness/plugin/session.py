"""What a session with cells holds: its assembly, its laboratory, its run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import recording
from harness.assembly import Assembly, Options
from harness.ending import Ending
from harness.errors import GuestError, HarnessError, UsageError
from harness.guest import accelerator
from harness.guest.accelerator import Choice
from harness.images import catalog as images
from harness.laboratory import Laboratory
from harness.model.hosts import Host, HostEntry
from harness.model.observations import Observation
from harness.model.scenarios import Scenario
from harness.plugin import settings
from harness.plugin.across import earlier_of
from harness.plugin.comparing import comparing_of
from harness.plugin.knowledge import Knowledge, judged
from harness.plugin.repeating import Again, once_more, repeats_of
from harness.plugin.resuming import resumed_of, take_part
from harness.plugin.signals import terminated_as_interrupted, terminated_with_parent
from harness.plugin.terminal import TerminalProgress, accelerator_line, places_line
from harness.results.meta import ImageFacts, KernelFacts, RunMeta
from harness.results.runs import RunDir, new_run_id
from harness.scenarios.ahead import Ahead, awaited
from harness.scenarios.causes import own_files
from harness.scenarios.request import Request
from harness.verdicts.known import Judgement

if TYPE_CHECKING:
    from harness.plugin.items import CellItem

SESSION = pytest.StashKey["Session"]()
RUN = "kernels_run"
"""Key of a worker's input that says which run it takes part in."""
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


class SpokenAssembly(Assembly):
    """Tells which accelerator is used as soon as it is known, once."""

    def __init__(
        self, options: Options, progress: TerminalProgress, tell: Callable[[Choice], None]
    ) -> None:
        super().__init__(options, progress)
        self._tell = tell
        self.told = False
        """Whether it was told, by this process or by a worker."""
        self._telling = threading.Lock()

    def choice(self, host: Host) -> Choice:
        """Return the accelerator, and tell it the first time."""
        found = super().choice(host)
        with self._telling:
            told, self.told = self.told, True
        if not told:
            self._tell(found)
        return found


class Session:
    """One pytest session, or one of its workers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.progress = TerminalProgress(config)
        self.assembly = SpokenAssembly(settings.options_of(config), self.progress, self._tell)
        self.entries = self.assembly.selected
        self._given_images = tuple(config.getoption("image"))
        self.laboratory = Laboratory(self.assembly, self._load_images())
        self._check_profile()
        options = self.assembly.options
        self.knowledge = Knowledge(options.scenarios, own_files(options.rootdir, options.causes))
        self.wanted = settings.wanted(config)
        self.comparing = comparing_of(self, self.wanted)
        self.resumed = resumed_of(config)
        self.earlier = earlier_of(
            settings.results_of(config),
            self.wanted.compare_run,
            lambda: self.knowledge.causes,
            anyway=self.wanted.anyway,
            own=self.resumed.run.path.name if self.resumed else "",
        )
        self.run: RunDir | None = None
        self.places: dict[str, int] = {}
        """Which place in the order of collection an item has, by node id."""
        self.recorded_cells: list[tuple[CellItem, Observation]] = []
        """All that were written, in the order in which they ended; pytest may ask for fewer."""
        self.repeats: dict[str, tuple[Observation, ...]] = {}
        """Further runs of cells, by node id."""
        self._broken: HarnessError | None = None
        self._ending = Ending()
        self._ahead: Ahead[str, Observation] = Ahead(self._workers(), self._ending)
        self._pool = ThreadPoolExecutor(
            _PREPARING, thread_name_prefix="prepare", initializer=self._ending.join
        )

    def _tell(self, choice: Choice) -> None:
        self.progress.say(accelerator_line(choice.accelerator.value, choice.why))
        self.progress.say(places_line(self.laboratory.places))

    def _load_images(self) -> dict[str, images.ImageEntry]:
        loaded = images.load_catalog(self.assembly.image_directories)
        for text in self._given_images:
            if text not in loaded:
                try:
                    loaded[text] = images.adhoc(text, base=self.config.invocation_params.dir)
                except UsageError as error:
                    known = ", ".join(sorted(loaded))
                    raise UsageError(f"--image {text}: {error}; or a name: {known}") from error
        return loaded

    def _check_profile(self) -> None:
        options = self.assembly.options
        try:
            self.laboratory.catalogue.check(options.seccomp, options.rootdir)
        except HarnessError as error:
            raise UsageError(f"--seccomp: {error}") from error

    def images_for(self, names: Sequence[str], where: str) -> tuple[str, ...]:
        """Return the images to run in: those of the command line, else ``names``.

        Raises:
            UsageError: one is in no catalog; the text begins with ``where``.
        """
        wanted = self._given_images or tuple(names)
        for name in wanted:
            images.pick(self.laboratory.images, name, where=where)
        return wanted

    def kernels_for(self, definition: pytest.Item) -> list[HostEntry]:
        """Return the kernels that a Python test runs on: the selected ones that its markers fit."""
        marked = [str(word) for mark in definition.iter_markers("kernels") for word in mark.args]
        return [
            entry
            for entry in self.entries
            if all(self.laboratory.applies(expression, entry) for expression in marked)
        ]

    @contextmanager
    def running(self, items: Sequence[pytest.Item]) -> Iterator[None]:
        """Open the run, begin to prepare and to run ahead, and end every guest at the end.

        Raises:
            pytest.UsageError: nothing can run here: no QEMU, or nowhere to record.
        """
        from harness.plugin.items import CellItem

        self.places = {item.nodeid: place for place, item in enumerate(items)}
        cells = [item for item in items if isinstance(item, CellItem)]
        applying = [
            cell for cell in cells if self.laboratory.applies(cell.scenario.kernels, cell.entry)
        ]
        # Under xdist the controller decides what runs next, so nothing can run ahead.
        worker = settings.is_worker(self.config)
        ids = tuple(cell.nodeid for cell in cells)
        if worker:
            self._join_run(ids)
        else:
            self._open_run(ids, guests=bool(applying) or len(cells) < len(items))
        jobs = [] if worker else [(cell.nodeid, self._job(cell)) for cell in cells]
        if self.run is not None:
            take_part(self.config, self.run.path)
        bound = terminated_with_parent() if worker else nullcontext()
        with terminated_as_interrupted(), bound:
            try:  # which may be interrupted as soon as a thread has begun
                if not worker:
                    self._prepare(applying)
                self._ahead.begin(jobs)
                yield
            finally:
                self._close()

    @contextmanager
    def lent(self, run: RunDir) -> Iterator[None]:
        """Run cells again in a controller of workers, which ran none itself, and record them."""
        self.run = run
        self.assembly.told = True
        try:
            yield
        finally:
            self._close()

    def _workers(self) -> int:
        """Return how many cells are under way at once; guests also wait for a place each.

        How many places there are depends on the accelerator, which is not known yet.
        """
        wanted = self.assembly.options.guests
        return int(wanted) if wanted.isdecimal() else 2 * len(os.sched_getaffinity(0))

    def _open_run(self, ids: tuple[str, ...], *, guests: bool) -> None:
        try:
            if guests:
                _ = self.assembly.apparatus  # QEMU's absence is said once, not of each cell
                why = accelerator.obstacle()
                if self.assembly.options.accelerator == "kvm" and why:
                    raise UsageError(f"--accel=kvm: KVM does not work here: {why}")
            if self.resumed is None:
                meta = RunMeta(**settings.begun(self.config), cells=ids)
                self.run = RunDir.create(settings.results_of(self.config), meta)
            else:
                self.take_up(self.places)
                self.run = self.resumed.run
            self.config.stash[settings.OPENED] = True
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error

    def claim(self) -> None:
        """Let no other session take up the run that this one resumes; workers share it.

        Raises:
            pytest.UsageError: it goes on in another process.
        """
        if self.resumed is None or settings.is_worker(self.config):
            return
        try:
            self.resumed.claim(self.config)
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error

    def take_up(self, ids: Collection[str]) -> None:
        """Take up the run that is resumed, and say so; ``ids`` are those of the items selected.

        Raises:
            UsageError: some of the run's cells are not selected.
            StoreError: it is not writable.
        """
        said = self.resumed.begin(ids) if self.resumed else ""
        if said:
            self.progress.say(said)

    def _join_run(self, ids: tuple[str, ...]) -> None:
        results, began, begun = getattr(self.config, "workerinput")[RUN]  # noqa: B009 - xdist's
        at = datetime.fromtimestamp(began, UTC)
        id = self.resumed.run.path.name if self.resumed else new_run_id(at)
        meta = RunMeta(**begun, cells=ids, started=at.isoformat(timespec="seconds"))
        try:
            self.run = RunDir.join(Path(results) / id, meta)
        except HarnessError as error:  # a worker that ended here would be a crash to xdist
            self._broken = error

    def _prepare(self, cells: Sequence[CellItem]) -> None:
        """Make hosts and images ready in the order in which cells need them."""
        kernels = dict.fromkeys(cell.entry.name for cell in cells)
        entries = {cell.entry.name: cell.entry for cell in cells}
        names = list(dict.fromkeys(cell.image for cell in cells))
        for name in kernels:
            self._pool.submit(self.laboratory.ready, entries[name])
            if names:  # alternately: cells need one of each
                self._pool.submit(self.laboratory.image, names.pop(0))
        for image in names:
            self._pool.submit(self.laboratory.image, image)

    def _close(self) -> None:
        self._ending.tell()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._ahead.close(self.assembly.interrupt)
        self._pool.shutdown(wait=True)
        self.assembly.close()
        self.progress.flush()

    def _job(self, cell: CellItem) -> Callable[[], Observation]:
        return lambda: self._observe(cell)

    def observe(self, cell: CellItem) -> Observation:
        """Return a cell's observation: run by now, or run here.

        Raises:
            HarnessError: it cannot be recorded.
        """
        return self._ahead.result(cell.nodeid, self._job(cell), self.progress.flush)

    def _observe(self, cell: CellItem) -> Observation:
        run = self.recorded()
        observation = self.resumed.kept(self, cell) if self.resumed else None
        if observation is None:
            log = run.console_path(cell.nodeid)
            observation = self.laboratory.observe(
                cell.nodeid, cell.scenario, cell.image, cell.entry, log
            )
            self.refuse_when_ended()
            run.write_cell(observation)
        self.recorded_cells.append((cell, observation))
        self.repeats[cell.nodeid] = repeats_of(self, cell, observation)
        return observation

    def all_once_more(self, cells: Sequence[Again]) -> dict[str, Observation]:
        """Run cells again, several at once, and return what was observed by node id.

        For the session's end: whatever runs ahead is dropped.

        Raises:
            HarnessError: something cannot be recorded, or the session ends.
        """

        def job(again: Again) -> Callable[[], Observation]:
            return lambda: once_more(self, again)

        self._ahead.close(lambda: None)
        self._ahead = Ahead(self._workers(), self._ending)
        self._ahead.begin([(again.id, job(again)) for again in cells])
        results = {}
        for again in cells:
            results[again.id] = self._ahead.result(again.id, job(again), self.progress.flush)
        return results

    def recorded(self) -> RunDir:
        """Return the run that cells are recorded in.

        Raises:
            HarnessError: there is none.
        """
        if self.run is None:
            raise self._broken or HarnessError("cells run in a session's own time only")
        return self.run

    def request(self, id: str, scenario: Scenario, image: str, entry: HostEntry) -> Request:
        """Return the request of a Python test's guest; what it lacks is made meanwhile.

        Raises:
            HarnessError: kernel or image cannot be had.
        """
        log = self.recorded().console_path(id)
        future = self._pool.submit(self.laboratory.request, id, scenario, image, entry, log)
        return awaited(future, self.progress.flush)

    def kernel_facts(self, entry: HostEntry) -> KernelFacts:
        """Return what run.json says of a kernel."""
        return recording.kernel_facts(self.laboratory, entry)

    def image_facts(self, name: str) -> ImageFacts:
        """Return what run.json says of an image."""
        return recording.image_facts(self.laboratory, name)

    def cell_file(self, observation: Observation) -> Path | None:
        """Return where a cell's observation lies."""
        return self.run.cell_path(observation.id) if self.run else None

    def known(self, cell: CellItem, observation: Observation) -> Judgement:
        """Return what the scenario's known differences say of a cell."""
        return judged(cell.scenario, cell.entry, observation)

    def refuse_when_ended(self) -> None:
        """Refuse what a guest said that was ended with the session: it is nothing of the cell.

        Raises:
            GuestError: the session has ended.
        """
        if self._ending.told:
            raise GuestError("the session ended before the cell did")

    @property
    def ended(self) -> bool:
        """Whether everything that makes guests was closed."""
        return self._ending.told
