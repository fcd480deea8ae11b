"""Which QEMU this machine has, and what it can do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness import process
from harness.errors import HarnessError, ToolError

PROGRAM = "qemu-system-x86_64"
PACKAGE = "qemu-system-x86"
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""QEMU's own seccomp filter: no program started, no privilege gained, no limit of its own moved."""

_VERSION = re.compile(r"version (\S+)")
_LIMIT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What some builds and versions of QEMU have and others lack."""

    sandbox: bool = True
    """It was built with seccomp."""
    read_only_memory: bool = False
    """It maps memory privately from a file that it may not write (``rom=off``, QEMU 9.0)."""


def program() -> str:
    """Return QEMU's path.

    Raises:
        ToolError: it is not installed.
    """
    return process.find(PROGRAM, PACKAGE)


def version() -> str:
    """Return QEMU's version.

    Raises:
        ToolError: it is not installed or does not start.
    """
    path = program()
    text = process.run([path, "--version"], limit=_LIMIT).stdout.decode(errors="replace")
    match = _VERSION.search(text)
    if match is None:
        raise ToolError(f"{path} --version says {text!r}, which names no version")
    return match[1]


def features() -> Features:
    """Ask QEMU for what it has.

    Raises:
        ToolError: it is not installed or does not start.
    """
    asked = ("-object", "memory-backend-file,help")
    done = process.run([program(), "-sandbox", SANDBOX, *asked], limit=_LIMIT, check=False)
    sandbox = done.status == 0
    if not sandbox:
        done = process.run([program(), *asked], limit=_LIMIT)
    return Features(sandbox=sandbox, read_only_memory=b" rom=" in done.stdout)


def sandbox_problem() -> str:
    """Return why QEMU cannot run in its sandbox here, empty where it can: it is tried."""
    machine = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")
    words = [program(), *machine, "-S", "-monitor", "stdio", "-sandbox", SANDBOX]
    try:
        done = process.run(words, limit=_LIMIT, stdin=b"quit\n", check=False)
    except HarnessError as error:
        return str(error)
    if done.status == 0:
        return ""
    said = done.stderr.decode(errors="backslashreplace").strip().splitlines()
    return said[-1].removeprefix(f"{PROGRAM}: ") if said else f"status {done.status}"
