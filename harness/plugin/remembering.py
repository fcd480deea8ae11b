"""The session's run on its way into the history, at the session's end."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HarnessError
from harness.intake import take_in
from harness.results.history import History


def remember(run: Path) -> str:
    """Take a run that ended into the history; return what keeps it out, empty if nothing does.

    The run itself is not touched: what the history lacks it can take in later.
    """
    try:
        with History.open(run.parent) as history:
            problems = take_in(history, run)
    except HarnessError as error:
        return str(error)
    return "; ".join(problems)
