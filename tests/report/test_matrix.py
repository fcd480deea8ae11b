from __future__ import annotations

from observations import (
    KERNELS,
    environment,
    failure,
    observation,
    redis_broken,
    unavailable,
)

from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Known as Entry
from harness.report.matrix import Note, build
from harness.verdicts.known import Judgement, judge
from harness.verdicts.outcome import exit_status


def test_rows_keep_their_order_and_an_images_rows_stand_together() -> None:
    cells = [
        observation(scenario="one", image="redis"),
        observation(scenario="one", image="python"),
        observation(scenario="two", image="redis"),
    ]
    rows = build(cells, kernels=KERNELS).rows
    assert [(row.key.image, row.label) for row in rows] == [
        ("redis", "one"),
        ("redis", "two"),
        ("python", "one"),
    ]


def test_kernels_stand_as_they_were_asked_for_with_the_running_kernels_release() -> None:
    cells = [observation("6.1"), observation("mine"), unavailable("5.10", "no mirror")]
    columns = build(cells, kernels=("5.10", "6.1", "6.12")).columns
    assert [(column.kernel, column.release) for column in columns] == [
        ("5.10", ""),
        ("6.1", "6.1.0-40-cloud-amd64"),
        ("6.12", ""),
        ("mine", "mine.0-test"),
    ]


def test_a_cell_that_was_not_run_is_empty_and_counts_as_nothing() -> None:
    matrix = build([observation("5.10")], kernels=("5.10", "6.1"))
    assert matrix.rows[0].cells[1] is None
    assert len(matrix.cells) == 1
    assert exit_status(matrix.cells, allow_missing=False) == 0


def test_a_cell_that_is_there_twice_counts_as_the_last_time() -> None:
    matrix = build([redis_broken(), redis_broken(verdict=Verdict.PASSED)], kernels=KERNELS)
    assert matrix.counts == {"passed with ENOSYS": 1}


def test_scenarios_of_one_name_are_told_apart_by_their_files() -> None:
    cells = [observation(file="a.yaml"), observation(file="b.yaml")]
    labels = [row.label for row in build(cells, kernels=KERNELS).rows]
    assert labels == ["tmpfiles (a.yaml)", "tmpfiles (b.yaml)"]


def test_what_could_not_be_recorded_and_why_cells_did_not_run_is_said_once() -> None:
    cells = [
        observation("6.1", scenario="a", notes=("no peak memory",), lost_events=5),
        observation("5.10", scenario="a", notes=("no peak memory",)),
        observation("5.10", scenario="b", notes=("no peak memory",)),
        unavailable("latest", "mirror is down", scenario="a"),
        unavailable("latest", "mirror is down", scenario="b"),
    ]
    assert build(cells, kernels=KERNELS).notes == (
        Note(topic="unavailable", text="mirror is down", kernels=("latest",), cells=2),
        Note(topic="not recorded", text="no peak memory", kernels=("5.10", "6.1"), cells=3),
        Note(
            topic="not recorded",
            text="5 events of the tracer were lost: counts are too low, origins may be unknown",
            kernels=("6.1",),
            cells=1,
        ),
    )


def test_a_stale_known_difference_is_noted_and_a_known_failure_costs_nothing() -> None:
    entry = Entry(kernels="", reason="bug 7")

    def known(cell: Observation) -> Judgement:
        return judge(cell, [entry], lambda _: True)

    matrix = build([redis_broken("5.10"), redis_broken("6.1", verdict=Verdict.PASSED)],
                   kernels=KERNELS, judge=known)  # fmt: skip
    assert matrix.counts == {"passed with ENOSYS": 1, "failed with ENOSYS, known": 1}
    assert exit_status(matrix.cells, allow_missing=False) == 0
    (note,) = matrix.notes
    assert note.kernels == ("6.1",)
    assert note.text == "failure no longer occurs; its reason was: bug 7"


def test_enosys_of_an_earlier_run_is_not_told_again() -> None:
    cell = observation(failures=(failure(),))
    assert len(build([cell], kernels=KERNELS).enosys) == 1
    assert build([cell], kernels=KERNELS, seen=[cell]).enosys == ()


def test_a_column_that_is_a_drill_says_so_once_and_before_all_else() -> None:
    drill = environment("drill-3.10", drill="not a 3.10: a 5.10 that refuses newer calls")
    cells = [
        observation("drill-3.10", scenario=name, environment=drill, notes=("no tracer",))
        for name in ("one", "two")
    ]
    notes = build(cells, kernels=("drill-3.10",)).notes
    assert notes[0] == Note(
        topic="drill",
        text="not a 3.10: a 5.10 that refuses newer calls",
        kernels=("drill-3.10",),
        cells=2,
    )
    assert len(notes) == 2
