from __future__ import annotations

import json
from pathlib import Path

import pytest
from observations import observation
from recorded import record

from harness.errors import StoreError
from harness.report import contents, files
from harness.report.files import SUMMARY_ROOM, Format, append_summary
from harness.results.runs import load_run


def test_each_form_is_a_file_beside_the_record_and_takes_an_earlier_ones_place(
    tmp_path: Path,
) -> None:
    report = contents.load(record(tmp_path, [observation()]))
    for form, begins in ((Format.HTML, "<!DOCTYPE html>"), (Format.MARKDOWN, "## Kernels")):
        path = files.write(report, form)
        assert path == files.write(report, form) == report.run.path / f"report.{form}"
        assert path.read_text().startswith(begins)
    assert json.loads(files.write(report, Format.JSON).read_bytes())["schema"] == 1
    assert not load_run(report.run.path).problems


def test_a_summary_is_added_to_what_the_step_has_said(tmp_path: Path) -> None:
    report = contents.load(record(tmp_path, [observation()]))
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    append_summary(report, summary)
    assert summary.read_text().startswith("before\n## Kernels: 1 cell\n")


def test_a_summary_never_outgrows_what_github_takes(tmp_path: Path) -> None:
    report = contents.load(record(tmp_path, [observation()]))
    summary = tmp_path / "summary"
    summary.write_text("x" * (SUMMARY_ROOM - 60))
    append_summary(report, summary)
    assert summary.stat().st_size <= SUMMARY_ROOM
    assert summary.read_text().endswith("More does not fit into a step summary.\n")


def test_a_summary_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    report = contents.load(record(tmp_path, [observation()]))
    with pytest.raises(StoreError, match="summary"):
        append_summary(report, tmp_path / "none" / "summary")
