from __future__ import annotations

from pathlib import Path

from observations import observation, redis_broken
from recorded import NEW, OLD, compared, record

from harness.findings import Kind
from harness.model.observations import Verdict
from harness.model.scenarios import Known
from harness.report.contents import findings_by_cell, lacking, load, reference
from harness.results.history import HISTORY, Counted, History, State
from harness.results.meta import KernelFacts
from harness.results.runs import COMPARISON, load_run

OWN = """
causes:
  mine:
    text: A cause of our own.
    help: Our own help.
    reference: our wiki
    when: {syscall: epoll_pwait2, errno: ENOSYS}
"""


def test_causes_of_the_sessions_own_files_explain_and_a_wrong_file_is_a_problem(
    tmp_path: Path,
) -> None:
    own = tmp_path / "causes.yaml"
    own.write_text(OWN)
    path = record(tmp_path / "results", [redis_broken()], causes=(str(own), "/none/causes.yaml"))
    (explanation,) = load(path).explanations.values()
    assert [one.name for one in explanation.causes] == ["mine"]
    own.write_text(OWN.replace("syscall", "sycall"))
    report = load(path)
    (explanation,) = report.explanations.values()
    assert explanation.causes == ()
    (problem,) = report.run.problems
    assert "causes.yaml:7: causes.mine.when.sycall: unknown key" in problem.text


def test_rows_and_columns_stand_as_they_were_collected(tmp_path: Path) -> None:
    cells = [observation("5.10", "zebra"), observation("5.10", "ape"), observation("latest", "ape")]
    path = record(tmp_path, cells, cells=tuple(cell.id for cell in cells))
    matrix = load(path).matrix
    assert [row.label for row in matrix.rows] == ["zebra", "ape"]
    assert [column.kernel for column in matrix.columns] == ["latest", "5.10"]


def test_a_run_without_an_order_has_its_rows_by_file(tmp_path: Path) -> None:
    cells = [observation(scenario="b", file="b.yaml"), observation(scenario="a", file="a.yaml")]
    matrix = load(record(tmp_path, cells, finished=False)).matrix
    assert [row.label for row in matrix.rows] == ["a", "b"]


def test_what_was_known_when_the_session_ended_is_known_to_its_report(tmp_path: Path) -> None:
    cell = redis_broken()
    entry = Known(kernels="5.10", reason="bug 7")
    stale = Known(kernels="5.10", reason="bug 8", syscall="close")
    path = record(tmp_path, [cell], known={cell.id: entry}, stale={cell.id: (stale,)})
    matrix = load(path).matrix
    assert matrix.counts == {"failed with ENOSYS, known": 1}
    assert any(note.topic == "stale known difference" for note in matrix.notes)


def test_findings_are_found_by_the_cell_they_are_about(tmp_path: Path) -> None:
    good, bad = redis_broken("latest", verdict=Verdict.PASSED), redis_broken()
    report = load(record(tmp_path, [good, bad], compared(good, bad)))
    assert {id: found.kind for id, found in findings_by_cell(report).items()} == {
        bad.id: Kind.BROKEN
    }
    assert findings_by_cell(load(record(tmp_path, [good]))) == {}


def test_a_comparison_that_cannot_be_read_is_a_problem_and_costs_nothing_else(
    tmp_path: Path,
) -> None:
    path = record(tmp_path, [observation()])
    (path / COMPARISON).write_text("{")
    report = load(path)
    assert report.comparison is None
    assert len(report.matrix.rows) == 1
    assert [problem.path.name for problem in report.run.problems] == [COMPARISON]


def test_missing_calls_are_those_that_the_fullest_kernel_has() -> None:
    unavailable = KernelFacts(name="3.10", unavailable="the mirror is down")
    best = reference((OLD, unavailable, NEW))
    assert best == NEW
    assert lacking(OLD, NEW) == ("landlock_create_ruleset", "fchmodat2")
    assert lacking(NEW, NEW) == ()
    assert reference((unavailable,)) is None


def test_the_trend_of_a_night_is_of_nights_and_of_another_run_of_all_before(
    tmp_path: Path,
) -> None:
    paths = [record(tmp_path, [observation()], night=night) for night in (True, False, True, False)]
    paths.sort()
    metas = {path: load_run(path).meta for path in paths}
    with History.open(tmp_path) as history:
        for meta in metas.values():
            cell = Counted(observation=observation(), state=State.OK, kind="passed", enosys=0)
            history.take_in(meta, [cell])
    for path, meta in metas.items():
        before = [other for other in paths if other <= path]
        wanted = [other for other in before if metas[other].night or not meta.night]
        trend = load(path).trend
        assert [point.run for point in trend] == [other.name for other in wanted]
        assert all(point.counts == {"passed": 1} for point in trend)


def test_a_history_that_cannot_be_read_is_a_problem_and_none_is_made(tmp_path: Path) -> None:
    path = record(tmp_path, [observation()])
    assert load(path).trend == ()
    assert not (tmp_path / HISTORY).exists()
    (tmp_path / HISTORY).write_bytes(b"no database" * 100)
    assert [problem.path.name for problem in load(path).run.problems] == [HISTORY]
