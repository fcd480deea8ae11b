from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.guest import jail, supervise
from harness.guest.console import Console
from harness.guest.qemu import Qemu

JAIL = jail.words(data=1 << 30, directory="/nonexistent")
WITHOUT = [sys.executable, "-I", "-S", supervise.__file__]
SUPERVISED = [*WITHOUT, "/nowhere/directory", *JAIL]


def ends(pid: int, within: float = 20) -> bool:
    """Wait for the end of a process that is nobody's child here."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within)[0])
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 128 + signal.SIGKILL)]
)
def test_the_childs_status_is_passed_on(script: str, status: int) -> None:
    with subprocess.Popen([*SUPERVISED, "/bin/sh", "-c", script], stdin=subprocess.PIPE) as child:
        assert child.wait(20) == status


def test_a_program_that_cannot_start_is_named() -> None:
    with subprocess.Popen(
        [*SUPERVISED, "/nowhere/qemu"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.wait(20) == 127
        assert child.stderr is not None
        assert child.stderr.read() == b"cannot start /nowhere/qemu: No such file or directory\n"


def test_the_child_dies_with_a_killed_supervisor() -> None:
    with subprocess.Popen(
        [*SUPERVISED, "/bin/sh", "-c", "echo $$; exec sleep 1000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        child.kill()
        assert ends(pid)


def test_closing_the_pipe_ends_the_child_even_if_it_ignores_signals() -> None:
    script = "trap '' TERM INT HUP; echo $$; while :; do sleep 1000; done"
    with subprocess.Popen(
        [*SUPERVISED, "/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        child.stdin.close()
        assert child.wait(20) == 128 + signal.SIGKILL
        assert ends(pid)


def test_a_guest_is_killed_though_a_fork_of_the_harness_has_the_pipe(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*SUPERVISED, "/bin/sh", "-c", "echo $$; exec sleep 1000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        pid = int(child.stdout.readline())
        fork = os.fork()
        if fork == 0:
            signal.alarm(60)
            signal.pause()
        try:
            assert not os.get_inheritable(child.stdin.fileno())  # what it executes has none
            guest = Qemu(child, tmp_path, Console(tmp_path / "console"), child.stderr)
            killer = threading.Thread(target=guest.kill, daemon=True)
            killer.start()
            assert ends(pid)
            killer.join()
            guest.kill()
        finally:
            os.kill(fork, signal.SIGKILL)
            os.waitpid(fork, 0)


def test_the_child_reads_nothing_of_the_pipe() -> None:
    with subprocess.Popen(
        [*SUPERVISED, "/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.read() == b""
        assert child.wait(20) == 0


def test_ctrl_c_of_the_group_does_not_reach_past_the_supervisor() -> None:
    script = "trap 'exit 9' USR1; echo $$; while :; do sleep 0.01; done"
    with subprocess.Popen(
        [*SUPERVISED, "/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(child.pid, number)
        os.kill(pid, signal.SIGUSR1)
        assert child.wait(20) == 9


PARENT = """if True:
    import os, signal, subprocess, sys, threading
    def start():
        child = subprocess.Popen(
            sys.argv[2:] + ["/bin/sh", "-c", "echo $$; exec sleep 1000"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )
        children.append(child)
    children = []
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    print(children[0].stdout.readline().decode(), end="", flush=True)
    if sys.argv[1] == "forks":
        fork = os.fork()
        if fork == 0:
            signal.alarm(60)
            signal.pause()
        print(fork, flush=True)
    sys.stdin.read()
"""


def test_the_child_outlives_the_thread_that_started_it_and_not_a_killed_parent(
    tmp_path: Path,
) -> None:
    code = tmp_path / "parent.py"
    code.write_text(PARENT)
    its = tmp_path / "its"
    its.mkdir()
    (its / "socket").touch()
    with subprocess.Popen(
        [sys.executable, str(code), "waits", *WITHOUT, str(its), *JAIL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
        assert not ends(pid, within=0)  # though its thread has ended
        parent.kill()
        assert ends(pid)
        assert ends(supervisor)
    assert not its.exists()


def test_the_child_does_not_outlive_a_killed_parent_though_a_fork_of_it_has_the_pipe(
    tmp_path: Path,
) -> None:
    code = tmp_path / "parent.py"
    code.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(code), "forks", *SUPERVISED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        pid, fork = (int(parent.stdout.readline()) for _ in range(2))
        parent.kill()
        try:
            assert ends(pid)
            assert not ends(fork, within=0)
        finally:
            os.kill(fork, signal.SIGKILL)


def test_the_directory_goes_with_the_child_whoever_lives_to_see_it(tmp_path: Path) -> None:
    its = tmp_path / "its"
    its.mkdir()
    words = [*WITHOUT, str(its), *JAIL, "/bin/sh", "-c", "exit 3"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.wait(20) == 3
        assert not its.exists()


def test_who_asks_a_guest_that_was_given_up_meanwhile_is_told_that_it_died(tmp_path: Path) -> None:
    with (
        subprocess.Popen(
            [*SUPERVISED, "/bin/sh", "-c", "exit 7"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child,
    ):
        assert child.stderr is not None
        guest = Qemu(child, tmp_path, Console(tmp_path / "console"), child.stderr)
        child.stderr.close()
        assert str(guest.died("in a test")) == (
            "the guest died in a test: QEMU ended with status 7"
        )
