"""Nights that were, for tests: runs as a session leaves them on disk, one a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from observations import observation

from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Known
from harness.results.files import link_whole
from harness.results.meta import RunMeta
from harness.results.runs import LATEST, RunDir, new_run_id

FIRST = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)


def run_id(night: int) -> str:
    """Return the id of the run of the night with this number."""
    return new_run_id(FIRST + timedelta(days=night))


def cell(name: str, verdict: Verdict = Verdict.PASSED, **other: Any) -> Observation:
    """Return a cell by its scenario's name."""
    reason = "" if verdict is Verdict.PASSED else f"{name}: {verdict.value}"
    return observation("5.10", name, verdict=verdict, **({"reason": reason} | other))


def record(
    results: Path,
    number: int,
    cells: Iterable[Observation],
    *,
    known: Mapping[str, Known] | None = None,
    **other: Any,
) -> str:
    """Write the run of a night that came to its end; return its id."""
    id = run_id(number)
    began = FIRST + timedelta(days=number)
    run = RunDir.join(results / id, RunMeta())
    for each in cells:
        run.write_cell(each)
    facts: dict[str, Any] = {
        "night": True,
        "started": began.isoformat(),
        "finished": (began + timedelta(hours=1)).isoformat(),
        "exit_status": 0,
        "known": dict(known or {}),
    }
    run.write_meta(RunMeta(id=id, **(facts | other)))
    link_whole(results / LATEST, id)
    return id
