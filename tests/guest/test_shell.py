from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.guest

KERNEL = "5.10"
PATIENCE = 300.0
"""Seconds: a first run may fetch, build and survey before it boots."""

_TAKE_TERMINAL = """if True:
    import fcntl, os, sys, termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execv(sys.argv[1], sys.argv[1:])
"""


def harness(*words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("harness")), *words]


class Terminal:
    """The user's side of a pseudo-terminal on which a program runs."""

    def __init__(self, master: int, child: subprocess.Popen[bytes]) -> None:
        self.seen = ""
        self._master = master
        self._child = child

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read_until(self, pattern: str) -> str:
        """Return what came up to the end of what matches, and forget it."""
        deadline = time.monotonic() + PATIENCE
        while (match := re.search(pattern, self.seen)) is None:
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.seen!r}"
            if select.select([self._master], [], [], left)[0]:
                self.seen += self._read()
        came, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return came

    def _read(self) -> str:
        try:
            return os.read(self._master, 4096).decode(errors="replace")
        except OSError as error:  # EIO: the program has ended and nothing is left
            raise AssertionError(f"the program ended: {self.seen!r}") from error

    def status(self) -> int:
        return self._child.wait(PATIENCE)


@contextmanager
def on_a_terminal(*words: str, cwd: Path, lines: int, columns: int) -> Iterator[Terminal]:
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *harness(*words)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            start_new_session=True,
            env={**os.environ, "TERM": "vt100"},
        )
        with child:
            try:
                terminal = Terminal(master, child)
                terminal.resize(lines, columns)
                yield terminal
            finally:
                if child.poll() is None:
                    child.send_signal(signal.SIGKILL)
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(slave)
        os.close(master)


def use(terminal: Terminal, prompt: str) -> None:
    terminal.read_until(prompt)
    terminal.type("stty size\r")
    terminal.read_until(r"\n30 91\r")
    terminal.resize(40, 100)
    terminal.type("stty size\r")
    terminal.read_until(r"\n40 100\r")
    terminal.type("sh -c 'echo begun; exec sleep 10000'\r")
    terminal.read_until(r"\nbegun\r")
    terminal.type("\x03")
    terminal.type("echo interrupted=$?\r")
    terminal.read_until(r"\ninterrupted=130\r")


def test_a_shell_in_a_guest_has_a_real_terminal(tmp_path: Path) -> None:
    words = ("kernels", "shell", KERNEL, "--accel=tcg")
    with on_a_terminal(*words, cwd=tmp_path, lines=30, columns=91) as terminal:
        use(terminal, r"# ")
        terminal.type("uname -r\r")
        terminal.read_until(r"\n5\.10\.")
        terminal.type("exit 7\r")
        assert terminal.status() == 7


def test_a_shell_in_a_container_has_a_real_terminal(tmp_path: Path) -> None:
    words = ("kernels", "shell", KERNEL, "--image=debian-trixie", "--accel=tcg")
    with on_a_terminal(*words, cwd=tmp_path, lines=30, columns=91) as terminal:
        use(terminal, r"# ")
        terminal.type(". /etc/os-release; echo at=$VERSION_CODENAME\r")
        terminal.read_until(r"\nat=trixie\r")
        terminal.type("exit 3\r")
        assert terminal.status() == 3


def test_a_command_in_a_guest_gets_what_is_piped_in_and_hands_out_its_status(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        harness(
            *("kernels", "shell", KERNEL, "--accel=tcg", "--"),
            *("sh", "-c", "cat; echo 'in  words' >&2; exit 5"),
        ),
        input=b"\x00\xff" * 50_000,
        capture_output=True,
        cwd=tmp_path,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 5
    assert done.stdout == b"\x00\xff" * 50_000
    assert done.stderr.endswith(b"in  words\n")


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_or_killed_command_leaves_no_guest(
    number: signal.Signals, tmp_path: Path
) -> None:
    with subprocess.Popen(
        harness("kernels", "shell", KERNEL, "--accel=tcg", "--", "sh", "-c", "echo up; sleep 9999"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"up\n"
        (supervisor,) = children(command.pid)
        (guest,) = children(supervisor)
        descriptor = os.pidfd_open(guest)
        command.send_signal(number)
        assert command.wait(30) == (130 if number is signal.SIGINT else -number)
        assert select.select([descriptor], [], [], 30)[0]
        os.close(descriptor)
        assert command.stderr is not None
        assert b"Traceback" not in command.stderr.read()
