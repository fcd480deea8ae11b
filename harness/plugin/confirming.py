"""Run what a finding rests on once more, so that rare noise is not reported as a difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.plugin.comparing import Comparing
from harness.plugin.repeating import Again
from harness.report.plain import plural
from harness.results.runs import RunDir

if TYPE_CHECKING:
    from harness.plugin.reports import CellReport
    from harness.plugin.session import Session


def confirm(
    session: Session, comparing: Comparing, cells: Sequence[CellReport], run: RunDir
) -> None:
    """Run both sides of every finding again; ``comparing`` remembers what was observed."""
    ids = comparing.to_confirm(comparing.compare(cells, run.path.name))
    again = list(_again(session, comparing, cells, ids))
    if not again:
        return
    session.progress.say(f"differences: {plural(len(again), 'cell')} run once more")
    with session.lent(run) if session.run is None else nullcontext():
        try:
            seen = session.all_once_more(again)
        except HarnessError as error:
            session.progress.say(f"differences: not run once more: {error}")
            return
    for id, observation in seen.items():
        comparing.repeats.setdefault(id, []).append(observation)


def _again(
    session: Session, comparing: Comparing, cells: Sequence[CellReport], ids: Sequence[str]
) -> Iterator[Again]:
    by_id = {cell.observation.id: cell for cell in cells}
    entries = {entry.name: entry for entry in session.entries}
    for id in ids:
        cell = by_id.get(id) or comparing.lender.twin(id)
        if cell is None or cell.scenario is None:
            continue  # a Python test is run once: it may not be its observation alone
        own = id in by_id
        yield Again(
            id=id,
            scenario=cell.scenario,
            image=cell.observation.image,
            entry=entries[cell.observation.kernel] if own else comparing.baseline,
            number=(len(cell.repeats) if own else 0) + 1,
        )
