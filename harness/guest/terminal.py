"""A real terminal in a guest: raw keys, window size, job control."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import paramiko

_CHUNK = 1 << 16


def attach(transport: paramiko.Transport, command: str) -> int:
    """Run a command of the guest's shell on this process's terminal; return its exit status.

    Where standard input is no terminal, the command gets it as it is.
    """
    with transport.open_session() as channel:
        interactive = sys.stdin.isatty()
        if interactive:
            size = shutil.get_terminal_size()
            term = os.environ.get("TERM", "vt100")
            channel.get_pty(term, size.columns, size.lines)
        channel.exec_command(command)
        with _raw(interactive), _resized(channel):
            _relay(channel)
        return channel.recv_exit_status()


@contextmanager
def _raw(interactive: bool) -> Iterator[None]:
    if not interactive:
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def _resized(channel: paramiko.Channel) -> Iterator[None]:
    def resize(number: int, frame: FrameType | None) -> None:
        size = shutil.get_terminal_size()
        channel.resize_pty(size.columns, size.lines)

    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _relay(channel: paramiko.Channel) -> None:
    keyboard = sys.stdin.fileno()
    listening = [channel.fileno(), keyboard]
    while True:
        ready, _, _ = select.select(listening, [], [])
        if keyboard in ready:
            typed = os.read(keyboard, _CHUNK)
            if typed:
                channel.sendall(typed)
            else:
                channel.shutdown_write()
                listening.remove(keyboard)
        if channel.fileno() in ready and not _show(channel):
            return


def _show(channel: paramiko.Channel) -> bool:
    """Pass on what came; False at the end of all output."""
    if channel.recv_stderr_ready():
        os.write(sys.stderr.fileno(), channel.recv_stderr(_CHUNK))
        return True
    if channel.recv_ready():
        os.write(sys.stdout.fileno(), channel.recv(_CHUNK))
        return True
    return not (channel.eof_received or channel.closed)
