"""The nearest neighbour, measured beside: virtme-ng, which boots a kernel for each command."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from harness import process
from harness.bench.figures import Figures, ratio, spread
from harness.bench.guests import IMAGE, TRUE
from harness.bench.loops import observed
from harness.errors import ToolError
from harness.guest.qemu import EMULATED
from harness.laboratory import Laboratory, Ready
from harness.model.hosts import Accelerator

PROGRAM = "vng"
MODULES = Path("/lib/modules")
"""Where virtme-ng looks for a kernel's modules, which it needs to reach the host's root."""
_LIMIT = 600.0


def virtme_ng(lab: Laboratory, ready: Ready, repeat: int) -> Figures:
    """Time ``/bin/true`` under virtme-ng and in a cell, all included, in turn, on one kernel.

    virtme-ng gets as many processors, as much memory and the same words on the kernel's command
    line as the cell's guest.

    Raises:
        ToolError: virtme-ng is not installed or cannot run this kernel.
        GuestError: the cell did not pass.
    """
    release = ready.survey.facts.release
    if shutil.which(PROGRAM) is None:
        raise ToolError(f"there is no {PROGRAM} on PATH: pip install virtme-ng")
    if not (MODULES / release).is_dir():
        raise ToolError(
            f"virtme-ng needs the modules of {release} in {MODULES}: install its package"
        )
    theirs, ours = [], []
    observed(lab, ready.entry, TRUE, IMAGE)
    for _ in range(repeat):
        theirs.append(_commanded(ready))
        begin = time.monotonic()
        observed(lab, ready.entry, TRUE, IMAGE)
        ours.append(time.monotonic() - begin)
    return {"virtme_ng": spread(theirs), "cell": spread(ours), "ratio": ratio(ours, theirs)}


def _commanded(ready: Ready) -> float:
    host = ready.machine.host
    emulated = ready.machine.accelerator is Accelerator.TCG
    words: list[str | Path] = [PROGRAM, "--run", host.kernel.vmlinuz, "--cpus", str(host.cpus)]
    words += ["--memory", f"{host.memory}M", *(["--disable-kvm"] if emulated else [])]
    words += [f"--append={word}" for word in (EMULATED.split() if emulated else ())]
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
        return process.run([*words, "--", "/bin/true"], limit=_LIMIT, cwd=Path(name)).seconds
