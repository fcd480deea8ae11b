"""Every error that a user can cause or must act on.

HarnessError
├── UsageError          an option, name or range that is wrong
├── ConfigError         a YAML file that is wrong: names file, line and key
├── UnavailableError    something that cannot be had now: mirror, registry, package
│   └── MissingKernelError  of all that a cell needs, its kernel
├── VerificationError   a signature or checksum that does not hold
├── ImageError          an image that cannot be used
├── ToolError           a program of this machine that is missing or failed
├── StoreError          the artefact store: full, read-only, corrupt
├── EndedError          the session ended before something was done
└── GuestError          a guest was lost: never the image's fault by itself
    ├── GuestDied       panicked, powered off, or its QEMU ended
    └── GuestTimeout    did not answer within a limit
"""

from __future__ import annotations

from pathlib import Path


class HarnessError(Exception):
    """What was wrong, where, and what to do; its text is shown to the user as it stands."""


class UsageError(HarnessError):
    """An option, a name or a range is wrong."""


class ConfigError(HarnessError):
    """A YAML file is wrong; the text begins with ``file:line:``."""

    def __init__(self, file: Path | str, line: int | None, problem: str) -> None:
        where = f"{file}:{line}" if line is not None else f"{file}"
        super().__init__(f"{where}: {problem}")
        self.file = str(file)
        self.line = line
        self.problem = problem


class UnavailableError(HarnessError):
    """Something cannot be had at the moment; the cells that need it are ``unavailable``."""


class MissingKernelError(UnavailableError):
    """A kernel cannot be had at the moment, which a user can let pass."""


class VerificationError(HarnessError):
    """A signature or checksum does not hold; nothing of it was installed."""


class ImageError(HarnessError):
    """An image cannot be used."""


class ToolError(HarnessError):
    """A program of this machine is missing or failed."""


class StoreError(HarnessError):
    """The artefact store is full, not writable or corrupt."""


class EndedError(HarnessError):
    """The session ended before something was done, which says nothing of it."""


class GuestError(HarnessError):
    """A guest was lost. ``console`` holds its last lines."""

    def __init__(self, problem: str, console: tuple[str, ...] = ()) -> None:
        super().__init__(problem)
        self.console = console


class GuestDied(GuestError):  # noqa: N818 - what happened reads better than an -Error
    """The guest panicked or powered off, or its QEMU ended."""


class GuestTimeout(GuestError):  # noqa: N818 - as above
    """The guest did not answer within its limit."""
