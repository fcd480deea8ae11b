"""A guest's console, read from a process that writes as QEMU does."""

from __future__ import annotations

import subprocess
from io import FileIO
from pathlib import Path

from harness.guest import console as consoles
from harness.guest.console import Console


def test_a_full_disk_costs_the_consoles_log_and_none_of_its_lines() -> None:
    console = Console(Path("/dev/full"))
    words = ["sh", "-c", "for n in $(seq 3000); do echo line $n; done"]
    with FileIO("/dev/full", "ab") as log, subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        consoles.read(child, console, log)
        assert child.wait(10) == 0
    assert console.ended
    assert console.lines[-1] == "line 3000"


def test_a_log_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    with consoles.opened(tmp_path / "gone" / "log") as log:
        assert log.write(b"line") == 4
