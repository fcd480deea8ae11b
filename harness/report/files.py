"""Reports as files beside a run's record."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from harness.report import document, html, markdown
from harness.report.contents import Report
from harness.results.files import translated, write_whole

SUMMARY_ROOM = 1 << 20
"""Bytes that GitHub takes of one step's summary; it refuses a larger one as a whole."""


class Format(StrEnum):
    """A form of the report, named as its file's suffix."""

    HTML = "html"
    MARKDOWN = "md"
    JSON = "json"


_RENDER: dict[Format, Callable[[Report], bytes]] = {
    Format.HTML: lambda report: html.render(report).encode(),
    Format.MARKDOWN: lambda report: markdown.render(report).encode(),
    Format.JSON: document.render,
}


def render(report: Report, form: Format) -> bytes:
    """Return a report in one form, in UTF-8."""
    return _RENDER[form](report)


def place(run: Path, form: Format) -> Path:
    """Return where a run's report in one form is or would be."""
    return run / f"report.{form}"


def write(report: Report, form: Format) -> Path:
    """Write a report beside the run's record, in place of an earlier one.

    Raises:
        StoreError: no room, or no permission.
    """
    path = place(report.run.path, form)
    write_whole(path, render(report, form))
    return path


def append_summary(report: Report, file: Path) -> None:
    """Append the Markdown to a step summary of GitHub Actions, as far as there is room.

    Raises:
        StoreError: it cannot be written.
    """
    text = render(report, Format.MARKDOWN)
    with translated(file), file.open("ab") as summary:
        room = SUMMARY_ROOM - os.fstat(summary.fileno()).st_size
        if len(text) > room:
            said = b"\n\nMore does not fit into a step summary.\n"
            whole, _, _ = text[: max(room - len(said), 0)].rpartition(b"\n")
            text = whole + said
        summary.write(text)
