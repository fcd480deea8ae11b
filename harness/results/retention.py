"""How long runs are kept whole; what became of their cells stays in the history for ever."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.results.files import translated
from harness.results.history import History
from harness.results.meta import RunRef
from harness.results.runs import LATEST, find_runs

KEEP_DAYS = 30.0
"""Days that runs, and whatever of the store is not used, are kept unless told otherwise."""
_GONE = ".gone-"
_IDLE = 86400.0
"""Seconds without a new cell after which a run without an end was cut off."""


def drop_runs(
    results: Path, history: History, keep_days: float, now: datetime
) -> tuple[RunRef, ...]:
    """Remove runs older than ``keep_days`` days, and their observations in the history.

    The newest run, the one that ``latest`` points to, the last completed night, runs that go on
    and runs that ended but that the history has not taken in are kept whatever their age.

    Raises:
        StoreError: a run cannot be removed, or the history cannot be written.
    """
    oldest = (now - timedelta(days=keep_days)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    nights = history.nights(1)
    runs = find_runs(results)
    pinned = {*nights, _latest(results), *(ref.path.name for ref in runs[-1:])}
    gone = tuple(
        ref
        for ref in runs
        if ref.path.name < oldest and ref.path.name not in pinned and _is_over(ref, history)
    )
    for ref in gone:
        _remove(ref.path)
    for litter in results.glob(f"{_GONE}*"):
        shutil.rmtree(litter, ignore_errors=True)
    kept = {row.id for row in history.runs() if row.id >= oldest}
    history.drop_observations(kept | pinned)
    return gone


def _latest(results: Path) -> str:
    return (results / LATEST).resolve().name


def _is_over(ref: RunRef, history: History) -> bool:
    if ref.completed and ref.meta is not None:
        return history.has(ref.meta)
    return time.time() - _touched(ref.path) > _IDLE


def _touched(run: Path) -> float:
    times = [run.stat().st_mtime]
    with suppress(OSError):
        times.append((run / "cells").stat().st_mtime)
    return max(times)


def _remove(run: Path) -> None:
    """Remove a run at once for whoever looks for runs, and its files after that."""
    aside = run.with_name(f"{_GONE}{run.name}")
    with translated(run):
        run.rename(aside)
        shutil.rmtree(aside)
