"""Figures as tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from harness.bench.figures import Figures
from harness.bench.guests import BOOT_PARTS, GUESTS
from harness.bench.loops import LOOPS
from harness.model.observations import PARTS


def table(figures: Figures) -> str:
    """Return figures as Markdown: medians, with the least and the most in brackets."""
    machine, kernels = figures["machine"], figures["kernels"]
    blocks = [
        [
            f"{machine['cores']} cores, {machine['memory_mib']} MiB, QEMU {machine['qemu']} "
            f"({machine['accelerator']}), load {machine['load']}; {figures['repeat']} runs of each"
        ],
        _starts(kernels),
        _tracing([kernel for kernel in kernels if "tracing" in kernel]),
        _split("a cold boot's seconds", "boot", BOOT_PARTS, kernels),
        _split("a cell's seconds", "cell", PARTS, kernels),
        list(_lines(figures)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _starts(kernels: list[Figures]) -> list[str]:
    return [
        "| kernel | cold boot, s | restored, s | ratio | cell, s | 1 guest, MiB "
        f"| {GUESTS} guests |",
        "|---|---|---|---|---|---|---|",
        *(_start(kernel) for kernel in kernels),
    ]


def _start(kernel: Figures) -> str:
    if "problem" in kernel and "cold" not in kernel:
        return f"| {kernel['name']} | {kernel['problem'].splitlines()[0]} | | | | | |"
    cell = kernel.get("cell", {}).get("cell")
    times = (kernel["cold"], kernel["restored"], kernel["ratio"], cell)
    memory = kernel.get("memory")
    sizes = (f"{memory[key]:.0f}" if memory else _MISSING for key in ("one", "all"))
    return f"| {kernel['name']} | {' | '.join((*(_spread(time) for time in times), *sizes))} |"


def _tracing(kernels: list[Figures]) -> list[str]:
    if not kernels:
        return []
    compared = [loop.name for loop in LOOPS if loop.strace]
    names = [*(loop.name for loop in LOOPS), *(f"strace -f: {name}" for name in compared)]
    lines = [f"| tracing on/off | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for kernel in kernels:
        found = [kernel["tracing"].get(loop.name, {}).get("ratio") for loop in LOOPS]
        found += [kernel["tracing"].get(name, {}).get("strace_ratio") for name in compared]
        lines.append(f"| {kernel['name']} | {' | '.join(_spread(each) for each in found)} |")
        counted = [kernel["tracing"].get(loop.name, {}).get("instructions") for loop in LOOPS]
        if any(counted):
            words = [_MISSING if one is None else f"{one:.3f}" for one in counted]
            words += [""] * len(compared)
            lines.append(f"| {kernel['name']}, instructions | {' | '.join(words)} |")
    return lines


def _split(title: str, key: str, names: tuple[str, ...], kernels: list[Figures]) -> list[str]:
    measured = [kernel for kernel in kernels if key in kernel]
    if not measured:
        return []
    parts = [part for part in names if any(part in kernel[key] for kernel in measured)]
    lines = [f"| {title} | {' | '.join(parts)} |", "|---" * (len(parts) + 1) + "|"]
    for kernel in measured:
        took = (kernel[key].get(part) for part in parts)
        cells = ("" if figure is None else f"{figure['median']:.2f}" for figure in took)
        lines.append(f"| {kernel['name']} | {' | '.join(cells)} |")
    return lines


def _lines(figures: Figures) -> Iterator[str]:
    for kernel in figures["kernels"]:
        if "virtme_ng" in kernel:
            took = kernel["virtme_ng"]
            yield (
                f"{kernel['name']}, /bin/true: virtme-ng {_spread(took['virtme_ng'])} s, "
                f"a cell {_spread(took['cell'])} s: {_spread(took['ratio'])}"
            )
    if "matrix" in figures:
        took = figures["matrix"]
        yield (
            f"matrix: {took['first']} s at first, {took['one']} s one cell at a time, "
            f"{took['auto']} s as many as fit: {took['ratio']}"
        )
    for size in figures.get("growth", ()):
        yield (
            f"{size['cells']} cells: {size['seconds']} s, {size['a_cell']} s a further cell, "
            f"at most {size['peak_mib']} MiB"
        )


_MISSING = "not measured"


def _spread(figure: Figures | None) -> str:
    if figure is None:
        return _MISSING
    return f"{figure['median']:.2f} ({figure['min']:.2f} to {figure['max']:.2f})"
