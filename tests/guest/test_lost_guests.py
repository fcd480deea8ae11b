"""Guests that are lost end their own cell with that verdict, and the next one gets a fresh one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from guest.conftest import Observe, one_step

from harness.guest.guest import Guest
from harness.laboratory import Laboratory
from harness.model.observations import Verdict
from harness.model.scenarios import Scenario, Step

pytestmark = pytest.mark.guest

IMAGE = "debian-trixie"
KERNEL = "latest"


def qemu_of(supervisor: int) -> int:
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text()
    return int(children.split()[0])


def test_a_step_that_never_ends_times_out_and_the_next_cell_passes(observe: Observe) -> None:
    step = Step(run=("sleep", "1000"), timeout=2.0)
    scenario = Scenario(name="sleeps", file="f.yaml", line=1, images=(), steps=(step,))
    seen = observe(KERNEL, IMAGE, scenario)
    assert seen.verdict is Verdict.TIMED_OUT
    assert seen.steps[0].timed_out
    assert observe(KERNEL, IMAGE, one_step("true")).verdict is Verdict.PASSED


def test_qemu_killed_in_a_step_is_noticed_at_once_and_said(
    observe: Observe, laboratory: Laboratory, tmp_path: Path
) -> None:
    observe(KERNEL, IMAGE, one_step("true"))  # all is prepared: from here on one QEMU runs
    keeper = laboratory.assembly.apparatus.keeper
    stop = threading.Event()

    def kill_the_first() -> None:
        while not stop.is_set():
            for running in keeper.running():
                # Only once the container's step is under way: the console is quiet before.
                if Path(tmp_path / "console.log").exists() and running.pid:
                    if stop.wait(4):
                        return
                    os.kill(qemu_of(running.pid), signal.SIGKILL)
                    return
            stop.wait(0.05)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    try:
        seen = observe(KERNEL, IMAGE, one_step("sleep", "100"))
    finally:
        stop.set()
        killer.join()
    assert seen.verdict is Verdict.DIED
    assert "died" in seen.reason
    assert seen.durations["cell"] < 60
    assert observe(KERNEL, IMAGE, one_step("true")).verdict is Verdict.PASSED


def lost(laboratory: Laboratory, act: Callable[[Guest], object]) -> str:
    ready = laboratory.ready(laboratory.assembly.entry(KERNEL))
    with (
        pytest.raises(Exception, match="died") as caught,
        laboratory.assembly.apparatus.booted(ready.machine) as guest,
    ):
        act(guest)
    return str(caught.value)


def test_a_panic_ends_the_guest_with_the_panics_words(laboratory: Laboratory) -> None:
    said = lost(laboratory, lambda guest: guest.run("echo c >/proc/sysrq-trigger", limit=60))
    assert "Kernel panic" in said


def test_a_container_that_takes_all_memory_is_killed_and_told_so(observe: Observe) -> None:
    hungry = one_step("perl", "-e", "$x .= q(a) x 1e7 while 1", memory=64 << 20)
    seen = observe(KERNEL, IMAGE, hungry)
    assert seen.verdict is Verdict.FAILED
    assert seen.steps[0].signal == "KILL"
    assert any("Memory cgroup out of memory" in line for line in seen.messages)


def test_two_guests_of_one_snapshot_have_neither_random_numbers_nor_identity_in_common(
    observe: Observe,
) -> None:
    scenario = one_step("sh", "-c", "head -c 16 /dev/urandom | od -An -tx1; date +%s")
    first, second = (observe("5.10", IMAGE, scenario) for _ in range(2))
    assert first.durations["restore"] > 0
    one, two = (seen.steps[0].stdout.splitlines() for seen in (first, second))
    assert one[0] != two[0]
    assert int(two[1]) >= int(one[1])
