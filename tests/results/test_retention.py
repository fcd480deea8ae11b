from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from pastnights import FIRST, cell, record, run_id

from harness.intake import take_in_missing
from harness.results.history import History
from harness.results.retention import drop_runs
from harness.results.runs import RunDir, find_runs


def left(results: Path) -> list[str]:
    return [ref.path.name for ref in find_runs(results)]


def sweep(results: Path, keep_days: float, at_night: int) -> list[str]:
    """Apply the retention; return what it removed."""
    now = FIRST + timedelta(days=at_night, hours=1)
    with History.open(results) as history:
        take_in_missing(history, results)
        return [ref.path.name for ref in drop_runs(results, history, keep_days, now)]


def test_old_runs_go_and_what_became_of_their_cells_stays(tmp_path: Path) -> None:
    for night in range(6):
        record(tmp_path, night, [cell("one"), cell("two")])
    assert sweep(tmp_path, 3, at_night=5) == [run_id(0), run_id(1), run_id(2)]
    assert left(tmp_path) == [run_id(3), run_id(4), run_id(5)]
    assert not list(tmp_path.glob(".gone-*"))
    with History.open(tmp_path) as history:
        assert len(history.runs()) == 6
        assert history.observations(run_id(2), cell("one").id) == ()
        assert history.observations(run_id(3), cell("one").id) == (cell("one"),)
    assert sweep(tmp_path, 3, at_night=5) == []


def test_the_last_night_and_the_newest_run_stay_whatever_their_age(tmp_path: Path) -> None:
    record(tmp_path, 0, [cell("one")])
    record(tmp_path, 1, [cell("one")])
    record(tmp_path, 2, [cell("one")], night=False)
    record(tmp_path, 3, [cell("one")], night=False)
    assert sweep(tmp_path, 0, at_night=300) == [run_id(0), run_id(2)]
    with History.open(tmp_path) as history:
        assert history.observations(run_id(1), cell("one").id) == (cell("one"),)


def test_the_run_that_latest_points_to_stays(tmp_path: Path) -> None:
    for night in range(3):
        record(tmp_path, night, [cell("one")])
    RunDir(tmp_path / run_id(0)).announce()
    assert sweep(tmp_path, 0, at_night=300) == [run_id(1)]


def test_a_run_that_goes_on_stays_and_one_that_was_cut_off_goes(tmp_path: Path) -> None:
    for night in (0, 1):
        record(tmp_path, night, [cell("one")], finished="")
    record(tmp_path, 2, [cell("one")])
    for path in (tmp_path / run_id(0), tmp_path / run_id(0) / "cells"):
        os.utime(path, (0, 0))
    assert sweep(tmp_path, 0, at_night=300) == [run_id(0)]


def test_a_run_that_the_history_lacks_stays(tmp_path: Path) -> None:
    for night in range(3):
        record(tmp_path, night, [cell("one")])
    now = FIRST + timedelta(days=300)
    with History.open(tmp_path) as history:
        assert drop_runs(tmp_path, history, 0, now) == ()
    assert len(left(tmp_path)) == 3


def test_what_a_killed_removal_left_is_removed(tmp_path: Path) -> None:
    record(tmp_path, 0, [cell("one")])
    (tmp_path / run_id(0)).rename(tmp_path / f".gone-{run_id(0)}")
    record(tmp_path, 1, [cell("one")])
    assert sweep(tmp_path, 30, at_night=1) == []
    assert not list(tmp_path.glob(".gone-*"))
