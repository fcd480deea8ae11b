"""Further runs of a cell: they show what is noise, and whether tracing changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.model.hosts import HostEntry
from harness.model.observations import Observation
from harness.model.scenarios import Scenario
from harness.verdicts.views import RAN

if TYPE_CHECKING:
    from harness.plugin.items import CellItem
    from harness.plugin.reports import CellReport
    from harness.plugin.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A further run to make; ``number`` is from 1 on."""

    id: str
    scenario: Scenario
    image: str
    entry: HostEntry
    number: int
    traced: bool = True


def repeats_of(session: Session, cell: CellItem, first: Observation) -> tuple[Observation, ...]:
    """Run a cell as often again as is asked for; not at all if nothing could be learnt."""
    if first.verdict not in RAN:
        return ()
    had = session.resumed.repeats(cell.nodeid) if session.resumed else {}
    return tuple(
        had.get(again.number) or once_more(session, again) for again in _wanted(session, cell)
    )


def once_more(session: Session, again: Again) -> Observation:
    """Run a cell again, record it beside the first, and return what was observed.

    Raises:
        HarnessError: it cannot be recorded, or the session ends.
    """
    run = session.recorded()
    log = run.console_path(again.id, again.number)
    seen = session.laboratory.observe(
        again.id, again.scenario, again.image, again.entry, log, traced=again.traced
    )
    session.refuse_when_ended()
    seen = replace(seen, repeat=again.number)
    run.write_cell(seen)
    return seen


def _wanted(session: Session, cell: CellItem) -> Iterator[Again]:
    wanted, comparing = session.wanted, session.comparing
    repeated = comparing is None or cell.entry == comparing.baseline
    times = wanted.repeat if repeated else 1
    for number in range(1, times + wanted.check_untraced):
        yield Again(
            id=cell.nodeid,
            scenario=cell.scenario,
            image=cell.image,
            entry=cell.entry,
            number=number,
            traced=number < times,
        )


def observer_lines(cells: Iterable[CellReport]) -> tuple[str, ...]:
    """Return a sentence on each cell whose verdict is another one without tracing."""
    return tuple(
        f"{first.image}, {first.scenario} on {first.kernel}: {first.verdict.value} with tracing, "
        f"{again.verdict.value} without"
        for first, again in ((cell.observation, again) for cell in cells for again in cell.repeats)
        if again.traced != first.traced and again.verdict is not first.verdict
    )
