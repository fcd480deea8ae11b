"""How fast this machine runs guests and cells, and what tracing costs: measured, as ratios.

A machine's speed changes from minute to minute, so what is compared is measured in turn, one of
each, and a ratio is the median of the pairs' ratios.
"""

from __future__ import annotations

import os
import platform

from harness.bench import channel, guests, loops, neighbours, sessions
from harness.bench.channel import Load
from harness.bench.figures import Figures
from harness.bench.table import table
from harness.errors import HarnessError
from harness.kernels import selection
from harness.laboratory import Laboratory
from harness.model.hosts import HostEntry

__all__ = ["IMAGES", "Load", "growth", "matrix", "measure", "stress", "table"]

IMAGES = {loops.IMAGE.name: loops.IMAGE}
"""What a laboratory's images need besides the catalog's."""
matrix = sessions.matrix


def measure(lab: Laboratory, expression: str, repeat: int, *, neighbour: bool = False) -> Figures:
    """Return the figures of the kernels that ``expression`` means, ``repeat`` runs of each.

    With ``neighbour`` virtme-ng is measured beside.

    What cannot be measured has a key ``problem`` instead, which says why.

    Raises:
        HarnessError: no kernel is meant, or an image cannot be had.
    """
    entries = _entries(lab, expression)
    for name in (guests.IMAGE, loops.IMAGE.name):
        lab.image(name)
    kernels = [_kernel(lab, entry, repeat, neighbour) for entry in entries]
    return {"machine": _machine(lab), "repeat": repeat, "kernels": kernels}


def stress(lab: Laboratory, expression: str, load: Load) -> list[Figures]:
    """Return what became of the way to a guest under stress, on each kernel meant.

    One that could not be had or lost something has a key ``problem`` instead, which says what.

    Raises:
        HarnessError: no kernel is meant.
    """
    found: list[Figures] = []
    for entry in _entries(lab, expression):
        figures: Figures = {"name": entry.name}
        try:
            figures |= channel.channel(lab, lab.ready(entry), load)
            for line in channel.lines(entry.name, figures):
                lab.assembly.progress.say(line)
        except HarnessError as error:
            figures["problem"] = str(error)
            lab.assembly.progress.say(f"{entry.name}: {error}")
        found.append(figures)
    return found


def growth(lab: Laboratory, expression: str) -> list[Figures]:
    """Return what sessions of ever more cells take, on the last kernel of ``expression``.

    Raises:
        HarnessError: no kernel is meant, or pytest did not run to its end.
    """
    return sessions.growth(lab, _entries(lab, expression)[-1].name, guests.IMAGE)


def _entries(lab: Laboratory, expression: str) -> list[HostEntry]:
    return selection.select(expression, lab.assembly.entries, lab.assembly.locks)


def _kernel(lab: Laboratory, entry: HostEntry, repeat: int, neighbour: bool) -> Figures:
    def say(text: str) -> None:
        lab.assembly.progress.say(f"{entry.name}: {text}")

    figures: Figures = {"name": entry.name}
    try:
        ready = lab.ready(entry)
        figures["release"] = ready.survey.facts.release
        figures |= guests.starts(lab, ready, repeat)
        say(f"a restored guest takes {figures['ratio']['median']:.2f} of a boot")
        figures["memory"] = guests.memory(lab, ready)
        say(f"{guests.GUESTS} guests take {figures['memory']['all']:.0f} MiB")
        figures["cell"] = guests.cells(lab, entry, repeat)
        say(f"a cell takes {figures['cell']['cell']['median']:.2f} s")
        if neighbour:
            figures["virtme_ng"] = neighbours.virtme_ng(lab, ready, repeat)
            say(f"a cell takes {figures['virtme_ng']['ratio']['median']:.2f} of virtme-ng's time")
        figures["tracing"] = {}
        for loop in loops.LOOPS:
            took = figures["tracing"][loop.name] = loops.tracing(lab, entry, loop, repeat)
            say(f"tracing on over off is {took['ratio']['median']:.3f} ({loop.name})")
    except HarnessError as error:
        figures["problem"] = str(error)
        say(str(error))
    return figures


def _machine(lab: Laboratory) -> Figures:
    chosen = lab.assembly.chosen
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "load": round(os.getloadavg()[1], 2),
        "accelerator": str(chosen.accelerator) if chosen else "",
        "why": chosen.why if chosen else "",
        "qemu": lab.assembly.apparatus.qemu_version,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
