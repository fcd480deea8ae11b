from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from observations import check, failure, observation, schema, step, unavailable

from harness.findings import Comparison, Kind
from harness.model.observations import Observation, Verdict
from harness.results.codec import schema_of
from harness.results.meta import Run, RunMeta
from harness.results.runs import RunDir, load_comparison, load_run
from harness.verdicts.compare import Terms
from harness.verdicts.sides import compare_runs, compare_sides
from harness.verdicts.unlike import Asked
from harness.verdicts.views import Recorded


def sides(*cells: Observation) -> list[Recorded]:
    return [Recorded(observation=cell, run="r") for cell in cells]


def test_each_cell_is_compared_with_its_own_row_on_the_baseline() -> None:
    rows = ("copy", "move")
    before = sides(*(observation("latest", name) for name in rows))
    after = sides(
        observation("5.10", "move", failures=(failure(),)),
        observation("5.10", "copy"),
        observation("6.1", "copy"),
    )
    found = compare_sides("5.10, 6.1 against latest", before, after, Terms())
    assert [(one.scenario, one.after.kernel, one.kind) for one in found.findings] == [
        ("move", "5.10", Kind.DEGRADED),
        ("copy", "5.10", Kind.SAME),
        ("copy", "6.1", Kind.SAME),
    ]
    assert not found.unmatched


def test_what_is_on_one_side_alone_or_did_not_run_is_said() -> None:
    before = sides(observation("latest", "a"), observation("latest", "c"))
    after = sides(unavailable("5.10", "the mirror is down", scenario="a"), observation("5.10", "b"))
    found = compare_sides("", before, after, Terms())
    assert not found.findings
    assert found.unmatched == (
        "systemd-tools, a on 5.10: unavailable, the mirror is down",
        "systemd-tools, b on 5.10: there is nothing to compare it with",
        "systemd-tools, c on latest: it is on one side alone",
    )


def run(id: str, *cells: Observation, repeats: tuple[Observation, ...] = ()) -> Run:
    return Run(path=Path(id), meta=RunMeta(id=id), observations=cells, repeats=repeats)


def test_two_runs_are_compared_cell_by_cell_with_the_repeats_of_each() -> None:
    def printed(text: str, kernel: str = "5.10") -> Observation:
        return observation(kernel, steps=(step(stdout=text),))

    old = run("one", printed("1"), printed("x", "6.1"), repeats=(printed("2"),))
    found = compare_runs(
        old, run("two", printed("3"), printed("y", "6.1")), Terms(asked=Asked.TIME)
    )
    assert found.title == "two against one"
    assert [one.kind for one in found.findings] == [Kind.SAME, Kind.CHANGED]
    assert (found.findings[0].before.run, found.findings[0].after.run) == ("one", "two")


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.PASSED])
def test_a_comparison_is_written_and_read_back_and_fits_the_committed_schema(
    tmp_path: Path, verdict: Verdict
) -> None:
    after = observation("5.10", verdict=verdict, failures=(failure(),))
    found = compare_sides("t", sides(observation("latest")), sides(after), Terms())
    record = RunDir.create(tmp_path / "results", RunMeta())
    check(record.write_comparison(found), "comparison")
    assert load_comparison(record.path) == found


def test_the_committed_schema_is_current() -> None:
    assert schema("comparison") == schema_of(Comparison)


def test_a_repeat_is_kept_beside_the_cells_and_is_none_of_them(tmp_path: Path) -> None:
    record = RunDir.create(tmp_path / "results", RunMeta())
    first = observation()
    record.write_cell(first)
    again = replace(first, repeat=1, verdict=Verdict.FAILED)
    check(record.write_cell(again), "observation")
    found = load_run(record.path)
    assert (found.observations, found.repeats) == ((first,), (again,))
    assert record.find_cell(first.id) == first
    assert record.find_repeats(first.id) == (again,)
    assert record.find_cell("other") is None
