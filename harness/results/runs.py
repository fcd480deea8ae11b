"""Runs on disk: ``results/RUN/`` with run.json, one file a cell, repeats, and console logs.

Every file is written as soon as its content is known, beside its place and renamed. Any
number of processes may write cells of one run; run.json has one owner, the controller.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from harness.errors import StoreError
from harness.findings import Comparison
from harness.model.observations import Observation
from harness.results.codec import decode, encode
from harness.results.files import link_whole, sweep, translated, write_whole
from harness.results.meta import Problem, Run, RunMeta, RunRef

RECORD = "run.json"
COMPARISON = "comparison.json"
LATEST = "latest"
_CELLS = "cells"
_REPEATS = "repeats"
_CONSOLES = "consoles"
RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
_SLUG = 80
T = TypeVar("T")


def utc_now() -> str:
    """Return now in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_run_id(now: datetime) -> str:
    """Return an id that sorts by time, also within a second: ``20261124T203015Z-ab12``.

    Its end counts parts of the second, 65,536 of them.
    """
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{now.microsecond * 65536 // 10**6:04x}"


def cell_name(node_id: str) -> str:
    """Return the file name, without suffix, of the cell with this pytest node id.

    The readable part may be the same for two cells; the hash of the whole id is not.
    """
    file, _, rest = node_id.partition("::")
    readable = f"{Path(file).stem}-{rest}" if rest else file
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", readable)[:_SLUG].strip("-.") or "cell"
    return f"{slug}-{hashlib.sha256(node_id.encode(errors='replace')).hexdigest()[:8]}"


class RunDir:
    """One run's directory, open for writing; a worker joins a run with its path alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, results: Path, meta: RunMeta) -> RunDir:
        """Begin a run below ``results`` and let ``latest`` point to it.

        ``meta`` needs neither ``id`` nor ``started``; both are set here.

        Raises:
            StoreError: ``results`` is not writable or has no room.
        """
        make_results(results)
        while True:
            now = datetime.now(UTC)
            path = results / new_run_id(now)
            try:
                with translated(path):
                    path.mkdir()
                break
            except StoreError as error:
                if not isinstance(error.__cause__, FileExistsError):
                    raise
        run = cls(path)
        with translated(path):
            (path / _CELLS).mkdir()
            (path / _CONSOLES).mkdir()
        run.write_meta(replace(meta, id=path.name, started=now.isoformat(timespec="seconds")))
        link_whole(results / LATEST, path.name)
        return run

    @classmethod
    def join(cls, path: Path, meta: RunMeta) -> RunDir:
        """Take part in a run whose id was chosen elsewhere; whoever comes first makes it.

        ``meta`` is what there is to say of it at its beginning, for the one who does.

        Raises:
            StoreError: it is not writable or has no room.
        """
        make_results(path.parent)
        with translated(path):
            (path / _CELLS).mkdir(parents=True, exist_ok=True)
            (path / _CONSOLES).mkdir(exist_ok=True)
        run = cls(path)
        if not (path / RECORD).exists():  # who else comes first writes the same
            run.write_meta(replace(meta, id=path.name))
            run.announce()
        return run

    def announce(self) -> None:
        """Let ``latest`` point to this run."""
        link_whole(self.path.parent / LATEST, self.path.name)

    def directories(self) -> tuple[Path, ...]:
        """Return the directories of a run's files."""
        return tuple(self.path / name for name in (_CELLS, _REPEATS, _CONSOLES))

    def cell_path(self, node_id: str) -> Path:
        """Return where the cell's file is or would be."""
        return self.path / _CELLS / f"{cell_name(node_id)}.json"

    def repeat_path(self, node_id: str, number: int) -> Path:
        """Return where the file of a cell's further run is or would be; ``number`` from 1 on."""
        return self.path / _REPEATS / f"{cell_name(node_id)}.r{number}.json"

    def console_path(self, node_id: str, repeat: int = 0) -> Path:
        """Return where the console log of the cell, or of a further run, is or would be."""
        end = f".r{repeat}" if repeat else ""
        return self.path / _CONSOLES / f"{cell_name(node_id)}{end}.log"

    def write_cell(self, observation: Observation) -> Path:
        """Write an observation, in place of an earlier one of the same cell and repeat."""
        path = self.cell_path(observation.id)
        if observation.repeat:
            path = self.repeat_path(observation.id, observation.repeat)
            with translated(path):
                path.parent.mkdir(exist_ok=True)
        write_whole(path, encode(observation))
        return path

    def find_cell(self, node_id: str) -> Observation | None:
        """Return a cell's observation; None: the run has none that can be read."""
        try:
            return _read_cell(self.cell_path(node_id))
        except StoreError:
            return None

    def find_repeats(self, node_id: str) -> tuple[Observation, ...]:
        """Return the further runs of a cell that can be read."""
        return _read_cells(self.repeat_files(node_id))[0]

    def repeat_files(self, node_id: str) -> tuple[Path, ...]:
        """Return the files of a cell's further runs."""
        return tuple((self.path / _REPEATS).glob(f"{cell_name(node_id)}.r*.json"))

    def write_console(self, node_id: str, log: bytes) -> Path:
        """Write what the serial console of a cell's guest said, byte by byte."""
        path = self.console_path(node_id)
        write_whole(path, log)
        return path

    def write_comparison(self, comparison: Comparison) -> Path:
        """Write what the run's comparison came to, in place of an earlier one."""
        path = self.path / COMPARISON
        write_whole(path, encode(comparison))
        return path

    def read_meta(self) -> RunMeta:
        """Read run.json.

        Raises:
            StoreError: it is missing or unreadable.
        """
        return _read_meta(self.path)

    def write_meta(self, meta: RunMeta) -> None:
        """Write run.json; for the controller alone."""
        write_whole(self.path / RECORD, encode(meta))

    def finish(self, meta: RunMeta, counts: Mapping[str, int], exit_status: int) -> RunMeta:
        """Write run.json for the last time: from here on the run counts as completed."""
        for directory in (self.path, *self.directories()):
            sweep(directory)
        done = replace(meta, finished=utc_now(), counts=dict(counts), exit_status=exit_status)
        self.write_meta(done)
        return done


def load_run(path: Path) -> Run:
    """Read a run; a file of it that is missing or corrupt becomes a problem and costs no other.

    Raises:
        StoreError: there is no directory at ``path``.
    """
    path = path.resolve()
    if not path.is_dir():
        raise StoreError(f"there is no run at {path}")
    problems = []
    try:
        meta = _read_meta(path)
    except StoreError as error:
        meta = RunMeta(id=path.name)
        problems.append(Problem(path=path / RECORD, text=str(error)))
    observations, unread = _read_cells((path / _CELLS).glob("*.json"))
    repeats, unread_repeats = _read_cells((path / _REPEATS).glob("*.json"))
    return Run(
        path=path,
        meta=meta,
        observations=observations,
        problems=(*problems, *unread, *unread_repeats),
        repeats=repeats,
    )


def load_comparison(path: Path) -> Comparison | None:
    """Read the comparison of the run at ``path``; None: it has none.

    Raises:
        StoreError: it is unreadable.
    """
    file = path / COMPARISON
    if not file.exists():
        return None
    return _explained(file, lambda: decode(Comparison, file.read_bytes()))


def find_runs(results: Path) -> tuple[RunRef, ...]:
    """Return the runs below ``results``, oldest first; none when there is no such directory."""
    found = []
    for path in sorted(results.glob("*")):
        if path.is_symlink() or not path.is_dir() or not RUN_ID.fullmatch(path.name):
            continue
        try:
            meta = _read_meta(path)
        except StoreError:
            meta = None
        found.append(RunRef(path=path, meta=meta))
    return tuple(found)


def make_results(results: Path) -> None:
    """Make the directory of runs, kept out of version control; leave one alone that is there.

    Raises:
        StoreError: it cannot be made.
    """
    with translated(results):
        if results.is_dir():
            return
        results.mkdir(parents=True, exist_ok=True)
    # Made by us in somebody's repository: runs are not for their version control.
    write_whole(results / ".gitignore", b"*\n")


def _read_meta(path: Path) -> RunMeta:
    file = path / RECORD
    return _explained(file, lambda: decode(RunMeta, file.read_bytes()))


def _read_cells(
    files: Iterable[Path],
) -> tuple[tuple[Observation, ...], tuple[Problem, ...]]:
    observations, problems = [], []
    for file in sorted(files):
        try:
            observations.append(_read_cell(file))
        except StoreError as error:
            problems.append(Problem(path=file, text=str(error)))
    return tuple(observations), tuple(problems)


def _read_cell(file: Path) -> Observation:
    return _explained(file, lambda: decode(Observation, file.read_bytes()))


def _explained(file: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror or error}") from error
    except StoreError as error:
        raise StoreError(f"{file}: {error}") from error
