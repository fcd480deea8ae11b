"""The shell scripts that run in a guest, kept as files beside this module."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib import resources
from typing import Protocol

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


def files() -> dict[str, bytes]:
    """Return all scripts by their place in the guest."""
    return {f"{DIRECTORY}/{name}": text(name).encode() for name in _NAMES}


def command(name: str, *arguments: object) -> str:
    """Return the shell command that runs an installed script."""
    return shlex.join(["sh", f"{DIRECTORY}/{name}", *map(str, arguments)])
