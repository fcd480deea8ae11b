"""Containers that misbehave, and guests and files that are lost at the worst moments."""

from __future__ import annotations

import base64
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from guest.conftest import Observe, one_step
from guest.spinning import spinning
from guest.test_lost_guests import IMAGE, KERNEL, qemu_of

from harness.container import runtime
from harness.container.runtime import KEEP
from harness.errors import GuestError
from harness.guest import ssh
from harness.guest.apparatus import SLOTS
from harness.guest.guest import Guest
from harness.laboratory import Laboratory
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import ContainerSpec, Expect, Scenario, Step
from harness.scenarios.sitting import Sitting

pytestmark = pytest.mark.guest

FLOOD = 1_000_000_000


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever happens to a guest, its files and the sockets to it are gone with it."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        Path(name).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", name)
        before = sockets()
        yield
        monkeypatch.undo()
        assert not list(Path(name).iterdir())
        assert sockets() <= before


def sockets() -> int:
    """Return how many sockets this process has open."""
    links = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(str(link.readlink()).startswith("socket:") for link in links if link.exists())


def sh(name: str, script: str, exit: int = 0, timeout: float = 60.0) -> Step:
    return Step(name=name, run=("sh", "-c", script), timeout=timeout, expect=Expect(exit=exit))


MISCHIEF = (
    sh("flood", f"head -c {FLOOD} /dev/zero; exit 3", 3, timeout=120.0),
    sh("binary", r"printf '\033[31m\000\377\r\n\033]0;title\007'; exit 4", 4),
    sh("closes", "exec 0<&- 1>&- 2>&-; sleep 1; exit 5", 5),
    sh("background", "sleep 1000 & echo started; exit 6", 6),
    sh("full", "dd if=/dev/zero of=/dev/shm/all bs=1M count=100", 1),
    sh("stays", "trap '' TERM INT HUP; kill $$; echo here; while :; do sleep 1; done", timeout=3.0),
)


def test_a_container_may_flood_close_fork_fill_and_stay_and_each_step_tells_its_own(
    observe: Observe,
) -> None:
    scenario = Scenario(name="mischief", file="f.yaml", line=1, images=(), steps=MISCHIEF)
    seen = observe(KERNEL, IMAGE, scenario)
    assert seen.verdict is Verdict.TIMED_OUT, seen.reason
    assert seen.reason.startswith("stays took longer than")
    steps = {step.name: step for step in seen.steps}
    assert list(steps) == [step.name for step in MISCHIEF]
    assert [step.exit for step in seen.steps][:5] == [3, 4, 5, 6, 1]
    assert len(steps["flood"].stdout) == KEEP
    assert steps["flood"].stdout_dropped == FLOOD - KEEP
    assert steps["binary"].stdout == "\x1b[31m\x00\\xff\r\n\x1b]0;title\x07"
    assert steps["closes"].stdout == steps["closes"].stderr == ""
    assert steps["background"].stdout == "started\n"
    assert "No space left on device" in steps["full"].stderr
    assert steps["stays"].stdout == "here\n"
    assert steps["stays"].timed_out


def test_a_fork_bomb_ends_within_its_limit_and_the_next_cell_passes(observe: Observe) -> None:
    bomb = Step(run=("sh", "-c", "bomb() { bomb | bomb & }; bomb; sleep 1000"), timeout=3.0)
    scenario = Scenario(
        name="bomb",
        file="f.yaml",
        line=1,
        images=(),
        steps=(bomb,),
        container=replace(ContainerSpec(), pids=64),
    )
    assert observe(KERNEL, IMAGE, scenario).verdict is Verdict.TIMED_OUT
    assert observe(KERNEL, IMAGE, one_step("true")).verdict is Verdict.PASSED


def test_a_guest_that_spins_with_interrupts_off_is_given_up_when_its_steps_time_is_over(
    observe: Observe, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_GRACE", 20)  # a minute more changes nothing but this test's time
    modules = laboratory.ready(laboratory.assembly.entry(KERNEL)).machine.host.kernel.modules
    assert modules is not None
    module = base64.b64encode(spinning(modules)).decode()
    perl = "open F, q(/dev/shm/spin.ko); $p = q(); print syscall 313, fileno F, $p, 0; print $!"
    steps = (
        sh("writes", f"echo {module} | base64 -d >/dev/shm/spin.ko"),
        Step(name="spins", run=("perl", "-e", perl), timeout=10.0),
    )
    spec = replace(ContainerSpec(), cap_add=("SYS_MODULE",))
    scenario = Scenario(name="spins", file="f.yaml", line=1, images=(), steps=steps, container=spec)
    seen = observe(KERNEL, IMAGE, scenario)
    assert seen.verdict is Verdict.DIED, (seen.reason, seen.steps)
    assert "did not end" in seen.reason
    assert observe(KERNEL, IMAGE, one_step("true")).verdict is Verdict.PASSED


def test_a_clock_that_jumps_in_the_guest_changes_no_limit_and_no_duration(observe: Observe) -> None:
    jumps = ("date -s 2001-02-03", "date -s 2035-06-07", "date -s 1999-01-01")
    steps = tuple(sh(f"jump-{n}", f"{jump} && sleep 1") for n, jump in enumerate(jumps))
    scenario = Scenario(
        name="jumps",
        file="f.yaml",
        line=1,
        images=(),
        steps=steps,
        container=replace(ContainerSpec(), cap_add=("SYS_TIME",)),
    )
    seen = observe(KERNEL, IMAGE, scenario)
    assert seen.verdict is Verdict.PASSED, seen.reason
    assert all(1 <= step.seconds < 60 for step in seen.steps)
    assert all(0 <= end.offset < 600 for end in seen.ends)


@contextmanager
def killing(laboratory: Laboratory, times: int) -> Iterator[list[int]]:
    """Kill the next QEMUs as soon as each runs; the list gets their pids."""
    keeper = laboratory.assembly.apparatus.keeper
    stop = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < times and not stop.wait(0.002):
            for running in keeper.running():
                try:
                    pid = qemu_of(running.pid)
                except (OSError, IndexError):  # not started yet, or gone
                    continue
                if pid not in killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        stop.set()
        killer.join()


def test_a_qemu_killed_at_its_start_is_noticed_and_the_cell_has_a_second_chance(
    observe: Observe, laboratory: Laboratory
) -> None:
    observe(KERNEL, IMAGE, one_step("true"))
    with killing(laboratory, 1) as killed:
        seen = observe(KERNEL, IMAGE, one_step("true"))
    assert len(killed) == 1
    assert seen.verdict is Verdict.PASSED
    assert any("booted from cold, its snapshot fails" in note for note in seen.notes)
    with killing(laboratory, 2) as killed:
        seen = observe(KERNEL, IMAGE, one_step("true"))
    assert len(killed) == 2
    assert seen.verdict is Verdict.DIED
    assert "died" in seen.reason


def test_a_qemu_killed_when_the_harness_connects_is_lost_and_the_next_cell_passes(
    observe: Observe, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe(KERNEL, IMAGE, one_step("true"))
    connect = ssh.connect

    def killed(path: Path, limit: float) -> paramiko.Transport:
        for running in laboratory.assembly.apparatus.keeper.running():
            os.kill(qemu_of(running.pid), signal.SIGKILL)
        return connect(path, limit)

    monkeypatch.setattr(ssh, "connect", killed)
    seen = observe(KERNEL, IMAGE, one_step("true"))
    monkeypatch.undo()
    assert seen.verdict is Verdict.DIED
    assert observe(KERNEL, IMAGE, one_step("true")).verdict is Verdict.PASSED


def test_a_connection_that_is_cut_in_a_command_is_an_error_at_once(laboratory: Laboratory) -> None:
    ready = laboratory.ready(laboratory.assembly.entry(KERNEL))
    with laboratory.assembly.apparatus.booted(ready.machine) as guest:
        cut = threading.Timer(2.0, lambda: guest.transport.sock.shutdown(socket.SHUT_RDWR))
        cut.start()
        begin = time.monotonic()
        with pytest.raises(GuestError):
            guest.run("sleep 1000", limit=100)
        assert time.monotonic() - begin < 30


def test_a_snapshot_that_was_cut_is_made_anew_and_one_that_is_gone_is_missed_by_nobody(
    laboratory: Laboratory,
) -> None:
    apparatus = laboratory.assembly.apparatus
    ready = laboratory.ready(laboratory.assembly.entry(KERNEL))
    # A machine of its own: nobody else's snapshot is harmed.
    machine = replace(
        ready.machine, disks=(apparatus.slot(SLOTS[0]),), append=f"fault={os.getpid()}"
    )
    saved = apparatus.snapshot(machine)
    try:
        os.truncate(saved / "state", 1000)
        said: list[str] = []
        with apparatus.started(machine, saved, say=said.append) as guest:
            assert guest.run("echo up").stdout == b"up\n"
        assert "booted from cold, its snapshot fails" in said[0]
        assert apparatus.snapshot(machine) == saved
        with apparatus.started(machine, saved, say=said.append) as guest:
            assert guest.durations["restore"] > 0
        assert len(said) == 1
        apparatus.store.drop("snapshots", saved.name)
        with apparatus.started(machine, saved, say=said.append) as guest:
            assert guest.run("echo up").stdout == b"up\n"
        assert said[1].endswith(f"its snapshot fails: {saved}/memory: No such file or directory")
    finally:
        apparatus.store.drop("snapshots", saved.name)


KILL_STEP = r"""
while :; do
    for each in /proc/[0-9]*; do
        case "$(tr '\0' ' ' <$each/cmdline)" in
        "perl "*step.pl*" exec "*) kill -9 "${each#/proc/}" && exit ;;
        esac
    done
    sleep 0.2
done 2>&-
"""


def test_a_command_of_the_harness_that_is_killed_in_a_guest_costs_no_step_that_ended(
    observe: Observe, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, killers = Sitting.run, []

    def kill(guest: Guest) -> None:
        with suppress(GuestError):  # the guest may be given up before this is answered
            guest.run(KILL_STEP)

    def killed(self: Sitting, step: Step, *words: object, **named: object) -> object:
        if step.name == "sleeps":
            killers.append(threading.Thread(target=kill, args=(self._guest,)))
            killers[0].start()
        return run(self, step, *words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Sitting, "run", killed)
    steps = (sh("says", "echo said"), sh("sleeps", "sleep 1000"))
    scenario = Scenario(name="killed", file="f.yaml", line=1, images=(), steps=steps)
    seen = observe(KERNEL, IMAGE, scenario)
    killers[0].join(60)
    assert seen.verdict is Verdict.DIED
    assert " ended with status 137 in the guest latest" in seen.reason
    assert [step.stdout for step in seen.steps] == ["said\n"]
    assert observe(KERNEL, IMAGE, one_step("true")).verdict is Verdict.PASSED


def test_a_qemu_killed_while_a_cell_is_collected_costs_no_step_that_ended(
    observe: Observe, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.scenarios import cell

    collect = cell.collect

    def killed(*words: object) -> None:
        [running] = laboratory.assembly.apparatus.keeper.running()
        os.kill(qemu_of(running.pid), signal.SIGKILL)
        collect(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(cell, "collect", killed)
    seen: Observation = observe(KERNEL, IMAGE, one_step("echo", "said"))
    assert seen.verdict is Verdict.DIED
    assert [step.stdout for step in seen.steps] == ["said\n"]
