"""The history: what became of every cell in every run, in ``results/history.sqlite``.

The runs' own files are the truth. A run is taken in when it ends; one that was not (the history
was locked, say) can be taken in later, for as long as its directory is there. Verdicts stay for
ever; whole observations only as long as :mod:`harness.results.retention` says.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from harness.errors import StoreError
from harness.findings import Finding, Kind
from harness.model.observations import Observation
from harness.results.codec import decode, encode
from harness.results.database import PATIENCE, opened, transaction
from harness.results.meta import Run, RunMeta
from harness.results.runs import make_results

HISTORY = "history.sqlite"
COMPLETED = (0, 1, 6)
"""Exit statuses of a session that ran all that it selected (docs/outcomes.md)."""
_REASON = 300
"""Characters kept of a cell's reason."""
_LARGEST = 1 << 28
"""Bytes of JSON at most: a cell keeps 256 KiB of each output."""
T = TypeVar("T")


class State(StrEnum):
    """What a cell of one run says about its image on its kernel."""

    OK = "ok"
    """Met its expectations."""
    BROKEN = "broken"
    KNOWN = "known"
    """Broken, and a known difference says so."""
    LOST = "lost"
    """Its guest was lost: nothing was learnt."""
    UNAVAILABLE = "unavailable"
    """Its kernel or its image could not be had."""
    NONE = "none"
    """Not to be run here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A cell as it is taken in: what it was and what it counts as."""

    observation: Observation
    state: State
    kind: str
    """The matrix's words, by which cells are counted."""
    enosys: int
    """Distinct ENOSYS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run in the history."""

    id: str
    started: str
    finished: str
    night: bool
    """Whether it was a nightly run that came to its end."""
    states: Mapping[State, int]
    """How many cells there are of each state."""


class History:
    """An open history; see :meth:`open`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    @classmethod
    @contextmanager
    def open(cls, results: Path, *, patience: float = PATIENCE) -> Iterator[History]:
        """Open the history of a results directory, and make it where it is not there.

        ``patience`` is in seconds.

        Raises:
            StoreError: it is locked, damaged, of a newer harness or cannot be written; also
                from within the block.
        """
        make_results(results)
        with opened(results / HISTORY, patience=patience) as connection:
            yield cls(connection)

    def has(self, meta: RunMeta) -> bool:
        """Whether a run was taken in as it now is; a resumed one has a later end."""
        found = self.connection.execute(
            "SELECT 1 FROM runs WHERE id = ? AND finished >= ?", (meta.id, meta.finished)
        )
        return found.fetchone() is not None

    def take_in(
        self,
        meta: RunMeta,
        cells: Iterable[Counted],
        findings: Iterable[Finding] = (),
        repeats: Iterable[Observation] = (),
    ) -> None:
        """Take in a run that ended, whole or not at all, in place of what is known of it.

        Raises:
            StoreError: the run has not ended.
            sqlite3.Error: it cannot be written; :meth:`open` translates it.
        """
        if not meta.finished:
            raise StoreError(
                f"the run {meta.id} has not ended: the history takes it in when it has"
            )
        night = meta.night and meta.exit_status in COMPLETED
        with transaction(self.connection):
            self.connection.execute("DELETE FROM runs WHERE id = ?", (meta.id,))
            self.connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?)",
                (meta.id, meta.started, meta.finished, night, _packed(meta)),
            )
            for cell in cells:
                self._insert(meta.id, cell)
            for repeat in repeats:
                self._keep(meta.id, self._cell_of(repeat), repeat)
            self._insert_findings(meta.id, findings)

    def add_findings(self, run: str, findings: Iterable[Finding]) -> None:
        """Add findings to a run that was taken in, in place of earlier ones of the same sides.

        That a cell is the same is not kept.
        """
        with transaction(self.connection):
            self._insert_findings(run, findings)

    def _insert(self, run: str, counted: Counted) -> None:
        seen = counted.observation
        cell = self._cell_of(seen)
        values = (
            cell,
            run,
            self._build(seen),
            counted.state.value,
            counted.kind,
            counted.enosys,
            _text(seen.reason[:_REASON]),
        )
        self.connection.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        self._keep(run, cell, seen)

    def _keep(self, run: str, cell: int, seen: Observation) -> None:
        self.connection.execute(
            "INSERT INTO observations VALUES (?, ?, ?, ?)", (run, cell, seen.repeat, _packed(seen))
        )

    def _insert_findings(self, run: str, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.kind is Kind.SAME:
                continue
            before, after = finding.before, finding.after
            cell = self._cell(
                after.cell, finding.file, finding.scenario, finding.image, after.kernel
            )
            self.connection.execute(
                "INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?, ?, ?)",
                (run, cell, before.run, before.kernel, finding.kind.value, _packed(finding)),
            )

    def _cell_of(self, seen: Observation) -> int:
        return self._cell(seen.id, seen.file, seen.scenario, seen.image, seen.kernel)

    def _cell(self, *names: str) -> int:
        """Return the number of a cell: its id, file, scenario, image and kernel are given."""
        words = tuple(map(_text, names))
        self.connection.execute(
            "INSERT OR IGNORE INTO cells (id, file, scenario, image, kernel)"
            " VALUES (?, ?, ?, ?, ?)",
            words,
        )
        found = self.connection.execute("SELECT number FROM cells WHERE id = ?", words[:1])
        return int(found.fetchone()[0])

    def _build(self, seen: Observation) -> int:
        on = seen.environment
        facts = (on.release, on.kernel_digest, on.image_digest) if on else ("", "", "")
        values = (*facts, seen.scenario_digest)
        self.connection.execute(
            "INSERT OR IGNORE INTO builds"
            " (release, kernel_digest, image_digest, scenario_digest) VALUES (?, ?, ?, ?)",
            values,
        )
        found = self.connection.execute(
            "SELECT number FROM builds WHERE (release, kernel_digest, image_digest,"
            " scenario_digest) = (?, ?, ?, ?)",
            values,
        )
        return int(found.fetchone()[0])

    def runs(self) -> tuple[RunRow, ...]:
        """Return every run, oldest first."""
        counts: dict[str, dict[State, int]] = {}
        for run, state, count in self.connection.execute(
            "SELECT run, state, count(*) FROM outcomes GROUP BY run, state"
        ):
            counts.setdefault(run, {})[State(state)] = count
        return tuple(
            RunRow(
                id=id,
                started=started,
                finished=finished,
                night=bool(night),
                states=counts.get(id, {}),
            )
            for id, started, finished, night in self.connection.execute(
                "SELECT id, started, finished, night FROM runs ORDER BY id"
            )
        )

    def kinds(self, ids: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
        """Return how many cells of each kind these runs had, in the matrix's words."""
        counts: dict[str, dict[str, int]] = {id: {} for id in ids}
        marks = ", ".join("?" * len(counts))
        for run, kind, count in self.connection.execute(
            f"SELECT run, kind, count(*) FROM outcomes WHERE run IN ({marks})"  # noqa: S608
            " GROUP BY run, kind",
            tuple(counts),
        ):
            counts[run][kind] = count
        return counts

    def nights(self, limit: int, before: str = "") -> tuple[str, ...]:
        """Return the ids of the last ``limit`` nights that ended, newest first.

        Only nights before the run ``before``, where it is given.
        """
        found = self.connection.execute(
            "SELECT id FROM runs WHERE night AND (? = '' OR id < ?) ORDER BY id DESC LIMIT ?",
            (before, before, limit),
        )
        return tuple(id for (id,) in found)

    def run(self, id: str) -> Run | None:
        """Return a run with its observations, as far as they are kept; None: not known.

        Raises:
            StoreError: it was written by a newer harness.
        """
        found = self.connection.execute("SELECT meta FROM runs WHERE id = ?", (id,)).fetchone()
        if found is None:
            return None
        rows = self.connection.execute(
            "SELECT data FROM observations WHERE run = ? ORDER BY cell, repeat", (id,)
        )
        seen = [_unpacked(Observation, data) for (data,) in rows]
        return Run(
            path=Path(id),
            meta=_unpacked(RunMeta, found[0]),
            observations=tuple(one for one in seen if not one.repeat),
            repeats=tuple(one for one in seen if one.repeat),
        )

    def observations(self, run: str, cell: str) -> tuple[Observation, ...]:
        """Return what was observed of a cell, then of further runs of it.

        Nothing where it was not run, or is no longer kept.
        """
        found = self.connection.execute(
            "SELECT data FROM observations JOIN cells ON number = cell WHERE run = ? AND id = ?"
            " ORDER BY repeat",
            (run, _text(cell)),
        )
        return tuple(_unpacked(Observation, data) for (data,) in found)

    def findings(self, run: str) -> tuple[Finding, ...]:
        """Return the findings of a run."""
        found = self.connection.execute(
            "SELECT data FROM findings WHERE run = ? ORDER BY cell", (run,)
        )
        return tuple(_unpacked(Finding, data) for (data,) in found)

    def drop_observations(self, keep: Iterable[str]) -> int:
        """Drop the whole observations of all runs but ``keep``; verdicts and findings stay.

        Returns how many were dropped. The file does not shrink: SQLite fills the room anew.
        """
        kept = tuple(keep)
        marks = ", ".join("?" * len(kept))
        with transaction(self.connection):
            dropped = self.connection.execute(
                f"DELETE FROM observations WHERE run NOT IN ({marks})",  # noqa: S608 - marks only
                kept,
            )
            return dropped.rowcount


def _packed(value: object) -> bytes:
    return zlib.compress(encode(value))


def _unpacked(kind: type[T], data: bytes) -> T:
    """Return what :func:`_packed` made of a ``kind``.

    Raises:
        StoreError: it is no such thing, is larger than anything, or of a newer harness.
    """
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(data, _LARGEST)
    except zlib.error as error:
        raise StoreError(f"a damaged {kind.__name__}: {error}") from error
    if not unpacking.eof:
        raise StoreError(
            f"a damaged {kind.__name__}: cut short, or larger than {_LARGEST >> 20} MiB"
        )
    return decode(kind, plain)


def _text(words: str) -> str:
    """Return text that UTF-8 can hold, as the runs' own files have it."""
    return words.encode("utf-8", "backslashreplace").decode()
