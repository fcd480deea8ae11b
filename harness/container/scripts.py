"""The scripts that run in a guest, for its shell and its perl, kept as files beside this module."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib.resources import files
from typing import Protocol

from harness.guest.ssh import Reply

DIRECTORY = "/run/harness/container"
"""Where all that belongs to a container lies in the guest."""

_INSTALLED = "/etc/container"
"""Where the scripts lie there: in the initramfs, so that a snapshot has them."""


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


def resident() -> Mapping[str, bytes]:
    """Return the scripts, by their paths in the initramfs."""
    scripts = (each for each in files(__package__).iterdir() if each.name.endswith((".sh", ".pl")))
    return {f"{_INSTALLED[1:]}/{each.name}": each.read_bytes() for each in scripts}


def command(name: str, *arguments: object) -> str:
    """Return the shell command that runs a script."""
    interpreter = "perl" if name.endswith(".pl") else "sh"
    return shlex.join([interpreter, f"{_INSTALLED}/{name}", *map(str, arguments)])
