"""``harness nightly``: the one command for cron, systemd and CI."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import images, kernels
from harness.cli.history import RESULTS, Results
from harness.cli.inifile import known_causes
from harness.cli.lines import Lines, complain
from harness.errors import HarnessError, UsageError
from harness.nightly import COULD_NOT_RUN, Plan, run_night
from harness.nights import NEWS, WINDOW
from harness.results.retention import KEEP_DAYS
from harness.store import Store, default_root


def nightly(
    context: typer.Context,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="First lock the newest kernels and images.")
    ] = False,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing-kernels", help="Kernels that cannot be had do not turn the status."
        ),
    ] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(NEWS),
            help="Status 1 for this when it is new, besides what broke; may be given several "
            "times.",
            show_default=False,
        ),
    ] = None,
    nights: Annotated[
        int, typer.Option(metavar="N", min=2, help="Nights looked back on for what flaps.")
    ] = WINDOW,
    keep: Annotated[
        float,
        typer.Option(
            metavar="DAYS",
            min=0.0,
            help="Runs, and what of the store was not used, are removed after so long; what "
            "became of their cells stays in the history.",
        ),
    ] = KEEP_DAYS,
    results: Results = RESULTS,
) -> None:
    """Run pytest, compare with the nights before, and report what is new.

    All other arguments are pytest's: `harness nightly --kernels=all -n 2`. The exit status is 0,
    1 when something broke that was not broken the last time, 2 when the night could not run, or
    a kernel could not be had.
    """
    from harness.plugin.signals import terminated_as_interrupted

    try:
        also = _words(fail_on or [])
        with terminated_as_interrupted():
            if refresh:
                kernels.lock(None)
                images.lock(None)
            plan = Plan(
                results=results,
                store=Store(default_root()),
                arguments=context.args,
                causes=known_causes(),
                allow_missing=allow_missing,
                fail_on=also,
                window=nights,
                keep_days=keep,
            )
            status, report = run_night(plan, Lines())
    except HarnessError as error:
        complain(error)
        raise typer.Exit(COULD_NOT_RUN) from error
    typer.echo(report, nl=False)
    raise typer.Exit(status)


def _words(given: list[str]) -> frozenset[str]:
    words = frozenset(word.strip() for text in given for word in text.split(","))
    for word in sorted(words - set(NEWS)):
        raise UsageError(f"--fail-on={word}: give {', '.join(NEWS)}")
    return words


def register(app: typer.Typer) -> None:
    """Add the command."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=passed_on)(nightly)
