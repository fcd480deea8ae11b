"""Files that are there whole or not at all, and errors that a user can act on."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import StoreError

TEMPORARY = ".part"
"""Suffix of a file that is being written; ``.NAME.PID.RANDOM.part``."""


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` beside its place and rename it there; the directory must exist.

    Raises:
        StoreError: no room, or no permission; nothing is left behind.
    """
    part = _part(path)
    with translated(path):
        try:
            part.write_bytes(data)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def link_whole(path: Path, target: str) -> None:
    """Let the symbolic link ``path`` point to ``target``, with no moment in which it is gone.

    Raises:
        StoreError: something that is no link is in its place, or no permission.
    """
    part = _part(path)
    with translated(path):
        try:
            part.symlink_to(target)
            part.replace(path)
        except IsADirectoryError as error:
            raise StoreError(f"{path} is a directory, not a link: move it away") from error
        finally:
            part.unlink(missing_ok=True)


def sweep(directory: Path) -> None:
    """Remove what processes that are gone left half-written in ``directory``."""
    for part in directory.glob(f".*{TEMPORARY}"):
        words = part.name.split(".")
        if len(words) > 3 and not Path("/proc", words[-3]).exists():
            with suppress(OSError):  # litter is no reason to fail a run
                part.unlink()


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn an OSError at ``path`` into a StoreError of one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"no space left for {path}: free some room, or choose another results directory"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise StoreError(
                f"{path} is not writable: choose a results directory of your own"
            ) from error
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY}")
