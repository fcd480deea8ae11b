from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli.conftest import Command
from observations import redis_broken
from pastnights import cell, record, run_id

from harness.model.observations import Verdict


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three nights, of which the last goes on."""
    results = tmp_path / "results"
    record(results, 0, [cell("one"), cell("two")])
    record(results, 1, [cell("one"), cell("two", Verdict.FAILED), redis_broken()])
    record(results, 2, [cell("one")], finished="")
    return results


def test_runs_are_taken_in_and_listed_oldest_first(results: Path, harness: Command) -> None:
    for _ in range(2):
        done = harness("history")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert [line.split()[0] for line in lines[1:3]] == [run_id(0), run_id(1)]
        assert lines[2].split()[2:] == ["night", "3", "2", "broken,", "1", "ok"]
        assert lines[3] == f"not ended, so not in the history: {run_id(2)}"


def test_a_history_goes_to_another_directory_and_comes_back(
    results: Path, harness: Command
) -> None:
    done = harness("history", "export", "out.db")
    assert re.fullmatch(r"2 runs, \d+\.\d MB in out\.db\n", done.stdout), done.stderr
    for said in ("2 of 2 runs new\n", "0 of 2 runs new\n"):
        done = harness("history", "--results", "other", "import", "out.db")
        assert done.stdout == said
    done = harness("history", "--results=other")
    assert len(done.stdout.splitlines()) == 3
    done = harness("compare", "--results=other", run_id(0), "last")
    assert "1 broken" in done.stdout
    assert "BROKEN" in done.stdout


def test_two_runs_are_compared_by_the_beginning_of_their_ids(
    results: Path, harness: Command
) -> None:
    done = harness("compare", run_id(0)[:8], str(results / run_id(1)))
    assert done.returncode == 0
    assert "there is nothing to compare it with" in done.stdout
    assert "2 cells compared: 1 broken, 1 same" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("history", "--results=nowhere"), r"there are no runs: nowhere is no directory; .*"),
        (("history", "export", "/nowhere/x"), r"/nowhere/x: there is no directory /nowhere"),
        (("history", "import", "nowhere"), r"nowhere: No such file or directory"),
        (("compare", "1999", "last"), r"there is no run '1999' in results: `harness history` .*"),
        (("compare", "2026", "last"), r"'2026' may be .*, .*: give more of the id"),
        (("compare", "./nowhere", "last"), r"there is no run at .*/nowhere"),
        (("compare", "--results=nowhere", "last", "last"), r"there is no run 'last' in nowhere.*"),
    ],
)
def test_what_is_not_there_is_one_line_with_status_1(
    results: Path, harness: Command, words: tuple[str, ...], said: str
) -> None:
    done = harness(*words)
    assert re.fullmatch(rf"harness: {said}\n", done.stderr), done.stderr
    assert done.returncode == 1


def test_old_runs_go_with_what_of_the_store_is_not_used(results: Path, harness: Command) -> None:
    done = harness("store", "gc", "--keep=0")
    assert done.stdout.endswith("1 runs removed\n")
    assert not (results / run_id(0)).exists()
    done = harness("compare", run_id(0), run_id(1))
    assert "verdicts alone are kept" in done.stderr
