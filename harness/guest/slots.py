"""How many guests run at once on this machine, over all processes that share a store."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from harness.errors import UsageError
from harness.model import Accelerator
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


@contextmanager
def taken(store: Store, count: int) -> Iterator[None]:
    """Hold one of ``count`` places for a guest; waits for one."""
    directory = store.root / "locks"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    locks = [
        FileLock(directory / f"guest-{number}.lock", is_singleton=False, thread_local=False)
        for number in range(count)
    ]
    while True:
        for lock in locks:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield
            finally:
                lock.release()
            return
        time.sleep(_POLL)
