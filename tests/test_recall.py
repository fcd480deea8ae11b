from __future__ import annotations

from pathlib import Path

from observations import observation
from pastnights import record

from harness.recall import LAST, find


def test_a_run_that_is_taken_up_again_is_not_its_own_last(tmp_path: Path) -> None:
    first = record(tmp_path, 0, [observation()])
    second = record(tmp_path, 1, [observation()])
    assert find(tmp_path, LAST) == second
    assert find(tmp_path, LAST, besides=second) == first
