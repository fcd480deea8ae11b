from __future__ import annotations

from dataclasses import replace

import pytest
from observations import failure, observation, step

from harness.explanations import Certainty, Explanation, NamedCause
from harness.model.cases import Case, Effect, Expected, Sign
from harness.model.observations import Observation, Origin, Verdict
from harness.model.scenarios import Scenario, Step
from harness.verdicts.explanation import explain
from harness.verdicts.score import Mark, Score, Scored, by_kind, complete, per_cent, reached, tally
from harness.verdicts.score import scored as score_of

SIGN = Sign(syscall="clone3", errno="EPERM", origin="seccomp", output="can't start")
BREAKS = Expected(hosts=("old",), effect=Effect.BREAKS, cause="refused", sign=SIGN)
DEGRADES = Expected(
    hosts=("old",), effect=Effect.DEGRADES, cause="absent", sign=Sign(errno="ENOSYS")
)
WORKS = Expected(hosts=("new",), effect=Effect.WORKS)
CASE = Case(
    name="threads",
    kind="profile",
    references=("moby/moby#42680",),
    scenario=Scenario(name="threads", file="f.yaml", line=1, images=("i",), steps=(Step(),)),
    image="i",
    expected=(BREAKS, DEGRADES, WORKS),
    file="f.yaml",
    line=1,
)
REFUSED = failure("clone3", 435, errno="EPERM", origin=Origin.SECCOMP)
BROKEN = observation(
    "old", verdict=Verdict.FAILED, failures=(REFUSED,), steps=(step(stderr="can't start"),)
)
COPED = observation("old", failures=(failure("clone3", 435),))


def found(*names: str, certainty: Certainty = Certainty.SUSPECTED, said: str = "") -> Explanation:
    causes = [
        NamedCause(name=name, certainty=certainty, text=said, help="", references=())
        for name in names
    ]
    return replace(explain(BROKEN, ()), causes=tuple(causes))


@pytest.mark.parametrize(
    ("expected", "seen", "explanation", "mark"),
    [
        (BREAKS, BROKEN, found("refused"), Mark.RIGHT),
        (BREAKS, BROKEN, found("other", "refused"), Mark.WRONG),
        (BREAKS, BROKEN, found(), Mark.WRONG),
        (BREAKS, BROKEN, found("refused", certainty=Certainty.UNCLEAR), Mark.WRONG),
        (BREAKS, COPED, found("refused"), Mark.MISSED),
        (BREAKS, replace(BROKEN, failures=()), found("refused"), Mark.MISSED),
        (BREAKS, replace(BROKEN, steps=(step(),)), found("refused"), Mark.MISSED),
        (replace(BREAKS, names=("clone3",)), BROKEN, found("refused"), Mark.WRONG),
        (replace(BREAKS, names=("clone3",)), BROKEN, found("refused", said="clone3"), Mark.RIGHT),
        (DEGRADES, COPED, found("absent", certainty=Certainty.COPED), Mark.RIGHT),
        (DEGRADES, COPED, found(), Mark.WRONG),
        (DEGRADES, BROKEN, found("absent"), Mark.MISSED),
        (DEGRADES, observation("old"), found("absent"), Mark.MISSED),
        (WORKS, observation("new"), found(), Mark.CLEAN),
        (WORKS, observation("new"), found("other", certainty=Certainty.COPED), Mark.CLEAN),
        (WORKS, observation("new"), found("absent", certainty=Certainty.COPED), Mark.FALSE),
        (WORKS, observation("new"), found("other"), Mark.FALSE),
        (WORKS, observation("new", verdict=Verdict.FAILED), found(), Mark.FALSE),
        (BREAKS, observation("old", verdict=Verdict.UNAVAILABLE), found(), Mark.ABSENT),
    ],
)
def test_a_cell_gets_the_mark_that_it_has_earned(
    expected: Expected, seen: Observation, explanation: Explanation, mark: Mark
) -> None:
    cell = score_of(CASE, expected, seen, explanation, apart=False)
    assert cell.mark is mark
    assert bool(cell.why) is (mark not in (Mark.RIGHT, Mark.CLEAN) and bool(cell.why))
    assert mark in (Mark.RIGHT, Mark.CLEAN, Mark.ABSENT) or cell.why


def cell(mark: Mark, *, kind: str = "profile", apart: bool = False, case: str = "c") -> Scored:
    effect = Effect.WORKS if mark in (Mark.CLEAN, Mark.FALSE) else Effect.BREAKS
    return Scored(
        case=case, kind=kind, host="h", effect=effect, cause="", named="", mark=mark, apart=apart
    )


def a_score(*cells: Scored) -> Score:
    return Score(started="", accelerator="tcg", releases={}, cells=cells)


def test_a_score_is_counted_kind_by_kind() -> None:
    cells = [cell(Mark.RIGHT), cell(Mark.WRONG, case="d"), cell(Mark.CLEAN, kind="errno")]
    assert [(one.kind, one.cases, one.found, one.shows) for one in by_kind(cells)] == [
        ("profile", 2, 2, 2),
        ("errno", 1, 0, 0),
    ]
    assert per_cent(tally("", cells)) == 50.0


def test_one_false_finding_or_too_many_wrong_causes_do_not_reach_the_score() -> None:
    good = [cell(Mark.RIGHT)] * 19
    assert reached(a_score(*good, cell(Mark.WRONG)))
    assert not reached(a_score(*good, cell(Mark.WRONG), cell(Mark.MISSED)))
    assert not reached(a_score(*good, cell(Mark.FALSE)))
    assert not reached(a_score())


def test_what_is_supplied_by_hand_counts_apart_and_nothing_absent_counts_as_tried() -> None:
    assert reached(a_score(cell(Mark.RIGHT), cell(Mark.MISSED, apart=True)))
    assert complete(a_score(cell(Mark.RIGHT), cell(Mark.ABSENT, apart=True)))
    assert not complete(a_score(cell(Mark.RIGHT), cell(Mark.ABSENT)))
    assert not complete(a_score())
