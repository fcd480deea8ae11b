from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from harness.model.observations import Verdict
from harness.verdicts.outcome import (
    FAILED_STATUS,
    MISSING_STATUS,
    TABLE,
    Known,
    PytestOutcome,
    counts,
    exit_status,
    outcome,
)

PAGE = Path(__file__).parents[2] / "docs" / "outcomes.md"

PASSED = outcome(Verdict.PASSED, 0)
FAILED = outcome(Verdict.FAILED, 0)
UNAVAILABLE = outcome(Verdict.UNAVAILABLE, 0, kernel_missing=True)
IMAGELESS = outcome(Verdict.UNAVAILABLE, 0)


def test_the_page_and_the_code_hold_the_same_table() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    page = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]
    assert page == [tuple(map(str, rule)) for rule in TABLE]


@pytest.mark.parametrize(
    ("verdict", "enosys", "known"), list(itertools.product(Verdict, (0, 1, 7), Known))
)
def test_every_cell_counts_as_exactly_one_line_of_the_table(
    verdict: Verdict, enosys: int, known: Known
) -> None:
    found = outcome(verdict, enosys, known)
    assert found.rule.verdict is verdict
    same = [
        rule
        for rule in TABLE
        if (rule.verdict, rule.known) == (verdict, found.rule.known)
        and rule.enosys in ("any", "some" if enosys else "none")
    ]
    assert same == [found.rule]


@pytest.mark.parametrize(
    ("verdict", "enosys", "known", "text"),
    [
        (Verdict.PASSED, 0, Known.NO, "passed"),
        (Verdict.PASSED, 3, Known.NO, "passed with 3 ENOSYS"),
        (Verdict.FAILED, 0, Known.NO, "failed"),
        (Verdict.FAILED, 1, Known.NO, "failed with 1 ENOSYS"),
        (Verdict.FAILED, 1, Known.COVERED, "failed with 1 ENOSYS, known"),
        (Verdict.DIED, 2, Known.NO, "guest died"),
        (Verdict.TIMED_OUT, 0, Known.NO, "timed out"),
        (Verdict.UNSUPPORTED, 0, Known.COVERED, "unsupported by this kernel"),
        (Verdict.UNAVAILABLE, 0, Known.NO, "unavailable"),
        (Verdict.SKIPPED, 0, Known.NO, "skipped"),
    ],
)
def test_the_matrix_says_it_in_these_words(
    verdict: Verdict, enosys: int, known: Known, text: str
) -> None:
    assert outcome(verdict, enosys, known).text == text


def test_a_known_failure_is_expected_and_a_known_one_that_passes_is_stale() -> None:
    assert outcome(Verdict.FAILED, 0, Known.COVERED).rule.pytest is PytestOutcome.XFAILED
    assert not outcome(Verdict.FAILED, 0, Known.COVERED).stale
    assert outcome(Verdict.PASSED, 0, Known.COVERED).rule.pytest is PytestOutcome.PASSED
    assert outcome(Verdict.PASSED, 0, Known.COVERED).stale


@pytest.mark.parametrize(
    ("cells", "allowed", "status"),
    [
        ((), False, 0),
        ((PASSED,), False, 0),
        ((PASSED, FAILED), False, FAILED_STATUS),
        ((PASSED, UNAVAILABLE), False, MISSING_STATUS),
        ((PASSED, UNAVAILABLE), True, 0),
        ((PASSED, IMAGELESS), False, MISSING_STATUS),
        ((UNAVAILABLE, IMAGELESS), True, MISSING_STATUS),
        ((FAILED, UNAVAILABLE), False, FAILED_STATUS),
        ((FAILED, UNAVAILABLE), True, FAILED_STATUS),
        ((outcome(Verdict.DIED, 0),), True, FAILED_STATUS),
        ((outcome(Verdict.TIMED_OUT, 0),), True, FAILED_STATUS),
        ((outcome(Verdict.FAILED, 0, Known.COVERED),), False, 0),
        ((outcome(Verdict.UNSUPPORTED, 0), outcome(Verdict.SKIPPED, 0)), False, 0),
    ],
)
def test_a_failure_outweighs_what_is_missing_and_that_outweighs_the_rest(
    cells: tuple[object, ...], allowed: bool, status: int
) -> None:
    assert exit_status(cells, allowed) == status  # type: ignore[arg-type]


def test_cells_are_counted_by_kind_in_the_tables_order() -> None:
    cells = [UNAVAILABLE, FAILED, outcome(Verdict.PASSED, 2), PASSED, outcome(Verdict.PASSED, 1)]
    assert list(counts(cells).items()) == [
        ("passed", 1),
        ("passed with ENOSYS", 2),
        ("failed", 1),
        ("unavailable", 1),
    ]
