from __future__ import annotations

from pathlib import Path

import pytest
from observations import failure, observation, redis_broken
from pastnights import cell, record, run_id

from harness.errors import StoreError
from harness.findings import Comparison, Finding, Kind, Side
from harness.intake import counted, take_in, take_in_missing
from harness.model.observations import Verdict
from harness.model.scenarios import Known
from harness.results.codec import encode
from harness.results.history import HISTORY, History, State
from harness.results.runs import RunDir

KNOWN = Known(kernels="5.10", reason="it needs epoll_pwait2")


@pytest.mark.parametrize(
    ("verdict", "known", "state"),
    [
        (Verdict.PASSED, False, State.OK),
        (Verdict.PASSED, True, State.OK),
        (Verdict.FAILED, False, State.BROKEN),
        (Verdict.FAILED, True, State.KNOWN),
        (Verdict.TIMED_OUT, False, State.BROKEN),
        (Verdict.TIMED_OUT, True, State.KNOWN),
        (Verdict.DIED, False, State.LOST),
        (Verdict.DIED, True, State.KNOWN),
        (Verdict.UNAVAILABLE, False, State.UNAVAILABLE),
        (Verdict.UNSUPPORTED, False, State.NONE),
        (Verdict.SKIPPED, True, State.NONE),
    ],
)
def test_a_verdict_and_what_is_known_make_the_state(
    verdict: Verdict, known: bool, state: State
) -> None:
    assert counted(observation(verdict=verdict), known).state is state


def test_a_cell_is_counted_by_the_matrixs_words_and_its_distinct_enosys() -> None:
    calls = (failure(), failure("openat2", 437), failure("openat", 257, errno="ENOENT"))
    found = counted(observation(failures=calls), known=False)
    assert (found.kind, found.enosys) == ("passed with ENOSYS", 2)


def test_runs_that_ended_are_taken_in_once_each_with_its_findings(tmp_path: Path) -> None:
    broken = redis_broken()
    record(tmp_path, 0, [broken, cell("fine")], known={broken.id: KNOWN})
    side = Side(run=run_id(0), cell=broken.id, kernel=broken.kernel)
    finding = Finding(
        scenario=broken.scenario,
        file=broken.file,
        image=broken.image,
        kind=Kind.BROKEN,
        before=side,
        after=side,
    )
    comparison = Comparison(title="5.10 against 6.12", findings=(finding,))
    (tmp_path / run_id(0) / "comparison.json").write_bytes(encode(comparison))
    record(tmp_path, 1, [cell("fine")], finished="")
    with History.open(tmp_path) as history:
        intake = take_in_missing(history, tmp_path)
        assert (intake.taken, intake.open, intake.problems) == ((run_id(0),), (run_id(1),), ())
        assert history.runs()[0].states == {State.KNOWN: 1, State.OK: 1}
        assert history.findings(run_id(0)) == (finding,)
        assert take_in_missing(history, tmp_path).taken == ()
        run = RunDir(tmp_path / run_id(1))
        run.finish(run.read_meta(), {}, 0)
        assert take_in_missing(history, tmp_path).taken == (run_id(1),)


def test_a_history_that_is_lost_is_made_anew_from_the_runs(tmp_path: Path) -> None:
    for number in range(3):
        record(tmp_path, number, [cell("one", Verdict.FAILED)])
    for _ in range(2):
        with History.open(tmp_path) as history:
            take_in_missing(history, tmp_path)
            assert history.nights(9) == (run_id(2), run_id(1), run_id(0))
        (tmp_path / HISTORY).unlink()


def test_a_file_of_a_run_that_cannot_be_read_costs_no_other_cell(tmp_path: Path) -> None:
    record(tmp_path, 0, [cell("one"), cell("two")])
    run = RunDir(tmp_path / run_id(0))
    run.cell_path(cell("one").id).write_text("{")
    (run.path / "comparison.json").write_text("[]")
    with History.open(tmp_path) as history:
        said = take_in(history, run.path)
        assert len(said) == 2
        assert all(str(run.path) in sentence for sentence in said)
        assert history.runs()[0].states == {State.OK: 1}


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    record(tmp_path, 0, [], finished="")
    with History.open(tmp_path) as history, pytest.raises(StoreError, match="has not ended"):
        take_in(history, tmp_path / run_id(0))
