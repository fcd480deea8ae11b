"""The shell scripts that run in a guest, kept as files beside this module."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib import resources
from typing import Protocol

from harness.guest.guest import UNPACK, archive
from harness.guest.ssh import Reply

DIRECTORY = "/run/harness/container"
"""Where the scripts and all that belongs to a container lie in the guest."""

_NAMES = (
    "arrange.sh",
    "install.sh",
    "prepare.sh",
    "ready.sh",
    "remove.sh",
    "service.sh",
    "step.sh",
    "watch.sh",
)


class Guest(Protocol):
    """What this floor needs of a guest (:class:`harness.guest.guest.Guest`)."""

    def run(
        self, command: str, *, stdin: bytes = b"", limit: float = ..., check: bool = ...
    ) -> Reply:
        """Run a command of the guest's shell."""

    def abandon(self) -> None:
        """Give the guest up."""

    def put(self, files: Mapping[str, bytes], mode: int = ...) -> None:
        """Write files, by absolute path."""


def text(name: str) -> str:
    """Return a script's text."""
    return resources.files("harness.container").joinpath(name).read_text(encoding="utf-8")


def command(name: str, *arguments: object) -> str:
    """Return the shell command that runs an installed script."""
    return shlex.join(["sh", f"{DIRECTORY}/{name}", *map(str, arguments)])


def place_and_run(
    guest: Guest,
    files: Mapping[str, bytes],
    name: str,
    *arguments: object,
    limit: float,
    check: bool = True,
) -> Reply:
    """Write files into the guest and run an installed script, in one round trip.

    Raises:
        GuestCommandError: with ``check``, the script failed, or there was no room.
        GuestDied, GuestTimeout: the guest was lost, or took longer than ``limit`` seconds.
    """
    run = f"{UNPACK} && {command(name, *arguments)}"
    return guest.run(run, stdin=archive(files), limit=limit, check=check)


def install_and_run(
    guest: Guest, name: str, *arguments: object, limit: float, check: bool = True
) -> Reply:
    """Write all scripts into the guest and run one of them; raises as :func:`place_and_run`."""
    files = {f"{DIRECTORY}/{each}": text(each).encode() for each in _NAMES}
    return place_and_run(guest, files, name, *arguments, limit=limit, check=check)
