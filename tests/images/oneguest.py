"""One guest for the disks of many images: real builds in turn, one boot."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from harness.guest.guest import Guest
from harness.guest.qemu import Disk
from harness.images.disk import BuildGuest

PATIENCE = 600.0
"""Seconds until the last build has come so far."""


class OneGuest:
    """What :func:`harness.images.disk.build_disk` is given by each of ``count`` threads.

    Each says which disks it wants; once all have, a guest with all of them is booted, and each
    build has it for a while, its own disks under the names that it knows.
    """

    def __init__(self, build_guest: BuildGuest, count: int) -> None:
        self._build_guest = build_guest
        self._wanted: dict[int, Sequence[Disk]] = {}
        self._all_there = threading.Barrier(count, self._boot, PATIENCE)
        self._turn = threading.Lock()
        self._stack = ExitStack()
        self._guest: Guest | None = None

    def giving(self, number: int) -> BuildGuest:
        """Return the build guest of build ``number``."""

        def give(disks: Sequence[Disk], slot: int = 0) -> AbstractContextManager[Guest]:
            return self._given(number, disks)

        return give

    def close(self) -> None:
        """End the guest."""
        self._all_there.abort()
        self._stack.close()

    def _boot(self) -> None:
        disks = [
            Disk(
                serial=f"{disk.serial}{number}",
                path=disk.path,
                format=disk.format,
                read_only=disk.read_only,
            )
            for number, wanted in sorted(self._wanted.items())
            for disk in wanted
        ]
        self._guest = self._stack.enter_context(self._build_guest(disks))

    @contextmanager
    def _given(self, number: int, disks: Sequence[Disk]) -> Iterator[Guest]:
        self._wanted[number] = disks
        self._all_there.wait()
        assert self._guest is not None
        with self._turn:
            for disk in disks:
                self._guest.run(
                    f"cd /run/harness/disk && ln -sfn $(readlink -f {disk.serial}{number}) "
                    f"{disk.serial}"
                )
            yield self._guest
            self._guest.run("umount /mnt/scratch /mnt/out 2>/dev/null || true")
