"""The end of a session, as its threads hear of it: they begin nothing more and wait for nobody.

Each session has an end of its own, known to its own threads alone: a process may have several, one
within or after another, and the thread that ends a session goes on to write its reports.
"""

from __future__ import annotations

import threading

from harness.errors import EndedError


class Ending:
    """Whether a session has ended; threads that work for it :meth:`join` it when they start."""

    def __init__(self) -> None:
        self._told = threading.Event()

    @property
    def told(self) -> bool:
        """Whether the session has ended."""
        return self._told.is_set()

    def tell(self) -> None:
        """Tell every thread that joined, or will, to end."""
        self._told.set()

    def join(self) -> None:
        """Let this thread's work end with the session."""
        _here.ending = self


class _Here(threading.local):
    ending: Ending | None = None


_here = _Here()


def heed() -> None:
    """Go on only if this thread's session has not ended.

    Raises:
        EndedError: it has.
    """
    if _here.ending is not None and _here.ending.told:
        raise EndedError("the session ends: nothing is begun and nothing waited for any more")
