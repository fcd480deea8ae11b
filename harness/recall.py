"""A run by the name that a user gives: from its directory, else from the history."""

from __future__ import annotations

from pathlib import Path

from harness.errors import StoreError, UsageError
from harness.results.history import HISTORY, History
from harness.results.meta import Run
from harness.results.runs import find_runs, load_run

LAST = "last"
"""The newest run that came to its end."""


def find(results: Path, name: str, *, besides: str = "") -> str:
    """Return what :func:`recall` takes: a run's id, or its directory.

    ``name`` is an id, the beginning of one that no other has, a directory, or ``last``, for
    which the answer is empty where there is no run. ``besides`` is an id that is not the last.

    Raises:
        UsageError: there is no such run, or more than one.
        StoreError: the history cannot be read.
    """
    if "/" in name:
        return name
    refs = find_runs(results)
    known = _known(results)
    if name == LAST:
        ended = {*known, *(ref.path.name for ref in refs if ref.completed)} - {besides}
        return max(ended, default="")
    found = sorted(id for id in {*known, *(ref.path.name for ref in refs)} if id.startswith(name))
    if not found:
        raise UsageError(f"there is no run {name!r} in {results}: `harness history` lists them")
    if len(found) > 1:
        raise UsageError(f"{name!r} may be {', '.join(found)}: give more of the id")
    return found[0]


def recall(results: Path, found: str) -> Run:
    """Return a run that was found, with its observations.

    Raises:
        StoreError: it is gone, or the history has no longer its observations.
    """
    path = Path(found) if "/" in found else results / found
    if path.is_dir() or "/" in found:
        return load_run(path)
    with History.open(results) as history:
        run = history.run(found)
    if run is None or not run.observations:
        raise StoreError(
            f"of the run {found} verdicts alone are kept: it is older than the retention lets be"
        )
    return run


def _known(results: Path) -> set[str]:
    if not (results / HISTORY).is_file():
        return set()
    with History.open(results) as history:
        return {row.id for row in history.runs()}
