from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from observations import environment, failure, redis_broken, schema, step
from pastnights import cell, record, run_id

from harness.findings import Kind
from harness.intake import take_in_missing
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Known
from harness.nights import Night, Standing, findings_of, has_new, night_of
from harness.results.codec import decode, encode, schema_of
from harness.results.history import History

BAD = Verdict.FAILED


def tonight(results: Path, window: int = 14) -> Night:
    """Compare the newest run with those before it."""
    with History.open(results) as history:
        take_in_missing(history, results)
        night, comparison = night_of(history, history.runs()[-1].id, window=window)
    assert set(findings_of(night)) <= set(comparison.findings)
    return night


def live(results: Path, *nights: list[Observation], **other: Any) -> Night:
    """Let nights pass; return what the last one came to."""
    for number, cells in enumerate(nights):
        record(results, number, cells, **other)
    return tonight(results)


def standings(night: Night) -> dict[str, Standing]:
    return {change.cell.split("::")[1].split("[")[0]: change.standing for change in night.changes}


def test_a_breakage_is_new_in_its_first_night_and_still_there_in_the_next(tmp_path: Path) -> None:
    night = live(tmp_path, [cell("one")], [cell("one", BAD)])
    (change,) = night.changes
    assert (change.standing, change.since, change.kind) == (Standing.NEW, run_id(1), "failed")
    assert change.reason == "one: failed"
    assert has_new(night, ())
    record(tmp_path, 2, [cell("one", BAD)])
    night = tonight(tmp_path)
    (change,) = night.changes
    assert (change.standing, change.since) == (Standing.STILL, run_id(1))
    assert not has_new(night, ("degraded", "changed", "enosys"))


def test_the_first_night_has_nothing_to_compare_with_and_all_that_is_broken_is_new(
    tmp_path: Path,
) -> None:
    night = live(tmp_path, [cell("one"), cell("two", BAD)])
    assert (night.against, night.cells) == ("", 2)
    assert standings(night) == {"two": Standing.NEW}
    assert findings_of(night) == ()


def test_what_went_away_is_said_with_the_night_in_which_it_began(tmp_path: Path) -> None:
    night = live(tmp_path, [cell("one")], [cell("one", BAD)], [cell("one", BAD)], [cell("one")])
    (change,) = night.changes
    assert (change.standing, change.since) == (Standing.GONE, run_id(1))
    assert not has_new(night, ())


def test_what_changes_to_and_fro_is_said_to_flap_but_a_breakage_stays_new(tmp_path: Path) -> None:
    night = live(tmp_path, [cell("one")], [cell("one", BAD)], [cell("one")], [cell("one", BAD)])
    (change,) = night.changes
    assert change.standing is Standing.NEW
    assert change.turns == (run_id(1), run_id(2), run_id(3))
    record(tmp_path, 4, [cell("one")])
    record(tmp_path, 5, [cell("one")])
    (change,) = tonight(tmp_path).changes
    assert change.standing is Standing.FLAPS
    assert not has_new(tonight(tmp_path), ())
    assert tonight(tmp_path, window=2).changes == ()


def test_an_accepted_breakage_is_no_news_and_is_not_new_when_it_is_no_longer_accepted(
    tmp_path: Path,
) -> None:
    broken = cell("one", BAD)
    accepted = {broken.id: Known(kernels="5.10", reason="it is so")}
    record(tmp_path, 0, [cell("one")])
    record(tmp_path, 1, [broken], known=accepted)
    assert tonight(tmp_path).changes == ()
    record(tmp_path, 2, [broken])
    assert standings(tonight(tmp_path)) == {"one": Standing.STILL}


def test_a_lost_guest_is_no_breakage_and_hides_none(tmp_path: Path) -> None:
    lost = cell("one", Verdict.DIED)
    night = live(tmp_path, [cell("one", BAD)], [lost])
    assert night.changes == ()
    assert [each.cell for each in night.lost] == [lost.id]
    record(tmp_path, 2, [cell("one", BAD)])
    assert standings(tonight(tmp_path)) == {"one": Standing.STILL}


def test_a_kernel_that_was_unavailable_last_night_is_held_against_the_night_before(
    tmp_path: Path,
) -> None:
    absent = cell("one", Verdict.UNAVAILABLE, environment=None, steps=())
    night = live(tmp_path, [cell("one")], [absent], [cell("one", BAD)])
    (change,) = night.changes
    assert change.finding is not None
    assert change.finding.before.run == run_id(0)
    assert night.against == run_id(1)


def test_a_new_breakage_comes_with_its_cause(tmp_path: Path) -> None:
    fine = redis_broken(
        verdict=Verdict.PASSED, failures=(), steps=(step(), step(), step()), reason=""
    )
    night = live(tmp_path, [fine], [redis_broken()])
    (change,) = night.changes
    assert change.finding is not None
    assert change.finding.kind is Kind.BROKEN
    assert change.finding.cause is not None
    assert change.finding.cause.syscall == "epoll_pwait2"


def test_a_new_enosys_is_a_difference_and_counts_where_it_is_asked_for(tmp_path: Path) -> None:
    night = live(tmp_path, [cell("one")], [cell("one", failures=(failure(),))])
    assert night.changes == ()
    (finding,) = night.differences
    assert finding.kind is Kind.DEGRADED
    assert not has_new(night, ())
    assert not has_new(night, ("changed",))
    assert has_new(night, ("degraded",))
    assert has_new(night, ("enosys",))
    record(tmp_path, 2, [cell("one", failures=(failure(),))])
    assert tonight(tmp_path).differences == ()


def test_an_enosys_that_went_away_counts_as_changed_alone(tmp_path: Path) -> None:
    night = live(tmp_path, [cell("one", failures=(failure(),))], [cell("one")])
    (finding,) = night.differences
    assert finding.kind is Kind.CHANGED
    assert has_new(night, ("changed",))
    assert not has_new(night, ("degraded", "enosys"))


def test_what_differs_from_night_to_night_on_the_same_builds_is_noise(tmp_path: Path) -> None:
    def saying(word: str) -> Observation:
        return cell("one", steps=(step(stdout=f"{word}\n"),))

    night = live(tmp_path, [saying("apple")], [saying("pear")], [saying("plum")])
    assert night.differences == ()
    record(tmp_path, 3, [saying("plum")])
    record(tmp_path, 4, [saying("plum")])
    record(tmp_path, 5, [saying("cherry")])
    assert [finding.kind for finding in tonight(tmp_path).differences] == [Kind.CHANGED]


def test_other_builds_are_no_measure_of_noise(tmp_path: Path) -> None:
    def saying(word: str, digest: str) -> Observation:
        return cell(
            "one",
            steps=(step(stdout=f"{word}\n"),),
            environment=environment(kernel_digest=digest, release=f"5.10.{digest}"),
        )

    night = live(tmp_path, [saying("a", "1")], [saying("b", "2")], [saying("c", "3")])
    assert [finding.kind for finding in night.differences] == [Kind.CHANGED]
    (new,) = night.renewed
    assert (new.what, new.name, new.before, new.after) == ("kernel", "5.10", "5.10.2", "5.10.3")


def test_another_text_of_a_scenario_is_held_against_its_verdict_alone(tmp_path: Path) -> None:
    night = live(
        tmp_path,
        [cell("one"), cell("two")],
        [
            cell("one", scenario_digest="new", steps=(step(stdout="other\n"),)),
            cell("two", BAD, scenario_digest="new"),
        ],
    )
    assert night.differences == ()
    assert standings(night) == {"two": Standing.NEW}
    assert {each.cell for each in night.uncompared} == {cell("one").id, cell("two").id}
    assert "the scenario's text" in night.uncompared[0].reason


def test_observations_that_are_no_longer_kept_leave_the_verdict(tmp_path: Path) -> None:
    record(tmp_path, 0, [cell("one"), cell("two")])
    record(tmp_path, 1, [cell("one", BAD), cell("two")])
    with History.open(tmp_path) as history:
        take_in_missing(history, tmp_path)
        history.drop_observations([run_id(1)])
    night = tonight(tmp_path)
    assert standings(night) == {"one": Standing.NEW}
    assert {each.reason for each in night.uncompared} == {
        f"what was observed in {run_id(0)} is no longer kept"
    }


def test_cells_that_were_not_run_this_time_are_neither_gone_nor_broken(tmp_path: Path) -> None:
    night = live(tmp_path, [cell("one", BAD), cell("two")], [cell("two")])
    assert night.changes == ()
    assert night.absent == (cell("one").id,)


def test_a_night_is_written_and_read_and_fits_its_schema(tmp_path: Path) -> None:
    night = live(
        tmp_path,
        [cell("one"), cell("two", BAD), cell("three")],
        [cell("one", BAD), cell("two"), cell("three", failures=(failure(),))],
    )
    written = encode(night)
    assert decode(Night, written) == night
    jsonschema.Draft202012Validator(schema("night")).validate(json.loads(written))


def test_the_committed_schema_is_current() -> None:
    assert schema("night") == schema_of(Night)


@pytest.mark.parametrize("verdict", [Verdict.UNSUPPORTED, Verdict.SKIPPED])
def test_cells_that_are_not_to_be_run_are_no_news(tmp_path: Path, verdict: Verdict) -> None:
    night = live(tmp_path, [cell("one")], [cell("one", verdict, environment=None, steps=())])
    assert (night.changes, night.unavailable, night.lost) == ((), (), ())
