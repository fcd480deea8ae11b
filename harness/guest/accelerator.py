"""Which accelerator guests use: KVM where it is proven to work, else TCG.

``/dev/kvm`` may exist, open and even make a virtual machine and still never boot a kernel
(nested or emulated virtualisation), so the proof is a guest that comes up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.errors import GuestError, UsageError
from harness.guest import qemu
from harness.guest.qemu import Keeper, Machine
from harness.model.hosts import Accelerator
from harness.store import Store, digest_of

DEVICE = Path("/dev/kvm")
PROBE_LIMIT = 10.0
"""Seconds: a cloud kernel reaches init in one or two under KVM."""
_KIND = "accelerators"
_CHOICE = "choice.json"


@dataclass(frozen=True, slots=True)
class Choice:
    """The accelerator, and in one sentence why it is not KVM (empty if it is)."""

    accelerator: Accelerator
    why: str


def choose(
    wanted: str,
    machine: Machine,
    keeper: Keeper,
    *,
    store: Store,
    qemu_version: str,
    device: Path = DEVICE,
    say: Callable[[str], None] = lambda _: None,
) -> Choice:
    """Return the accelerator for ``auto``, ``kvm`` or ``tcg``.

    The answer for ``auto`` is remembered until the machine boots again. ``machine`` is what a
    probe boots; ``say`` is told before it does.

    Raises:
        UsageError: ``kvm`` was asked for and does not work, or the word is unknown.
    """
    if wanted == "tcg":
        return Choice(Accelerator.TCG, "TCG was asked for")
    if wanted not in ("auto", "kvm"):
        raise UsageError(f"unknown accelerator {wanted!r}: give auto, kvm or tcg")
    choice = _remembered(machine, keeper, store, qemu_version, device, say)
    if wanted == "kvm" and choice.accelerator is not Accelerator.KVM:
        raise UsageError(f"KVM was asked for but does not work: {choice.why}")
    return choice


def obstacle(device: Path = DEVICE) -> str:
    """Return why KVM cannot even be tried, in one sentence; empty when it can."""
    if not device.exists():
        return f"{device} does not exist (no virtualisation, or its kernel module is not loaded)"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"no permission on {device}: add yourself to the group that owns it (kvm)"
    return ""


def recalled(store: Store, qemu_version: str, cpu: str, device: Path = DEVICE) -> Choice | None:
    """Return what ``auto`` is without a trial: no KVM, or what was proven since the machine's boot.

    None: nothing was tried yet.
    """
    why = obstacle(device)
    if why:
        return Choice(Accelerator.TCG, why)
    entry = store.find(_KIND, digest_of(_boot(), qemu_version, cpu))
    return _read(entry) if entry else None


def _remembered(
    machine: Machine,
    keeper: Keeper,
    store: Store,
    qemu_version: str,
    device: Path,
    say: Callable[[str], None],
) -> Choice:
    known = recalled(store, qemu_version, machine.host.cpu, device)
    if known:
        return known

    def probe(directory: Path) -> None:
        say(f"accelerator: trying KVM with {machine.host.name}")
        (directory / _CHOICE).write_text(json.dumps(asdict(_probe(machine, keeper))))

    key = digest_of(_boot(), qemu_version, machine.host.cpu)
    return _read(store.make(_KIND, key, f"accelerator of boot {_boot()}", probe))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _read(entry: Path) -> Choice:
    facts = json.loads((entry / _CHOICE).read_text())
    return Choice(Accelerator(facts["accelerator"]), facts["why"])


def _probe(machine: Machine, keeper: Keeper) -> Choice:
    try:
        with qemu.running(replace(machine, accelerator=Accelerator.KVM), keeper) as running:
            running.wait_for("harness: ready", PROBE_LIMIT, "a trial boot under KVM")
    except GuestError as error:
        return Choice(Accelerator.TCG, f"KVM does not work here: {error}")
    return Choice(Accelerator.KVM, "")
