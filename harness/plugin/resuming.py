"""A run that was cut off, taken up by this session: what it has is kept, the rest is run."""

from __future__ import annotations

import re
import shlex
from argparse import Namespace
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError, UsageError
from harness.laboratory import Ready, with_engine
from harness.model.images import Image
from harness.model.observations import Observation, Verdict
from harness.plugin import settings
from harness.report.plain import plural
from harness.results import resuming
from harness.results.meta import RunMeta
from harness.results.runs import RunDir
from harness.scenarios.observed import scenario_digest

if TYPE_CHECKING:
    from harness.plugin.items import CellItem
    from harness.plugin.session import Session

_OPTION = "--resume"
_SHOWN = 3


def expand(args: list[str], config: pytest.Config, known: Namespace) -> None:
    """Turn ``--resume`` among a command's arguments into the run's id and how it was begun.

    The run's own arguments come first, so that those given now go before them.

    Raises:
        UsageError: there is no such run, or it was begun elsewhere.
    """
    place, name = _asked(args)
    path = resuming.find(settings.results_below(config, known.results), name)
    meta = resuming.read(path)
    args[place] = f"{_OPTION}={path.name}"
    before = list(meta.command[1:])
    if not Counter(before) - Counter(args):
        return  # repeated by the user
    if meta.directory and Path(meta.directory) != config.invocation_params.dir:
        raise UsageError(
            f"--resume: the run {path.name} was begun in {meta.directory}: resume it there, or "
            f"repeat its options: {shlex.join(meta.command)}"
        )
    args[:] = [*before, *args]


def _asked(args: list[str]) -> tuple[int, str]:
    for place, word in enumerate(args):
        option, _, name = word.partition("=")
        if option == _OPTION:
            return place, name or settings.LATEST
    raise ValueError("--resume is not among the arguments")


class Resumed:
    """The run that a session takes up."""

    def __init__(self, path: Path) -> None:
        self.run = RunDir(path)
        self.meta: RunMeta = resuming.read(path)
        self._begun = False

    def claim(self, config: pytest.Config) -> None:
        """Keep the run for this session, to its end; end the session if nothing is left to do.

        That is with the run's own exit status.

        Raises:
            UsageError: the run goes on in another process.
        """
        held = ExitStack()
        config.add_cleanup(held.close)
        held.enter_context(resuming.claimed(self.run.path))
        self.meta = resuming.read(self.run.path)  # it may have ended meanwhile
        if resuming.complete(self.run, self.meta):
            pytest.exit(
                f"the run {self.run.path.name} is complete: there is nothing to resume",
                returncode=self.meta.exit_status,
            )

    def begin(self, selected: Collection[str]) -> str:
        """Take the run up, once, and return a sentence on what is left; empty: it was.

        Raises:
            UsageError: ``selected``, ids of items, lacks cells of the run.
            StoreError: it is not writable.
        """
        if self._begun:
            return ""
        here = set(selected)
        lacking = [id for id in self.meta.cells if _item_of(id) not in here]
        if lacking:
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            raise UsageError(
                f"--resume: the run {self.run.path.name} has cells that are not selected now: "
                f"{', '.join(lacking[:_SHOWN])}{more}; give the options that it was begun with, or "
                "begin a new run"
            )
        self.run = resuming.take_up(self.run.path)
        self._begun = True
        left = len(resuming.left(self.run, self.meta))
        of = f" of {plural(len(self.meta.cells), 'cell')}" if self.meta.cells else ""
        what = f"{left}{of} left to run" if of else "cells that it has are kept"
        return f"run {self.run.path.name} is resumed: {what}"

    def kept(self, session: Session, cell: CellItem) -> Observation | None:
        """Return what the run has of a cell, if that is what the cell would be of today.

        Otherwise whatever it has is removed, and why is said.

        Raises:
            StoreError: it cannot be removed.
        """
        earlier = self.run.find_cell(cell.nodeid)
        why = _changed(session, cell, earlier) if earlier is not None else ""
        if earlier is not None and not why:
            return earlier
        if why:
            session.progress.say(f"{cell.nodeid}: run again, {why}")
        resuming.forget(self.run, cell.nodeid)
        return None

    def repeats(self, node_id: str) -> dict[int, Observation]:
        """Return the further runs that there are of a cell that was kept, by their number."""
        return {one.repeat: one for one in self.run.find_repeats(node_id)}


def take_part(config: pytest.Config, run: Path) -> None:
    """Let no other session resume a run until this one has written all of it."""
    held = ExitStack()
    config.add_cleanup(held.close)
    held.enter_context(resuming.taking_part(run))


def _item_of(id: str) -> str:
    """Return the id of a cell's item: further guests of a Python test have a number after it."""
    return re.sub(r"(?<=\]) \(\d+\)$", "", id)


def resumed_of(config: pytest.Config) -> Resumed | None:
    """Return the run that a session takes up; None: it begins its own.

    Raises:
        UsageError: there is no such run.
    """
    name = config.getoption("resume")
    return Resumed(resuming.find(settings.results_of(config), name)) if name else None


def _changed(session: Session, cell: CellItem, earlier: Observation) -> str:
    """Return what of a cell is no longer what it was; what cannot be had now did not change."""
    laboratory = session.laboratory
    asked = laboratory.asked(cell.scenario)
    if scenario_digest(asked) != earlier.scenario_digest:
        return "its scenario is another text"
    if earlier.verdict in (Verdict.SKIPPED, Verdict.UNSUPPORTED):
        return ""
    ready: Ready | None = None
    image: Image | None = None
    with suppress(HarnessError):
        ready = laboratory.ready(with_engine(asked, cell.entry))
        image = laboratory.image(cell.image)
    if ready is None or image is None:
        return ""
    return ", and ".join(_differing(ready, image, earlier))


def _differing(ready: Ready, image: Image, earlier: Observation) -> Iterator[str]:
    on = earlier.environment
    if on is None:
        if earlier.verdict is Verdict.UNAVAILABLE:
            yield "what was unavailable can be had now"
        return
    if on.image_digest != image.digest:
        yield "its image is another build"
    if on.kernel_digest != ready.machine.host.kernel.digest:
        yield "its kernel is another build"
