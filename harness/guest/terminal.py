"""A real terminal in a guest: raw keys, window size, job control."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import paramiko

from harness.errors import GuestError
from harness.guest.ssh import end_input

PULSE = 1.0
"""Seconds of silence after which the guest is nudged, as :mod:`harness.guest.ssh` explains."""
_CHUNK = 1 << 16
_SIGNALLED = 255
"""The status that ssh(1) ends with when a signal ended the command."""
_BROKEN = "the connection to the guest broke: the guest has ended"


def attach(transport: paramiko.Transport, command: str) -> int:
    """Run a command of the guest's shell on this process's terminal; return its exit status.

    Where standard input is no terminal, the command gets it as it is.

    Raises:
        GuestError: the connection broke.
    """
    try:
        with transport.open_session() as channel:
            status = _attached(channel, command, transport)
    except (paramiko.SSHException, EOFError) as error:
        raise GuestError(_BROKEN) from error
    if status >= 0:
        return status
    if not transport.is_active():
        raise GuestError(_BROKEN)
    return _SIGNALLED


def _attached(channel: paramiko.Channel, command: str, transport: paramiko.Transport) -> int:
    interactive = sys.stdin.isatty()
    if interactive:
        size = os.get_terminal_size(sys.stdin.fileno())
        term = os.environ.get("TERM", "vt100")
        channel.get_pty(term, size.columns, size.lines)
    channel.exec_command(command)
    with _raw(interactive), _resized(channel, interactive):
        _relay(channel, transport)
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
def _resized(channel: paramiko.Channel, interactive: bool) -> Iterator[None]:
    if not interactive:
        yield
        return

    def resize(number: int, frame: FrameType | None) -> None:
        size = os.get_terminal_size(sys.stdin.fileno())
        channel.resize_pty(size.columns, size.lines)

    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _relay(channel: paramiko.Channel, transport: paramiko.Transport) -> None:
    keyboard = sys.stdin.fileno()
    listening = [channel.fileno(), keyboard]
    while True:
        ready, _, _ = select.select(listening, [], [], PULSE)
        if not ready:
            transport.send_ignore(8)
        if keyboard in ready:
            typed = os.read(keyboard, _CHUNK)
            if typed:
                _send(channel, typed)
            else:
                end_input(channel)
                listening.remove(keyboard)
        if channel.fileno() in ready and not _show(channel):
            return


def _show(channel: paramiko.Channel) -> bool:
    """Pass on what came; False at the end of all output."""
    if channel.recv_stderr_ready():
        _write(sys.stderr.fileno(), channel.recv_stderr(_CHUNK))
        return True
    if channel.recv_ready():
        _write(sys.stdout.fileno(), channel.recv(_CHUNK))
        return True
    return not (channel.eof_received or channel.closed)


def _send(channel: paramiko.Channel, typed: bytes) -> None:
    with suppress(OSError):  # the command has ended; its status tells
        channel.sendall(typed)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
