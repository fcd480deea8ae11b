"""Which accelerator guests use: KVM where it is proven to work, else TCG.

``/dev/kvm`` may exist, open and even make a virtual machine and still never boot a kernel
(nested or emulated virtualisation), so the proof is a guest that comes up.
"""

from __future__ import annotations

import json
import os
import time
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
KEPT = 3600.0
"""Seconds for which a trial that failed is remembered: it may have been the machine's load, while
one that hangs costs :data:`PROBE_LIMIT` each time."""
_KIND = "accelerators"
_CHOICE = "choice.json"
_TRIED = "tried"


@dataclass(frozen=True, slots=True)
class Choice:
    """The accelerator, and in one sentence why it is not KVM (empty if it is)."""

    accelerator: Accelerator
    why: str


@dataclass(frozen=True, slots=True)
class _Trial:
    """What a trial showed, and when, in seconds since the machine's boot."""

    choice: Choice
    at: float

    @property
    def counts(self) -> bool:
        """Whether it need not be tried anew."""
        return self.choice.accelerator is Accelerator.KVM or _uptime() - self.at < KEPT


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

    That KVM works is remembered until the machine boots again, that it does not for an hour.
    ``machine`` is what a probe boots; ``say`` is told before it does.

    Raises:
        GuestError: the session ended before the trial did, which says nothing of KVM.
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
    """Return what is known without a trial: no KVM, or what the last one since the boot showed.

    None: nothing was tried yet.
    """
    why = obstacle(device)
    if why:
        return Choice(Accelerator.TCG, why)
    tried = _last(store, _key(qemu_version, cpu))
    return tried.choice if tried else None


def _remembered(
    machine: Machine,
    keeper: Keeper,
    store: Store,
    qemu_version: str,
    device: Path,
    say: Callable[[str], None],
) -> Choice:
    why = obstacle(device)
    if why:
        return Choice(Accelerator.TCG, why)
    key = _key(qemu_version, machine.host.cpu)
    tried = _last(store, key)
    if tried and (tried.counts or not os.access(store.root / _KIND, os.W_OK)):
        return tried.choice  # a read-only store still serves

    def probe(directory: Path) -> None:
        say(f"accelerator: trying KVM with {machine.host.name}")
        facts = asdict(_probe(machine, keeper)) | {_TRIED: _uptime()}
        (directory / _CHOICE).write_text(json.dumps(facts))

    with store.lock(f"{_KIND}-trial"):  # who drops one must not drop the next
        tried = _last(store, key)
        if tried and not tried.counts:
            store.drop(_KIND, key)
        return _read(store.make(_KIND, key, f"accelerator of boot {_boot()}", probe)).choice


def _key(qemu_version: str, cpu: str) -> str:
    return digest_of(_boot(), qemu_version, cpu)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _last(store: Store, key: str) -> _Trial | None:
    entry = store.find(_KIND, key)
    try:
        return _read(entry) if entry else None
    except FileNotFoundError:  # another process tries anew
        return None


def _read(entry: Path) -> _Trial:
    facts = json.loads((entry / _CHOICE).read_text())
    return _Trial(Choice(Accelerator(facts["accelerator"]), facts["why"]), facts.get(_TRIED, 0.0))


def _probe(machine: Machine, keeper: Keeper) -> Choice:
    try:
        with qemu.running(replace(machine, accelerator=Accelerator.KVM), keeper) as running:
            running.wait_for("harness: ready", PROBE_LIMIT, "a trial boot under KVM")
    except GuestError as error:
        if keeper.ended:
            raise
        return Choice(Accelerator.TCG, f"KVM does not work here: {error}")
    return Choice(Accelerator.KVM, "")
