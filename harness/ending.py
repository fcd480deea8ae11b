"""Threads that were told to end: they begin nothing more, and wait for no other process.

It is told to threads, since those that do a session's work end with it, while the one that ends
it goes on to write its reports, and another session may follow in the same process.
"""

from __future__ import annotations

import threading
from weakref import WeakSet

from harness.errors import EndedError

_told: WeakSet[threading.Thread] = WeakSet()
"""Threads are the whole process's, as its signal handlers are."""


def tell_others() -> None:
    """Tell every thread but this one to end."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            _told.add(thread)


def heed() -> None:
    """Go on only if this thread was not told to end.

    Raises:
        EndedError: it was.
    """
    if threading.current_thread() in _told:
        raise EndedError("the session ends: nothing is begun and nothing waited for any more")
