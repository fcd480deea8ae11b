"""Sessions that are killed with guests of theirs running: nothing of them stays, and they go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

pytestmark = pytest.mark.guest

KERNEL = "5.10"
PATIENCE = 300.0
"""Seconds: a first run may fetch, build and survey before it boots."""
Found = TypeVar("Found")
SCENARIOS = """scenarios:
  quick:
    image: debian-trixie
    run: "true"
  waits:
    image: debian-trixie
    run: [sleep, "5"]
"""


def children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(one) for task in tasks for one in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def below(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from below(child)


def is_qemu(pid: int) -> bool:
    try:
        return "qemu" in Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return False


def eventually(found: Callable[[], Found], what: str) -> Found:
    deadline = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return value


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["pytest", "worker"])
def test_whoever_is_killed_leaves_no_guest_and_no_file_and_the_run_goes_on(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "some.yaml").write_text(SCENARIOS)
    own = tmp_path / "tmp"
    own.mkdir(mode=0o711)
    words = [sys.executable, "-m", "pytest", "-q", "scenarios", f"--kernels={KERNEL}", "--guests=1"]
    given = {"cwd": tmp_path, "env": os.environ | {"TMPDIR": str(own)}, "text": True}
    with subprocess.Popen([*words, *workers], stdout=subprocess.PIPE, **given) as session:  # type: ignore[call-overload]

        def waiting() -> list[int]:
            begun = list(tmp_path.glob("results/*/*/*waits*"))
            return [pid for pid in below(session.pid) if begun and is_qemu(pid)]

        victim = session.pid
        guests = eventually(waiting, "no guest of the longer cell runs")
        if workers:
            victim = next(one for one in children(session.pid) if {*guests} & {*below(one)})
        mine = list(below(victim))
        os.kill(victim, signal.SIGKILL)
        session.communicate(timeout=PATIENCE)
    assert session.returncode != 0
    eventually(lambda: not any(map(is_qemu, mine)), "a guest outlives its session")
    eventually(lambda: not list(own.glob("harness-*")), "a guest's directory is left")
    resumed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--resume"],
        check=False,
        capture_output=True,
        **given,  # type: ignore[call-overload]
    )
    assert resumed.returncode == 0, resumed.stdout
    [run] = {path.resolve() for path in tmp_path.glob("results/*/run.json")}
    assert len(json.loads(run.read_text())["cells"]) == 2
    assert not list(own.glob("harness-*"))
