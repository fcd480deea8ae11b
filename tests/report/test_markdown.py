from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from observations import observation, redis_broken, unavailable
from recorded import compared, nasty, record

from harness.model.observations import Verdict
from harness.report.contents import load
from harness.report.markdown import escaped, render
from harness.report.plain import clean

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(text: str) -> str:
    """Return what a reader of the rendered inline text sees."""
    [inline] = (token for token in GFM.parse(text) if token.type == "inline")
    children = inline.children or []
    assert {child.type for child in children} <= {"text", "text_special"}, text
    return "".join(child.content for child in children)


@given(st.text(max_size=60).filter(lambda text: text.strip() == text and text != ""))
def test_any_text_is_shown_as_it_is_and_nothing_in_it_is_active(text: str) -> None:
    assert shown(f"x {escaped(text)}") == f"x {clean(text)}"


@given(st.text(max_size=60))
def test_any_text_stays_in_its_cell_of_a_table(text: str) -> None:
    html = GFM.render(f"| a | b |\n| --- | --- |\n| {escaped(text)} | end |\n")
    assert html.count("<td>") == 2
    assert "<td>end</td>" in html


def test_a_summary_says_what_broke_why_and_what_else_there_is(tmp_path: Path) -> None:
    good, bad = redis_broken("latest", verdict=Verdict.PASSED), redis_broken()
    cells = [good, bad, observation("5.10"), unavailable("latest", "mirror is down")]
    text = render(load(record(tmp_path, cells, compared(good, bad))))
    assert "## Kernels: 4 cells" in text
    assert "| ✗ broken | redis | bgsave | latest → 5.10 | cause, suspected: redis-cli gets" in text
    assert "- ✗ failed +1: **redis, bgsave on 5.10**: step 2" in text
    assert "\n  - It failed: step 2 (bgsave): exit status is 1, expected 0. redis-cli" in text
    assert "| redis | bgsave | ✓ passed +1 | ✗ failed +1 |" in text
    assert "| systemd-tools | tmpfiles | ? unavailable | ✓ passed |" in text
    assert "- unavailable on latest (1 cell): mirror is down" in text
    assert "did not come to its end" not in text


def test_rows_that_met_the_same_refusal_share_a_line(tmp_path: Path) -> None:
    cells = [redis_broken(), replace(redis_broken(), image="valkey", id="z")]
    lines = [line for line in render(load(record(tmp_path, cells))).splitlines() if "(441)" in line]
    assert len(lines) == 1
    assert lines[0].endswith("| redis, bgsave; valkey, bgsave |")


def test_nothing_of_a_hostile_run_is_markup(tmp_path: Path) -> None:
    text = render(load(record(tmp_path, nasty())))
    kinds = {child.type for token in GFM.parse(text) for child in token.children or []}
    assert "image" not in kinds
    html = GFM.render(text)
    assert "<script" not in html
    assert "<img" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html


@pytest.mark.parametrize(("finished", "status"), [(False, 0), (True, 2)])
def test_a_run_that_was_cut_off_is_said_to_be(tmp_path: Path, finished: bool, status: int) -> None:
    path = record(tmp_path, [observation()], finished=finished, status=status)
    assert "did not come to its end" in render(load(path))
