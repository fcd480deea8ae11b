"""SIGTERM ends a session as Ctrl-C does: guests ended, results kept, matrix shown.

So does the end of a worker's controller, which a killed controller cannot tell its workers.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt in the main thread while the block runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt("terminated")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def terminated_with_parent() -> Iterator[None]:
    """Let the end of this process's parent terminate it, too, while the block runs."""
    parent = os.pidfd_open(os.getppid())
    reader, writer = os.pipe()

    def watch() -> None:
        poll = select.poll()
        for descriptor in (parent, reader):
            poll.register(descriptor, select.POLLIN)
        if parent in (descriptor for descriptor, _ in poll.poll()):
            os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch, daemon=True, name="parent")
    watcher.start()
    try:
        yield
    finally:
        os.close(writer)
        watcher.join()
        os.close(reader)
        os.close(parent)
