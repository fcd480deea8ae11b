"""Run jobs ahead of need: several at once, their results taken in order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from harness import process
from harness.ending import Ending

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_GLANCE = 0.2
"""Seconds between two looks at what else is to be done while a result is waited for."""


def awaited(future: Future[T], meanwhile: Callable[[], None]) -> T:
    """Return a future's result, or raise what it raised; ``meanwhile`` is called now and then.

    It is called in the waiting thread, which alone may do some things, such as writing to a
    terminal.
    """
    while not wait([future], timeout=_GLANCE).done:
        meanwhile()
    meanwhile()
    return future.result()


class Ahead(Generic[K, T]):
    """Runs jobs in their order, ``workers`` at once, and keeps each result until it is taken.

    Its threads end with ``ending``. A job that nobody listed runs when its result is asked for, in
    the asking thread.
    """

    def __init__(self, workers: int, ending: Ending) -> None:
        self._pool = ThreadPoolExecutor(
            max_workers=max(1, workers), thread_name_prefix="cell", initializer=ending.join
        )
        self._futures: dict[K, Future[T]] = {}

    def begin(self, jobs: Sequence[tuple[K, Callable[[], T]]]) -> None:
        """Begin to run jobs; whoever is interrupted in it has something to close."""
        for key, job in jobs:
            self._futures[key] = self._pool.submit(job)

    def result(
        self,
        key: K,
        otherwise: Callable[[], T],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> T:
        """Return a job's result, or raise what it raised; ``meanwhile`` as for :func:`awaited`."""
        if key not in self._futures:
            return otherwise()
        result = awaited(self._futures[key], meanwhile)
        del self._futures[key]
        return result

    def close(self, interrupt: Callable[[], None]) -> None:
        """Drop what has not begun, ``interrupt`` what runs, and wait for its end."""
        with process.interrupts_held_back():  # whoever is impatient presses Ctrl-C twice
            self._pool.shutdown(wait=False, cancel_futures=True)
            interrupt()
        self._pool.shutdown(wait=True)
