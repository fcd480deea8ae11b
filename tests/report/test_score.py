from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.cases import Case, Effect
from harness.report.score import page, score_rows, verdict_lines
from harness.results.codec import decode, encode
from harness.scenarios.corpus import DIRECTORY, load_corpus
from harness.verdicts.score import Mark, Score, Scored

ROOT = Path(__file__).parents[2]
RIGHT = Scored(
    case="threads",
    kind="profile",
    host="old",
    effect=Effect.BREAKS,
    cause="refused",
    named="refused",
    mark=Mark.RIGHT,
)
CLEAN = replace(RIGHT, host="new", effect=Effect.WORKS, cause="", named="", mark=Mark.CLEAN)
APART = replace(RIGHT, host="3.10", named="", mark=Mark.ABSENT, why="out of reach", apart=True)
SCORE = Score(
    started="2026-11-25T12:00:00+00:00",
    accelerator="tcg",
    releases={"old": "5.10.0"},
    cells=(RIGHT, CLEAN, APART),
)


@pytest.fixture(scope="module")
def cases() -> tuple[Case, ...]:
    return load_corpus(ROOT / DIRECTORY, ROOT)[0]


def test_what_counts_apart_is_in_no_other_row() -> None:
    assert score_rows(SCORE) == [
        ["profile", "1", "1 of 1", "1", "0", "0", "0 of 1", "0"],
        ["all", "1", "1 of 1", "1", "0", "0", "0 of 1", "0"],
        ["apart: kernels supplied by hand", "1", "0 of 0", "0", "0", "0", "0 of 0", "1"],
    ]


def test_a_score_says_what_is_not_as_it_should_be_and_whether_it_is_reached() -> None:
    assert verdict_lines(SCORE) == [
        "threads on 3.10: absent: out of reach",
        "100.0 % of 1 found with the right cause (wanted: 95 %), 0 false findings on 1 host "
        "where it works",
        "reached",
    ]
    missed = replace(RIGHT, mark=Mark.MISSED, why="it passed")
    lines = verdict_lines(replace(SCORE, cells=(missed, replace(CLEAN, mark=Mark.FALSE))))
    assert lines[0] == "threads on old: missed: it passed"
    assert lines[-1] == "NOT REACHED"


def test_a_score_is_the_same_after_it_was_written_and_read() -> None:
    assert decode(Score, encode(SCORE)) == SCORE


def test_the_committed_page_is_the_last_scores_and_the_corpus(cases: tuple[Case, ...]) -> None:
    docs = ROOT / "docs"
    score = decode(Score, (docs / "known-breakages.json").read_bytes())
    assert (docs / "known-breakages.md").read_text() == page(score, cases), (
        "write it anew: harness score --page docs/known-breakages.md"
    )


def test_the_committed_score_is_of_every_case_on_every_host(cases: tuple[Case, ...]) -> None:
    score = decode(Score, (ROOT / "docs" / "known-breakages.json").read_bytes())
    wanted = {(c.name, host) for c in cases for each in c.expected for host in each.hosts}
    assert {(cell.case, cell.host) for cell in score.cells} == wanted, (
        "score anew: harness score --json docs/known-breakages.json"
    )
