"""The session's reports, written when everything else of the run is."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from harness.report.contents import load
from harness.report.files import Format, append_summary, write

SUMMARY = "GITHUB_STEP_SUMMARY"
"""Set by GitHub Actions: the file whose Markdown is shown with the step."""


def write_reports(run: Path, forms: Collection[str]) -> None:
    """Write report.html and the forms asked for; Markdown goes to the step's summary, too.

    Raises:
        StoreError: one cannot be written.
    """
    report = load(run)
    for form in (Format.HTML, *(form for form in map(Format, forms) if form != Format.HTML)):
        write(report, form)
    summary = os.environ.get(SUMMARY)
    if summary and Format.MARKDOWN in forms:
        append_summary(report, Path(summary))
