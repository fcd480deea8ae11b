"""The command ``harness``: thin, every command is one call into the library."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer

from harness.cli import (
    drill,
    explain,
    history,
    images,
    kernels,
    machine,
    nightly,
    reports,
    scenario,
    score,
    stores,
    upgrade,
)
from harness.cli.common import complain
from harness.errors import HarnessError

app = typer.Typer(
    name="harness",
    help="Container images on real kernels: what `pytest --kernels=...` works with. "
    "Catalogs are read from ./kernels and ./images, beside those that come along.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(kernels.app, name="kernels")
app.add_typer(images.app, name="images")
app.add_typer(stores.app, name="store")
app.add_typer(scenario.app, name="scenario")
app.command()(stores.verify)
history.register(app)
nightly.register(app)
upgrade.register(app)
machine.register(app)
reports.register(app)
drill.register(app)
explain.register(app)
score.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pytest-kernels {metadata.version('pytest-kernels')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that come before a command."""


def main() -> None:
    """Run the command; an error of the user's is one line, and the exit status 1."""
    try:
        app()
    except HarnessError as error:
        complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(130)
