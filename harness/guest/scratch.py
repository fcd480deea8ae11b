"""The private directory of a guest, and what of such directories killed processes left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "harness-guest-"
_OLD = 60.0
"""Seconds after which a directory that nobody holds was left: who makes one holds it at once."""


@contextmanager
def directory() -> Iterator[Path]:
    """Make a guest's directory (0700) and hold it; remove it after the block.

    Harness and supervisor both hold it (flock(2)), so that it was left when nobody does.
    Directories that were left are removed first.
    """
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        held = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # its file system has no locks: nobody will remove it
                fcntl.flock(held, fcntl.LOCK_SH)
            yield Path(name)
        finally:
            os.close(held)


def sweep(where: Path) -> None:
    """Remove the guests' directories below ``where`` that are old and held by nobody."""
    for left in where.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove_if_left(left)


def _remove_if_left(path: Path) -> None:
    """Remove a directory that was left.

    Raises:
        OSError: it is somebody's, or cannot be removed.
    """
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if time.time() - os.fstat(held).st_mtime > _OLD:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
    finally:
        os.close(held)
