"""The command ``harness``: thin, every command is one call into the library."""

from __future__ import annotations

import sys
from importlib import import_module, metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness.cli.lines import complain
from harness.errors import HarnessError

MODULES = {
    "kernels": "kernels",
    "images": "images",
    "store": "stores",
    "scenario": "scenario",
    "verify": "stores",
    "history": "history",
    "compare": "history",
    "nightly": "nightly",
    "upgrade": "upgrade",
    "doctor": "machine",
    "bench": "machine",
    "report": "reports",
    "drill": "drill",
    "explain": "explain",
    "score": "score",
}
"""Each command's module; ``register`` of it adds the command to an application."""


class _Commands(TyperGroup):
    """Commands whose modules are loaded when they are asked for: guests take a second to load.

    Typer's own copy of click has no public names for contexts and commands.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the commands, in the order of the help."""
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, with its module loaded; None: there is none of that name."""
        if cmd_name not in MODULES:
            return None
        only = typer.Typer()
        import_module(f"harness.cli.{MODULES[cmd_name]}").register(only)
        return typer.main.get_group(only).commands[cmd_name]


app = typer.Typer(
    name="harness",
    help="Container images on real kernels: what `pytest --kernels=...` works with. "
    "Catalogs are read from ./kernels and ./images, or where pytest's ini file has them, beside "
    "those that come along.",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
