"""Saved guests: boot once to ready, then start every guest from there.

A snapshot is two files. ``memory`` is the guest's RAM, which QEMU wrote in place while it was
mapped shared; guests started from it map it privately, so that they share its pages and copy
only what they write. ``state`` is what the devices were, migrated into a file with the
``x-ignore-shared`` capability, which leaves such RAM out.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from qemu.qmp import QMPClient, QMPError

from harness.errors import GuestDied, GuestTimeout
from harness.guest import guest as guests
from harness.guest import qemu
from harness.guest.guest import Guest
from harness.guest.qemu import Keeper, Machine
from harness.kernels.hosts import identity
from harness.model.hosts import Accelerator
from harness.store import Store, digest_of

SAVE_LIMIT = 60.0
RESTORE_LIMIT = {Accelerator.KVM: 10.0, Accelerator.TCG: 30.0}

_FORMAT = 3


def key(machine: Machine, qemu_version: str) -> str:
    """Return the key of a machine's snapshot: all that a guest from it must have in common."""
    disks = [(disk.serial, disk.read_only, disk.path.stat().st_size) for disk in machine.disks]
    shape = (machine.initramfs.parent.name, machine.accelerator, machine.append, disks)
    return digest_of(_FORMAT, identity(machine.host), qemu_version, shape)


def saved(machine: Machine, keeper: Keeper, *, store: Store, qemu_version: str) -> Path:
    """Return the directory of a machine's snapshot, made when the store has none.

    Raises:
        GuestDied, GuestTimeout: the guest did not come up, or QEMU could not save it.
    """

    def build(directory: Path) -> None:
        _save(machine, keeper, directory)

    host = machine.host
    label = f"snapshot of {host.name} ({host.kernel.release}, {machine.accelerator})"
    return store.make("snapshots", key(machine, qemu_version), label, build, hashed=False)


def _save(machine: Machine, keeper: Keeper, directory: Path) -> None:
    memory = directory / "memory"
    with memory.open("wb") as file:
        file.truncate(machine.host.memory << 20)
    source = replace(machine, memory_file=memory, memory_shared=True)
    with qemu.running(source, keeper) as running:
        guests.ready(running, machine.accelerator)
        _exchange(running, _migrate, directory / "state", SAVE_LIMIT)
    os.chown(memory, os.geteuid(), -1)  # who made it might have been somebody else


@contextmanager
def restored(
    machine: Machine, snapshot: Path, keeper: Keeper, log: Path | None = None
) -> Iterator[Guest]:
    """Start a guest from a snapshot; its relay sets its clock and stirs its random pool.

    Raises:
        GuestDied, GuestTimeout: the snapshot cannot be restored.
    """
    started = time.monotonic()
    limit = RESTORE_LIMIT[machine.accelerator]
    clone = replace(machine, memory_file=snapshot / "memory", incoming=True)
    with qemu.running(clone, keeper, log) as running:
        running.wait_for_sockets(limit)
        spawned = time.monotonic()
        _exchange(running, _accept, snapshot / "state", limit)
        restored_at = time.monotonic()
        with guests.connected(clone, running) as guest:
            guest.durations["qemu"] = spawned - started
            guest.durations["restore"] = restored_at - spawned
            guest.durations["connect"] = time.monotonic() - restored_at
            yield guest


Exchange = Callable[[QMPClient, Path], Awaitable[None]]


def _exchange(running: qemu.Qemu, exchange: Exchange, state: Path, limit: float) -> None:
    """Talk to QEMU's monitor.

    Raises:
        GuestDied, GuestTimeout: QEMU refused, ended, or did not answer in time.
    """

    async def talk() -> None:
        client = QMPClient("harness")
        await client.connect(str(running.directory / "qmp"))
        try:
            capability = {"capability": "x-ignore-shared", "state": True}
            await client.execute("migrate-set-capabilities", {"capabilities": [capability]})
            await exchange(client, state)
        finally:
            await client.disconnect()

    try:
        asyncio.run(asyncio.wait_for(talk(), limit))
    except (QMPError, OSError, EOFError) as error:
        if running.ended(guests.END_LIMIT):
            raise running.died("while its state was handed over") from error
        raise GuestDied(f"QEMU could not hand over state: {error}", running.console()) from error
    except TimeoutError as error:
        raise GuestTimeout("QEMU did not hand over state in time", running.console()) from error


async def _migrate(client: QMPClient, state: Path) -> None:
    # How long the guest stands still does not matter here; the default would throttle.
    await client.execute("migrate-set-parameters", {"max-bandwidth": 1 << 40})
    with state.open("wb") as file:
        client.send_fd_scm(file.fileno())
        await client.execute("getfd", {"fdname": "state"})
    await client.execute("migrate", {"uri": "fd:state"})
    while True:
        status = await client.execute("query-migrate")
        word = status.get("status") if isinstance(status, dict) else None
        if word == "completed":
            return
        if word in ("failed", "cancelled"):
            raise GuestDied(f"QEMU could not save the guest: {status}")
        await asyncio.sleep(0.01)


async def _accept(client: QMPClient, state: Path) -> None:
    with state.open("rb") as file:
        client.send_fd_scm(file.fileno())
        await client.execute("getfd", {"fdname": "state"})
    await client.execute("migrate-incoming", {"uri": "fd:state"})
