"""The way to a guest under stress: many commands, many bytes, many at once, cut and made again.

SSH over a virtio console that has lost a wake-up stands still until the host sends something, which
:mod:`harness.guest.ssh` does. What was mended so is counted: a command that took longer than its
first pulse.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from harness.bench.figures import Figures
from harness.errors import GuestError
from harness.guest import snapshot
from harness.guest.apparatus import SLOTS
from harness.guest.guest import Guest
from harness.guest.ssh import PULSE
from harness.laboratory import Laboratory, Ready

LIMIT = 600.0
"""Seconds that one transfer may take: emulation is slow, a hang is longer."""
RECONNECT = 60.0
_FILE = "/run/harness/stress"
_KINDS = ("commands", "sessions", "in", "out", "cuts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much of everything; transfers are in bytes."""

    commands: int = 10_000
    transfer: int = 100_000_000
    sessions: int = 8
    cuts: int = 20


def channel(lab: Laboratory, ready: Ready, load: Load) -> Figures:
    """Stress the way to a guest that was just restored; everything that comes is checked.

    Raises:
        GuestError: something was lost, came twice or came wrong, or the guest was lost.
    """
    apparatus = lab.assembly.apparatus
    machine = replace(ready.machine, disks=(apparatus.slot(SLOTS[0]),))
    saved = apparatus.snapshot(machine)
    with lab.place(), snapshot.restored(machine, saved, apparatus.keeper) as guest:
        figures: Figures = {"commands": _commands(guest, range(load.commands))}
        figures["sessions"] = _sessions(guest, load)
        figures["in"], figures["out"] = _transfers(guest, load.transfer)
        figures["cuts"] = _cuts(guest, load.cuts)
    return figures


def lines(name: str, figures: Figures) -> list[str]:
    """Return the figures of a kernel in words."""
    return [
        f"{name}: {kind}: " + ", ".join(f"{what} {value}" for what, value in figures[kind].items())
        for kind in _KINDS
    ]


def _commands(guest: Guest, numbers: Sequence[int]) -> Figures:
    took = [_command(guest, number) for number in numbers]
    return _spread(took)


def _command(guest: Guest, number: int) -> float:
    begin = time.monotonic()
    said = guest.run(f"echo {number}").stdout
    if said != b"%d\n" % number:
        raise GuestError(f"the command {number} of the stress was answered {said[:80]!r}")
    return time.monotonic() - begin


def _sessions(guest: Guest, load: Load) -> Figures:
    begin = time.monotonic()
    with ThreadPoolExecutor(load.sessions) as pool:
        took = list(pool.map(lambda number: _command(guest, number), range(load.commands // 10)))
    each = load.commands // 10 / (time.monotonic() - begin)
    return {"at once": load.sessions, **_spread(took), "a second": round(each, 1)}


def _transfers(guest: Guest, size: int) -> tuple[Figures, Figures]:
    data = os.urandom(size)
    digest = hashlib.sha256(data).hexdigest()
    begin = time.monotonic()
    guest.run(f"cat >{_FILE}", stdin=data, limit=LIMIT)
    into = time.monotonic() - begin
    there = guest.run(f"sha256sum {_FILE}", limit=LIMIT).stdout.decode().split()[0]
    begin = time.monotonic()
    said = guest.run(f"cat {_FILE}; rm {_FILE}", limit=LIMIT)
    out = time.monotonic() - begin
    if there != digest or hashlib.sha256(said.stdout).hexdigest() != digest:
        raise GuestError(f"{size} bytes to the guest and back came otherwise than they went")
    return _speed(size, into), _speed(size, out)


def _cuts(guest: Guest, number: int) -> Figures:
    took = []
    for each in range(number):
        begin = time.monotonic()
        guest.reconnect(RECONNECT)
        _command(guest, each)
        took.append(time.monotonic() - begin)
    return {
        "number": number,
        "median s": round(statistics.median(took), 4),
        "worst s": round(max(took), 3),
    }


def _spread(took: Sequence[float]) -> Figures:
    ordered = sorted(took)
    return {
        "number": len(took),
        "median ms": round(1000 * statistics.median(took), 1),
        "99 % ms": round(1000 * ordered[len(ordered) * 99 // 100], 1),
        "worst ms": round(1000 * ordered[-1], 1),
        f"above {1000 * PULSE:g} ms": sum(one > PULSE for one in took),
    }


def _speed(size: int, seconds: float) -> Figures:
    return {
        "MB": round(size / 1e6, 1),
        "s": round(seconds, 2),
        "MB/s": round(size / 1e6 / seconds, 1),
    }
