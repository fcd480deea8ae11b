"""Guests that are lost end their own cell with that verdict, and the next one gets a fresh one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guest.conftest import Observe, one_step

from harness.container import runtime
from harness.container.runtime import Container, Outcome
from harness.guest.guest import Guest
from harness.laboratory import Laboratory
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Scenario, Step
from harness.scenarios import causes
from harness.verdicts.explanation import explain, named

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


def sent_in_a_step(
    observe: Observe,
    laboratory: Laboratory,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> Observation:
    """Send QEMU a signal a second after a step began, and return what was seen."""
    observe(KERNEL, IMAGE, one_step("true"))  # what is prepared in guests is there from now on
    run, senders = Container.run, []

    def send() -> None:
        [running] = laboratory.assembly.apparatus.keeper.running()
        os.kill(qemu_of(running.pid), number)

    def sent(self: Container, **words: Any) -> Outcome:
        senders.append(threading.Timer(1.0, send))
        senders[0].start()
        return run(self, **words)

    monkeypatch.setattr(Container, "run", sent)
    step = Step(run=("sleep", "100"), timeout=2.0 if number == signal.SIGSTOP else 60.0)
    scenario = Scenario(name="sleeps", file="f.yaml", line=1, images=(), steps=(step,))
    seen = observe(KERNEL, IMAGE, scenario)
    senders[0].join()
    monkeypatch.setattr(Container, "run", run)
    return seen


@pytest.mark.parametrize(
    ("number", "said", "seconds"),
    [(signal.SIGKILL, "died", 60), (signal.SIGSTOP, "did not end", 100)],
    ids=["killed", "standing-still"],
)
def test_a_qemu_that_is_lost_in_a_step_is_noticed_and_the_next_cell_passes(
    observe: Observe,
    laboratory: Laboratory,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    said: str,
    seconds: float,
) -> None:
    monkeypatch.setattr(runtime, "_GRACE", 20)  # a minute more changes nothing but this test's time
    seen = sent_in_a_step(observe, laboratory, monkeypatch, number)
    assert seen.verdict is Verdict.DIED
    assert said in seen.reason
    assert seen.durations["cell"] < seconds
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


@pytest.mark.parametrize(
    ("memory", "said", "cause"),
    [
        (64 << 20, "Memory cgroup out of memory", "memory-limit"),
        (None, "Out of memory", "memory-of-the-host"),
    ],
)
def test_a_container_that_takes_all_memory_is_killed_and_told_so(
    observe: Observe, memory: int | None, said: str, cause: str
) -> None:
    hungry = one_step("perl", "-e", "$x .= q(a) x 1e7 while 1", memory=memory)
    seen = observe(KERNEL, IMAGE, hungry)
    assert seen.verdict is Verdict.FAILED
    assert seen.steps[0].signal == "KILL"
    assert any(said in line for line in seen.messages)
    found = named(explain(seen, causes.load([causes.packaged()])))
    assert found is not None
    assert found.name == cause


def test_a_guest_whose_server_ends_ends_with_it_and_says_so(laboratory: Laboratory) -> None:
    def end_the_server(guest: Guest) -> None:
        # A nameless end of its socket would make it read what lies on its stack.
        assert b"/run/harness/ssh.host" in guest.run("echo $SSH_CONNECTION").stdout
        guest.run("kill -9 $(pidof dropbear); sleep 1000", limit=30)

    assert "harness: lost: the SSH server ended" in lost(laboratory, end_the_server)


def test_two_guests_of_one_snapshot_have_the_hosts_time_and_random_numbers_of_their_own(
    observe: Observe,
) -> None:
    scenario = one_step("sh", "-c", "head -c 16 /dev/urandom | od -An -tx1; date +%s")
    numbers = set()
    for _ in range(2):
        before = int(time.time())
        seen = observe("5.10", IMAGE, scenario)
        assert seen.durations["restore"] > 0
        number, date = seen.steps[0].stdout.splitlines()
        assert before <= int(date) <= time.time()
        numbers.add(number)
    assert len(numbers) == 2
