"""SSH to a guest over its virtio-serial channel: no network, no port, no key.

The channel's other end is a Unix socket in a directory that only this user can enter, so the
guest's server asks for no password: who reaches the socket owns the guest already.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import paramiko

from harness.errors import GuestError, GuestTimeout

PULSE = 0.1
"""Seconds without an answer until the guest is nudged; doubled each time."""
PULSE_LONGEST = 1.0
KEEPALIVE = 1.0
"""Seconds between two messages that wake a guest, whatever its connection is used for."""
STUCK = 10.0
"""Seconds behind a command's limit after which its connection is closed: nothing gets through any
more, for which paramiko would wait without end."""
_START_LIMIT = 30.0
"""Seconds in which a command starts whose output is taken as it comes."""
_CHUNK = 1 << 18
_MOST = 1 << 28
"""Bytes of an output at most. Containers' outputs are cut in the guest: one that says more was
taken over."""
_WINDOW = 2 * _MOST
"""Bytes that a command may say; dropbear takes it for 500 MB. No more are asked for: where that
came after the session's end, dropbear would end the whole connection."""
_STREAM_WINDOW = 1 << 26
"""The same of a command whose output is taken as it comes, which may have no end: more are asked
for once a tenth was read."""
_NO_INPUT = "exec </dev/null"
"""Instead of an end of input that is sent: the command may have ended and its session be over when
that arrives, and dropbear ends the whole connection for it ("EOF for unknown channel")."""
_SEED = 512
"""Bytes that a guest's random pool gets, which hold as much as the largest pool (4096 bits)."""

# What breaks becomes an error of the harness; paramiko's own account of it would go to stderr.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command in the guest ended with."""

    status: int
    stdout: bytes
    stderr: bytes
    seconds: float


class _Transport(paramiko.Transport):
    """A connection that may be closed, or break, while a session is being opened.

    paramiko (5.1) stumbles over a session that is not yet tied to its connection: who closes it
    would get an error, and when it broke its thread would end with a traceback on stderr and leave
    it open.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._over = threading.Event()
        super().__init__(channel, default_window_size=_STREAM_WINDOW)

    def run(self) -> None:
        try:
            super().run()
        except AttributeError:
            self.close()

    def close(self) -> None:
        self._over.set()
        with suppress(AttributeError):
            super().close()

    def wake(self) -> None:
        """Send something now and then until the connection's end.

        Not paramiko's own keepalive: that goes by the clock that may be set.
        """
        with suppress(paramiko.SSHException, EOFError, OSError):
            while not self._over.wait(KEEPALIVE) and self.is_active():
                self.send_ignore(8)


def connect(path: Path, limit: float) -> paramiko.Transport:
    """Log in over the Unix socket ``path`` within ``limit`` seconds; whoever asks closes it.

    Raises:
        GuestTimeout: the guest did not answer in time.
    """
    with ExitStack() as broken:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        broken.callback(channel.close)
        try:
            channel.settimeout(limit)
            channel.connect(str(path))
            channel.sendall(_greeting())
            transport = _Transport(channel)
            broken.callback(transport.close)
            transport.banner_timeout = limit
            transport.handshake_timeout = limit
            transport.auth_timeout = limit
            security = transport.get_security_options()
            security.kex = tuple(k for k in security.kex if "curve25519" in k) or security.kex
            transport.start_client(timeout=limit)
            transport.auth_none("root")
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise GuestTimeout(f"no SSH connection to the guest: {error}") from error
        # A lost wake-up may strike at any time, also while a command is sent or nothing is asked.
        threading.Thread(target=transport.wake, daemon=True, name="wake").start()
        broken.pop_all()
    return transport


def _greeting() -> bytes:
    """Return what a guest's relay waits for: the time, and a seed for its random pool."""
    return f"\nharness {time.time():.6f} {os.urandom(_SEED).hex()}\n".encode()


def run(transport: paramiko.Transport, command: str, stdin: bytes, limit: float) -> Reply:
    """Run a command of the guest's shell and return all that it wrote.

    Raises:
        GuestTimeout: it did not end within ``limit`` seconds.
        GuestError: the connection broke, or there was too much to read.
    """
    started = time.monotonic()
    out, err = bytearray(), bytearray()
    with (
        _watched(transport, limit + STUCK),
        _started(transport, command, stdin, limit, window=_WINDOW) as channel,
        _translated(command, limit),
    ):
        channel.in_window_threshold = _WINDOW
        readers = [
            threading.Thread(target=_drain, args=(receive, _limited(channel, into)), daemon=True)
            for receive, into in ((channel.recv, out), (channel.recv_stderr, err))
        ]
        for reader in readers:
            reader.start()
        _send(channel, stdin)
        _await(transport, readers, started + limit)
        if any(reader.is_alive() for reader in readers):
            raise GuestTimeout(f"the guest did not end {command[:60]!r} in {limit:g} s")
        if max(len(out), len(err)) > _MOST:
            raise GuestError(f"{command[:60]!r} wrote more than {_MOST >> 20} MiB in the guest")
        status = _status(channel, max(1.0, limit - (time.monotonic() - started)), command)
    return Reply(status, bytes(out), bytes(err), time.monotonic() - started)


@contextmanager
def _watched(transport: paramiko.Transport, seconds: float) -> Iterator[None]:
    """Close a connection that the block still needs after so many seconds.

    Raises:
        GuestTimeout: the block failed for that.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        transport.close()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except GuestError as error:
        if late.is_set():
            raise GuestTimeout("nothing gets through to the guest any more") from error
        raise
    finally:
        timer.cancel()


def _await(transport: paramiko.Transport, readers: list[threading.Thread], deadline: float) -> None:
    """Wait for the readers' end, and mend a wake-up that the guest's console driver lost.

    virtio-console is known to let a sleeper sleep on although its queue has room or data again;
    everything then stands still until the host sends something. SSH's "ignore" message
    (RFC 4253, 11.2) is such a something and means nothing else.
    """
    pause = PULSE
    for reader in readers:
        while reader.is_alive():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            reader.join(min(pause, left))
            if reader.is_alive():
                transport.send_ignore(8)
                pause = min(2 * pause, PULSE_LONGEST)


@contextmanager
def _started(
    transport: paramiko.Transport,
    command: str,
    stdin: bytes,
    limit: float,
    window: int = _STREAM_WINDOW,
) -> Iterator[paramiko.Channel]:
    """Start a command; its session is closed after the block.

    Raises:
        GuestTimeout, GuestError: it did not start.
    """
    with ExitStack() as stack:
        with _translated(command, limit):
            channel = transport.open_session(window_size=window, timeout=limit)
            stack.callback(_close, channel)
            channel.settimeout(limit)
            channel.exec_command(command if stdin else f"{_NO_INPUT}\n{command}")
        yield channel


@contextmanager
def _translated(command: str, limit: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise GuestTimeout(f"the guest did not take {command[:60]!r} in {limit:g} s") from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise GuestError(f"the connection to the guest broke: {error}") from error


def _close(channel: paramiko.Channel) -> None:
    with suppress(paramiko.SSHException, EOFError, OSError):  # what it said is whole
        channel.close()


def _send(channel: paramiko.Channel, stdin: bytes) -> None:
    if not stdin:
        return
    try:
        for start in range(0, len(stdin), _CHUNK):
            channel.sendall(stdin[start : start + _CHUNK])
    except OSError:
        pass  # the command ended without reading all of it; its status tells
    end_input(channel)


def end_input(channel: paramiko.Channel) -> None:
    """Send the end of a command's input, unless the command has ended: see ``_NO_INPUT``."""
    if not channel.exit_status_ready():
        channel.shutdown_write()


def _drain(receive: Callable[[int], bytes], take: Callable[[bytes], object]) -> None:
    """Hand over what comes until its end; others decide how long that may take."""
    with suppress(OSError):
        while True:
            try:
                chunk = receive(_CHUNK)
            except TimeoutError:  # the channel's own limit, which is meant for what is sent
                continue
            if not chunk:
                return
            take(chunk)


def _limited(channel: paramiko.Channel, into: bytearray) -> Callable[[bytes], None]:
    """Return what keeps an output, and ends its session when there is too much of it."""

    def take(chunk: bytes) -> None:
        into.extend(chunk)
        if len(into) > _MOST:
            channel.close()

    return take


def _status(channel: paramiko.Channel, limit: float, command: str) -> int:
    if not channel.status_event.wait(limit):
        raise GuestTimeout(f"the guest did not say how {command[:60]!r} ended")
    if not channel.exit_status_ready() or channel.exit_status == -1:
        raise GuestError(f"the connection to the guest broke during {command[:60]!r}")
    return channel.exit_status


class Stream:
    """A command whose output is taken as it comes; made by :func:`streaming`."""

    def __init__(self, channel: paramiko.Channel, sink: Callable[[bytes], None]) -> None:
        self._channel = channel
        self._reader = threading.Thread(
            target=_drain, args=(channel.recv, sink), daemon=True, name="stream"
        )
        self._reader.start()

    def wait(self, limit: float) -> bool:
        """Wait for the end of its output; tell whether it came within ``limit`` seconds."""
        self._reader.join(limit)
        return not self._reader.is_alive()


@contextmanager
def streaming(
    transport: paramiko.Transport, command: str, sink: Callable[[bytes], None], stdin: bytes
) -> Iterator[Stream]:
    """Start a command on ``stdin`` and hand its output to ``sink``, in a thread of its own.

    Raises:
        GuestTimeout, GuestError: it did not start.
    """
    with ExitStack() as stack:
        with _watched(transport, _START_LIMIT + STUCK):
            channel = stack.enter_context(_started(transport, command, stdin, _START_LIMIT))
            with _translated(command, _START_LIMIT):
                _send(channel, stdin)
        stream = Stream(channel, sink)
        try:
            yield stream
        finally:
            with _watched(transport, STUCK):
                _close(channel)
        stream.wait(5)
