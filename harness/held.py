"""Directories that processes hold: by a lock of the directory's own, which ends with its holder.

Such locks (flock(2)) are known to all processes of a machine, also to those of another container,
in which a process id means another process or none.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OLD = 60.0
"""Seconds after which a directory that nobody holds was left: who makes one holds it at once."""


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    """Open a directory, for its lock, which is let go of at the block's end."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        with suppress(OSError):  # closing would leave it to a process that a test forked
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def share(descriptor: int) -> None:
    """Hold an open directory beside others, as soon as nobody has it alone."""
    with suppress(OSError):  # some file systems have no locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def alone(descriptor: int) -> bool:
    """Hold an open directory alone, if nobody else does; where there are no locks nobody does.

    What was shared before is let go of, also where this fails.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def temporary(where: Path, prefix: str = "") -> Iterator[Path]:
    """Make a private directory (0700) below ``where`` and hold it; remove it after the block.

    Those that were left there by processes that were killed are removed first.

    Raises:
        OSError: it cannot be made.
    """
    sweep(where, prefix)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=where, ignore_cleanup_errors=True) as name,
        opened(Path(name)) as descriptor,
    ):
        share(descriptor)
        yield Path(name)


def sweep(where: Path, prefix: str = "") -> None:
    """Remove the directories below ``where`` that are old and held by nobody."""
    for left in where.glob(f"{prefix}*"):
        with suppress(OSError):
            _remove_if_left(left)


def _remove_if_left(path: Path) -> None:
    """Remove a directory that was left.

    Raises:
        OSError: it is somebody's, who holds it cannot be known, it is a link, or it cannot be
            removed.
    """
    with opened(path) as descriptor:
        if time.time() - os.fstat(descriptor).st_mtime > _OLD:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
