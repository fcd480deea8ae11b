"""``harness drill``: practise for a kernel that cannot be had, on one that can."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from harness.errors import UsageError
from harness.kernels.drill import RELEASES

HINT = (
    "this is a drill: it shows that the guest's own tools cope with so old a kernel, and is never "
    "evidence about a real {like} (docs/drill.md)"
)


def drill(
    context: typer.Context,
    like: Annotated[
        str, typer.Option(metavar="|".join(RELEASES), help="The mainline release to practise for.")
    ],
) -> None:
    """Run scenarios on a newer kernel whose guest refuses what an old mainline release lacks.

    Whatever else is given is pytest's: scenario files, -k, -n and so on. The results are those
    of a drill, never of the real kernel, and say so.
    """
    if like not in RELEASES:
        raise UsageError(f"--like={like}: there is no such drill; known: {', '.join(RELEASES)}")
    sys.stderr.write(f"harness: {HINT.format(like=like)}\n")
    sys.stderr.flush()
    words = [sys.executable, "-m", "pytest", f"--kernels=drill-{like}", *context.args]
    # Not a child: signals, terminal and exit status are pytest's own.
    os.execv(sys.executable, words)  # noqa: S606 - an argument list, and no shell


def register(app: typer.Typer) -> None:
    """Add this command."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=passed_on)(drill)
