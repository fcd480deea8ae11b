"""Runs that were cut off: which there are, what they lack, and how one is taken up again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness import held
from harness.errors import StoreError, UsageError
from harness.results.files import link_whole, sweep, translated
from harness.results.history import COMPLETED
from harness.results.meta import RunMeta
from harness.results.runs import LATEST, RunDir, find_runs, utc_now

PATIENCE = 10.0
"""Seconds in which the workers of a session that was killed end, too."""
_SHOWN = 8


def find(results: Path, name: str) -> Path:
    """Return the directory of a run by its id, the beginning of one that no other has, or latest.

    Raises:
        UsageError: there is no such run, or more than one; the text names those that there are.
    """
    known = [ref.path.name for ref in find_runs(results)]
    wanted = (results / LATEST).resolve().name if name == LATEST else name
    exact = [id for id in known if id == wanted]
    found = exact or [id for id in known if wanted and id.startswith(wanted)]
    if len(found) == 1:
        return results / found[0]
    if found:
        raise UsageError(f"--resume={name} may be {', '.join(found)}: give more of the id")
    newest = ", ".join(known[: -_SHOWN - 1 : -1])
    others = f" and {len(known) - _SHOWN} older ones" if len(known) > _SHOWN else ""
    there = f"the runs there: {newest}{others}" if known else "there is none yet"
    raise UsageError(f"--resume={name}: no such run in {results}; {there}")


def read(path: Path) -> RunMeta:
    """Return what is recorded of a run; of one whose run.json is lost, no more than its id."""
    try:
        return RunDir(path).read_meta()
    except StoreError:
        return RunMeta(id=path.name)


def left(run: RunDir, meta: RunMeta) -> tuple[str, ...]:
    """Return the ids of the cells that a run was to have and has not."""
    return tuple(id for id in meta.cells if run.find_cell(id) is None)


def complete(run: RunDir, meta: RunMeta) -> bool:
    """Tell whether a run's session ran all that it selected, and came to its own end."""
    if not meta.finished or meta.stopped or meta.exit_status not in COMPLETED:
        return False
    return not left(run, meta)


def take_up(path: Path) -> RunDir:
    """Take up a run that was cut off: the cells it has are kept, new ones join them.

    Raises:
        StoreError: it is not writable.
    """
    run = RunDir(path.resolve())
    meta = replace(read(run.path), finished="", exit_status=None, stopped=False)
    for directory in run.directories():
        with translated(directory):
            directory.mkdir(exist_ok=True)
        sweep(directory)
    sweep(run.path)
    run.write_meta(replace(meta, resumed=(*meta.resumed, utc_now())))
    link_whole(run.path.parent / LATEST, run.path.name)
    return run


def forget(run: RunDir, node_id: str) -> None:
    """Remove all that a run has of a cell, which is to be run anew."""
    files = (run.cell_path(node_id), run.console_path(node_id), *run.repeat_files(node_id))
    for file in files:
        with translated(file):
            file.unlink(missing_ok=True)


@contextmanager
def taking_part(run: Path) -> Iterator[None]:
    """Let nobody take a run for one that was cut off while the block runs.

    The lock is the directory's own, so that nothing of it stays behind, and ends with the process.
    """
    with held.opened(run) as descriptor:
        held.share(descriptor)
        yield


@contextmanager
def claimed(run: Path) -> Iterator[None]:
    """Take part in a run in which nobody else does, while the block runs; others may join then.

    Raises:
        UsageError: somebody does, for longer than the workers of a killed session live.
    """
    with held.opened(run) as descriptor:
        deadline = time.monotonic() + PATIENCE
        while not held.alone(descriptor):
            if time.monotonic() > deadline:
                raise UsageError(
                    f"--resume: the run {run.name} goes on in another process: wait for its end, "
                    "or end it"
                )
            time.sleep(0.1)
        held.share(descriptor)
        yield
