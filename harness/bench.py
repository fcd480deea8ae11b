"""How fast this machine runs guests and cells, and what tracing costs: measured, as ratios.

A machine's speed changes from minute to minute, so what is compared is measured in turn, one of
each, and a ratio is the median of the pairs' ratios.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import process
from harness.assembly import Assembly
from harness.errors import GuestError, HarnessError
from harness.guest import snapshot
from harness.guest.apparatus import SLOTS
from harness.guest.qemu import Machine
from harness.kernels import selection
from harness.laboratory import Laboratory, Ready
from harness.model import HostEntry, Observation, Scenario, Step, Verdict

Figures = dict[str, Any]
"""Figures as they are written to a file: nothing but JSON's types."""

IMAGE = "debian-trixie"
PARTS = (
    *("qemu", "restore", "boot", "connect", "freshen"),
    *("arm", "attach", "start", "steps", "collect", "cell"),
)
"""What a cell's seconds go to, in their order; ``cell`` is all of it."""
ROUNDS = 5
_TOOK = re.compile(r"took ([0-9.]+) s")
_TRUE = Step(name="true", run=("/bin/true",))


def _loop(name: str, command: str) -> Step:
    """Return a step that runs a command of the shell ROUNDS times and says how long each took."""
    text = f"""for (1..{ROUNDS}) {{ $begin = time; system($ARGV[0]);
printf qq(took %.4f s\n), time - $begin }}"""
    return Step(name=name, run=("perl", "-MTime::HiRes=time", "-e", text, command), timeout=300.0)


LOOPS = {
    "tracing": _loop("archive", "tar -cf - /etc /usr/share 2>&1 | cat >/dev/null"),
    "tracing_files": _loop("files", "find / -xdev -newermt 2100-01-01"),
    "tracing_calls": _loop("calls", "dd if=/dev/zero of=/dev/null bs=1 count=50000 2>&1"),
}
"""What is run with tracing and without it: every small file of the image opened, read and closed;
every file only looked at; and calls that do nothing, the worst that a program can do."""
_MATRIX_LIMIT = 4 * 3600.0


def measure(lab: Laboratory, expression: str, repeat: int) -> Figures:
    """Return the figures of the kernels that ``expression`` means, ``repeat`` runs of each.

    What cannot be measured has a key ``problem`` instead, which says why.

    Raises:
        HarnessError: no kernel is meant, or the image cannot be had.
    """
    made = lab.assembly
    entries = selection.select(expression, made.entries, made.locks)
    lab.image(IMAGE)
    say = made.progress.say
    with _without_tracing(lab) as plain:
        kernels = [_kernel(lab, plain, entry, max(1, repeat), say) for entry in entries]
    return {"machine": _machine(lab), "repeat": max(1, repeat), "kernels": kernels}


@contextmanager
def _without_tracing(lab: Laboratory) -> Iterator[Laboratory]:
    made = Assembly(replace(lab.assembly.options, traced=False), lab.assembly.progress)
    try:
        yield Laboratory(made, lab.images)
    finally:
        made.close()


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


def _kernel(
    lab: Laboratory, plain: Laboratory, entry: HostEntry, repeat: int, say: Callable[[str], None]
) -> Figures:
    figures: Figures = {"name": entry.name}
    try:
        ready = lab.ready(entry)
        figures["release"] = ready.survey.facts.release
        figures |= _starts(lab, ready, repeat)
        say(f"{entry.name}: a restored guest takes {figures['ratio']['median']:.2f} of a boot")
        figures["cell"] = _cells(lab, entry, repeat)
        say(f"{entry.name}: a cell takes {figures['cell']['cell']['median']:.2f} s")
        for key, loop in LOOPS.items():
            figures[key] = _tracing(lab, plain, entry, loop, repeat)
            ratio = figures[key]["ratio"]["median"]
            say(f"{entry.name}: tracing on over off is {ratio:.3f} ({loop.name})")
    except HarnessError as error:
        figures["problem"] = str(error)
        say(f"{entry.name}: {error}")
    return figures


def _starts(lab: Laboratory, ready: Ready, repeat: int) -> Figures:
    """Time a cold boot and a restored guest, each from its start to its first command's end."""
    apparatus = lab.assembly.apparatus
    machine = replace(ready.machine, disks=(apparatus.slot(SLOTS[0]),))
    saved = apparatus.snapshot(machine)
    cold, restored = [], []
    with lab.place():
        for _ in range(repeat):
            cold.append(_booted(lab, machine))
            restored.append(_restored(lab, machine, saved))
    return {"cold": _figure(cold), "restored": _figure(restored), "ratio": _ratio(restored, cold)}


def _booted(lab: Laboratory, machine: Machine) -> float:
    begin = time.monotonic()
    with lab.assembly.apparatus.booted(machine) as guest:
        guest.run("true")
        return time.monotonic() - begin


def _restored(lab: Laboratory, machine: Machine, saved: Path) -> float:
    begin = time.monotonic()
    with snapshot.restored(machine, saved, lab.assembly.apparatus.keeper) as guest:
        guest.run("true")
        return time.monotonic() - begin


def _cells(lab: Laboratory, entry: HostEntry, repeat: int) -> Figures:
    """Time cells of ``/bin/true``, part by part."""
    _observed(lab, entry, _TRUE)  # what is made once is no cell's
    seen = [_observed(lab, entry, _TRUE).durations for _ in range(repeat)]
    return {
        part: _figure([durations[part] for durations in seen])
        for part in PARTS
        if all(part in durations for durations in seen)
    }


def _tracing(
    lab: Laboratory, plain: Laboratory, entry: HostEntry, loop: Step, repeat: int
) -> Figures:
    """Time a loop of system calls with tracing and without, in turn."""
    on, off = [], []
    for _ in range(repeat):
        off.append(_best(_observed(plain, entry, loop)))
        on.append(_best(_observed(lab, entry, loop)))
    return {"on": _figure(on), "off": _figure(off), "ratio": _ratio(on, off)}


def _best(seen: Observation) -> float:
    """Return the shortest of the loop's rounds, by the guest's clock: the least disturbed one."""
    took = [float(text) for text in _TOOK.findall(seen.steps[0].stdout)]
    if len(took) != ROUNDS:
        raise GuestError(f"the loop says {seen.steps[0].stdout!r} instead of its times")
    return min(took)


def _observed(lab: Laboratory, entry: HostEntry, step: Step) -> Observation:
    scenario = Scenario(name="bench", file="", line=0, images=(IMAGE,), steps=(step,))
    seen = lab.observe(f"bench[{entry.name}-{step.name}]", scenario, IMAGE, entry, None)
    if seen.verdict is not Verdict.PASSED:
        raise GuestError(f"{step.name} in {IMAGE}: {seen.verdict}: {seen.reason}")
    return seen


def matrix(lab: Laboratory, expression: str) -> Figures:
    """Time ``pytest --kernels=EXPRESSION`` in the working directory.

    ``first`` also makes what is missing; ``one`` runs one cell at a time, ``auto`` as many as
    fit.

    Raises:
        ToolError: pytest did not run to its end.
    """
    took = {}
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as results:
        for name, guests in (("first", "auto"), ("one", "1"), ("auto", "auto")):
            done = process.run(
                [
                    *(sys.executable, "-m", "pytest", "-q", f"--kernels={expression}"),
                    *(f"--guests={guests}", f"--results={results}"),
                    f"--accel={lab.assembly.options.accelerator}",
                ],
                limit=_MATRIX_LIMIT,
                cwd=lab.assembly.options.rootdir,
                check=False,
            )
            if done.status not in (0, 1):  # 1: cells failed, which takes its time as well
                said = (done.stdout + done.stderr).decode(errors="replace").strip()
                raise GuestError(f"pytest ended with status {done.status}: {said[-500:]}")
            took[name] = round(done.seconds, 1)
            lab.assembly.progress.say(f"matrix, {name}: {done.seconds:.0f} s")
    return {**took, "ratio": round(took["auto"] / took["one"], 3)}


def _figure(values: Sequence[float]) -> Figures:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
    }


def _ratio(values: Sequence[float], bases: Sequence[float]) -> Figures:
    return _figure([value / base for value, base in zip(values, bases, strict=True)])


def table(figures: Figures) -> str:
    """Return figures as Markdown: medians, with the least and the most in brackets."""
    machine = figures["machine"]
    lines = [
        f"{machine['cores']} cores, {machine['memory_mib']} MiB, QEMU {machine['qemu']} "
        f"({machine['accelerator']}), load {machine['load']}; {figures['repeat']} runs of each",
        "",
        "| kernel | cold boot, s | restored, s | ratio | cell, s | "
        "tracing on/off: archive | files | calls |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(kernel) for kernel in figures["kernels"]),
    ]
    split = [kernel for kernel in figures["kernels"] if "cell" in kernel]
    parts = [part for part in PARTS if any(part in kernel["cell"] for kernel in split)]
    if split:
        lines += [
            "",
            f"| a cell's seconds | {' | '.join(parts)} |",
            "|---" * (len(parts) + 1) + "|",
        ]
    for kernel in split:
        cells = (_seconds(kernel["cell"].get(part)) for part in parts)
        lines.append(f"| {kernel['name']} | {' | '.join(cells)} |")
    if "matrix" in figures:
        took = figures["matrix"]
        lines += [
            "",
            f"matrix: {took['first']} s at first, {took['one']} s one cell at a time, "
            f"{took['auto']} s as many as fit: {took['ratio']}",
        ]
    return "\n".join(lines)


def _row(kernel: Figures) -> str:
    if "problem" in kernel and "cold" not in kernel:
        return f"| {kernel['name']} | {kernel['problem'].splitlines()[0]} | | | | | | |"
    cell = kernel.get("cell", {}).get("cell")
    tracing = (kernel.get(key, {}).get("ratio") for key in LOOPS)
    found = (kernel["cold"], kernel["restored"], kernel["ratio"], cell, *tracing)
    return f"| {kernel['name']} | {' | '.join(_spread(figure) for figure in found)} |"


def _spread(figure: Figures | None) -> str:
    if figure is None:
        return "not measured"
    return f"{figure['median']:.2f} ({figure['min']:.2f} to {figure['max']:.2f})"


def _seconds(figure: Figures | None) -> str:
    return "" if figure is None else f"{figure['median']:.2f}"
