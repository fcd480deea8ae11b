"""What guests and cells cost: boots, restores, a cell's seconds part by part, shared memory."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from harness.bench.figures import Figures, ratio, spread
from harness.bench.loops import observed
from harness.guest import snapshot
from harness.guest.apparatus import SLOTS
from harness.guest.guest import Guest
from harness.guest.qemu import Machine
from harness.laboratory import Laboratory, Ready
from harness.model.hosts import HostEntry
from harness.model.observations import PARTS
from harness.model.scenarios import Step

IMAGE = "debian-trixie"
"""The image of the cells that are timed."""
BOOT_PARTS = ("firmware", "kernel", "init", "connect")
"""What a cold boot's seconds go to, in their order."""
GUESTS = 8
"""How many idle guests of one snapshot share their memory when it is measured."""
TRUE = Step(name="true", run=("/bin/true",))
"""The cheapest cell."""
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


def starts(lab: Laboratory, ready: Ready, repeat: int) -> Figures:
    """Time a cold boot and a restored guest, each from its start to its first command's end."""
    machine, saved = _saved(lab, ready)
    cold, restored, parts = [], [], []
    with lab.place():
        for _ in range(repeat):
            took, durations = _booted(lab, machine)
            cold.append(took)
            parts.append(durations)
            restored.append(_restored(lab, machine, saved))
    return {
        "cold": spread(cold),
        "restored": spread(restored),
        "ratio": ratio(restored, cold),
        "boot": _parts(BOOT_PARTS, parts),
    }


def cells(lab: Laboratory, entry: HostEntry, repeat: int) -> Figures:
    """Time cells of ``/bin/true``, part by part."""
    observed(lab, entry, TRUE, IMAGE)  # what is made once is no cell's
    return _parts(PARTS, [observed(lab, entry, TRUE, IMAGE).durations for _ in range(repeat)])


def _parts(names: Sequence[str], seen: Sequence[Mapping[str, float]]) -> Figures:
    return {
        part: spread([durations[part] for durations in seen])
        for part in names
        if all(part in durations for durations in seen)
    }


def memory(lab: Laboratory, ready: Ready) -> Figures:
    """Measure what one idle guest takes, and GUESTS of them: proportional set sizes, in MiB.

    The proportional set size (proc(5), smaps_rollup, since Linux 4.14) counts a page that N
    processes share as a Nth of one for each.
    """
    machine, saved = _saved(lab, ready)
    with lab.place(), ExitStack() as stack:
        guests: list[Guest] = []
        alone = 0.0
        for _ in range(GUESTS):
            start = snapshot.restored(machine, saved, lab.assembly.apparatus.keeper)
            guests.append(stack.enter_context(start))
            guests[-1].run("true")
            alone = alone or _pss(guests[0].pid)
        together = sum(_pss(guest.pid) for guest in guests)
    return {"guests": GUESTS, "one": round(alone, 1), "all": round(together, 1)}


def _saved(lab: Laboratory, ready: Ready) -> tuple[Machine, Path]:
    apparatus = lab.assembly.apparatus
    machine = replace(ready.machine, disks=(apparatus.slot(SLOTS[0]),))
    return machine, apparatus.snapshot(machine)


def _booted(lab: Laboratory, machine: Machine) -> tuple[float, dict[str, float]]:
    begin = time.monotonic()
    with lab.assembly.apparatus.booted(machine) as guest:
        guest.run("true")
        return time.monotonic() - begin, guest.durations


def _restored(lab: Laboratory, machine: Machine, saved: Path) -> float:
    begin = time.monotonic()
    with snapshot.restored(machine, saved, lab.assembly.apparatus.keeper) as guest:
        guest.run("true")
        return time.monotonic() - begin


def _pss(owner: int) -> float:
    """Return what a guest's processes take, in MiB: QEMU, and the process that owns it."""
    owned = Path(f"/proc/{owner}/task/{owner}/children").read_text().split()
    sizes = (_PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in (owner, *owned))
    return sum(int(size[1]) for size in sizes if size) / 1024
