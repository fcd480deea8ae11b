"""What whole sessions of pytest cost: the matrix, and how time and memory grow with cells."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from harness import process
from harness.bench.figures import Figures
from harness.errors import GuestError
from harness.laboratory import Laboratory

SIZES = (10, 100, 1000)
"""Cells of a session, when growth is measured."""
_LIMIT = 4 * 3600.0
_RUNNER = """
import pathlib, re, sys, pytest
status = pytest.main(sys.argv[2:])
peak = re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]
pathlib.Path(sys.argv[1]).write_text(peak)
sys.exit(status)
"""
"""Runs pytest and leaves the most memory that its own process had, in KiB: proc(5), VmHWM."""


def matrix(lab: Laboratory, expression: str) -> Figures:
    """Time ``pytest --kernels=EXPRESSION`` in the working directory.

    ``first`` also makes what is missing; ``one`` runs one cell at a time, ``auto`` as many as
    fit.

    Raises:
        GuestError: pytest did not run to its end.
    """
    took = {}
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
        for run, guests in (("first", "auto"), ("one", "1"), ("auto", "auto")):
            wanted = (f"--kernels={expression}", f"--guests={guests}")
            seconds, _ = _timed(lab, lab.assembly.options.rootdir, Path(name), *wanted)
            took[run] = round(seconds, 1)
            lab.assembly.progress.say(f"matrix, {run}: {seconds:.0f} s")
    return {**took, "ratio": round(took["auto"] / took["one"], 3)}


def growth(lab: Laboratory, kernel: str, image: str) -> list[Figures]:
    """Time sessions of ever more cells of ``/bin/true``, and their process's most memory, in MiB.

    ``a_cell`` is the seconds of each cell beyond those of the session before, since every session
    begins alike.

    Raises:
        GuestError: pytest did not run to its end.
    """
    figures: list[Figures] = []
    earlier, before = 0, 0.0
    for cells in SIZES:
        with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
            names = (
                f"  true{number}: {{image: {image}, run: [/bin/true]}}" for number in range(cells)
            )
            file = Path(name) / "true.scenario.yaml"
            file.write_text("\n".join(["scenarios:", *names]) + "\n")
            seconds, peak = _timed(lab, Path(name), Path(name), f"--kernels={kernel}", str(file))
        a_cell = (seconds - before) / (cells - earlier)
        earlier, before = cells, seconds
        figures.append(
            {"cells": cells, "seconds": round(seconds, 1), "a_cell": round(a_cell, 3)}
            | {"peak_mib": round(peak, 1)}
        )
        lab.assembly.progress.say(
            f"{cells} cells: {a_cell:.2f} s a further cell, at most {peak:.0f} MiB"
        )
    return figures


def _timed(lab: Laboratory, where: Path, into: Path, *wanted: str) -> tuple[float, float]:
    """Run pytest; return its seconds and its process's most memory in MiB."""
    peak, options = into / "peak", lab.assembly.options
    done = process.run(
        [
            *(sys.executable, "-c", _RUNNER, peak, "-q", f"--results={into / 'results'}"),
            *(f"--accel={options.accelerator}", *wanted),
            *(f"--kernel={text}" for text in options.adhoc),
        ],
        limit=_LIMIT,
        cwd=where,
        check=False,
    )
    if done.status not in (0, 1):  # 1: cells failed, which takes its time as well
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise GuestError(f"pytest ended with status {done.status}: {said[-500:]}")
    return done.seconds, int(peak.read_text()) / 1024
