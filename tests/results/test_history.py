from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from observations import failure, observation, redis_broken

from harness.errors import StoreError
from harness.findings import Finding, Kind, Side
from harness.model.observations import Observation, Verdict
from harness.results.history import Counted, History, State
from harness.results.meta import RunMeta

META = RunMeta(
    id="20261101T023000Z-0001",
    started="2026-11-01T02:30:00+00:00",
    finished="2026-11-01T03:30:00+00:00",
    night=True,
    exit_status=0,
    qemu="10.0.2",
)


def counted(seen: Observation, state: State = State.OK) -> Counted:
    return Counted(observation=seen, state=state, kind=seen.verdict.value, enosys=0)


def finding(seen: Observation, kind: Kind = Kind.CHANGED) -> Finding:
    side = Side(run=META.id, cell=seen.id, kernel=seen.kernel)
    return Finding(
        scenario=seen.scenario,
        file=seen.file,
        image=seen.image,
        kind=kind,
        before=replace(side, run="20261031T023000Z-0000"),
        after=side,
    )


def test_what_is_taken_in_comes_out_again(tmp_path: Path) -> None:
    cells = (redis_broken(), observation(failures=(failure(),)))
    with History.open(tmp_path) as history:
        history.take_in(META, map(counted, cells), [finding(cells[0])])
    with History.open(tmp_path) as history:
        run = history.run(META.id)
        assert run is not None
        assert run.meta == META
        assert run.observations == cells
        assert history.observations(META.id, cells[1].id) == (cells[1],)
        assert history.findings(META.id) == (finding(cells[0]),)
        (row,) = history.runs()
        assert (row.id, row.night, row.states) == (META.id, True, {State.OK: 2})
        assert history.run("20261101T023000Z-ffff") is None
        assert history.observations(META.id, "other.yaml::x[y-z]") == ()


def test_a_run_that_was_resumed_takes_the_place_of_what_was_known_of_it(tmp_path: Path) -> None:
    first, second = observation("5.10"), observation("6.1")
    later = replace(META, finished="2026-11-01T09:00:00+00:00", resumed=("2026-11-01T08:00",))
    with History.open(tmp_path) as history:
        history.take_in(META, [counted(first)], [finding(first)])
        assert history.has(META)
        assert not history.has(later)
        history.take_in(later, [counted(first), counted(second)])
        assert history.has(META)
        assert history.has(later)
        (row,) = history.runs()
        assert sum(row.states.values()) == 2
        assert history.findings(META.id) == ()


def test_a_run_that_has_not_ended_is_not_taken_in(tmp_path: Path) -> None:
    with History.open(tmp_path) as history:
        with pytest.raises(StoreError, match="has not ended"):
            history.take_in(replace(META, finished=""), [])
        assert history.runs() == ()


def test_a_run_is_taken_in_whole_or_not_at_all(tmp_path: Path) -> None:
    def cells() -> list[Counted]:
        return [counted(observation("5.10")), counted(observation("5.10"))]  # the same cell twice

    with pytest.raises(StoreError, match="UNIQUE"), History.open(tmp_path) as history:
        history.take_in(META, cells())
    with History.open(tmp_path) as history:
        assert history.runs() == ()
        assert history.connection.execute("SELECT count(*) FROM outcomes").fetchone() == (0,)


@pytest.mark.parametrize(("status", "is_one"), [(0, True), (1, True), (6, True), (2, False)])
def test_a_night_counts_as_one_when_it_came_to_its_end(
    tmp_path: Path, status: int, is_one: bool
) -> None:
    with History.open(tmp_path) as history:
        history.take_in(replace(META, exit_status=status), [])
        history.take_in(replace(META, id="20261102T023000Z-0002", night=False), [])
        assert history.nights(9) == ((META.id,) if is_one else ())


def test_nights_come_newest_first_whenever_they_were_taken_in(tmp_path: Path) -> None:
    ids = [f"202611{day:02}T023000Z-0000" for day in (3, 1, 4, 2)]
    with History.open(tmp_path) as history:
        for id in ids:
            history.take_in(replace(META, id=id), [])
        assert history.nights(2) == (ids[2], ids[0])
        assert history.nights(9, before=ids[0]) == (ids[3], ids[1])
        assert [row.id for row in history.runs()] == sorted(ids)


def test_verdicts_outlive_the_observations_that_are_dropped(tmp_path: Path) -> None:
    other = replace(META, id="20261102T023000Z-0002")
    seen = redis_broken()
    with History.open(tmp_path) as history:
        history.take_in(META, [counted(seen, State.BROKEN)], [finding(seen)])
        history.take_in(other, [counted(seen, State.BROKEN)])
        assert history.drop_observations([other.id]) == 1
        assert history.observations(META.id, seen.id) == ()
        assert history.observations(other.id, seen.id) == (seen,)
        assert history.runs()[0].states == {State.BROKEN: 1}
        assert len(history.findings(META.id)) == 1


def test_text_that_is_not_unicode_is_kept_with_escapes(tmp_path: Path) -> None:
    seen = observation(verdict=Verdict.FAILED, reason="said \udcff", scenario="odd\udcfe")
    with History.open(tmp_path) as history:
        history.take_in(META, [counted(seen, State.BROKEN)])
        (kept,) = history.observations(META.id, seen.id)
        assert kept.reason == "said \\udcff"


def test_further_runs_of_a_cell_come_with_it(tmp_path: Path) -> None:
    first = observation()
    again = [replace(first, repeat=number, reason=f"run {number}") for number in (2, 1)]
    with History.open(tmp_path) as history:
        history.take_in(META, [counted(first)], repeats=again)
        assert history.observations(META.id, first.id) == (first, again[1], again[0])
        run = history.run(META.id)
        assert run is not None
        assert (run.observations, run.repeats) == ((first,), (again[1], again[0]))
