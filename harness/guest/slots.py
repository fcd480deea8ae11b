"""How many guests run at once on this machine, over all processes that share a store."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from harness import ending
from harness.errors import UsageError
from harness.model.hosts import Accelerator
from harness.store import Store

RESERVE = 1 << 30
"""Bytes of memory that are left to everything else."""
_POLL = 0.02


def guests_at_once(wanted: str, *, memory: int, cpus: int, accelerator: Accelerator) -> int:
    """Return how many guests of ``memory`` MiB and ``cpus`` each run at once.

    ``auto`` follows cores and free memory: an emulated processor keeps a core busy, and under
    KVM a guest waits about half of its time.

    Raises:
        UsageError: ``wanted`` is neither ``auto`` nor a number from 1 on.
    """
    if wanted != "auto":
        if not wanted.isdigit() or int(wanted) < 1:
            raise UsageError(f"--guests={wanted}: give auto, or a number from 1 on")
        return int(wanted)
    cores = len(os.sched_getaffinity(0))
    by_cores = cores // cpus if accelerator is Accelerator.TCG else 2 * cores // cpus
    by_memory = (_available() - RESERVE) // (memory << 20)
    return max(1, min(by_cores, by_memory))


def _available() -> int:
    """Return what /proc/meminfo calls MemAvailable, in bytes (proc(5))."""
    with open("/proc/meminfo") as file:  # noqa: PTH123 - a Path would read it whole
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return RESERVE


class Places:
    """The places for guests as this process sees them; its threads take them in turn."""

    def __init__(self, store: Store) -> None:
        self._directory = store.root / "locks"
        self._line: deque[object] = deque()
        self._moved = threading.Condition()

    @contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Hold one of ``count`` places; waits for one, and whoever came first gets it first.

        Results are taken in order, so a guest that others overtook would hold up all of them.

        Raises:
            EndedError: this thread was told to end before it had one.
        """
        with self._turn():
            lock = self._lock(count)
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        ticket = object()
        with self._moved:
            self._line.append(ticket)
        try:
            with self._moved:
                self._moved.wait_for(lambda: self._line[0] is ticket)
            yield
        finally:
            with self._moved:
                self._line.remove(ticket)
                self._moved.notify_all()

    def _lock(self, count: int) -> FileLock:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            for number in range(count):
                path = self._directory / f"guest-{number}.lock"
                lock = FileLock(path, is_singleton=False, thread_local=False)
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    continue
                return lock
            ending.heed()
            time.sleep(_POLL)
