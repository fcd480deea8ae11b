"""A guest: a running QEMU and the connection to it."""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import paramiko

from harness.errors import GuestDied, GuestError, HarnessError
from harness.guest import qemu, ssh
from harness.guest.ssh import Reply, Stream
from harness.model.hosts import Accelerator, Host

BOOT_LIMIT = {Accelerator.KVM: 30.0, Accelerator.TCG: 120.0}
"""Seconds from QEMU's start to init's last line; a busy machine is slow, a hang is longer."""
HANG_UP = 1.0
"""Seconds until a guest has noticed that its host hung up, and listens to another."""
END_LIMIT = 1.0
"""Seconds in which a QEMU whose connection broke is seen to have ended."""
CONNECT_LIMIT = {Accelerator.KVM: 15.0, Accelerator.TCG: 60.0}
_READY = re.compile(r"harness: ready, seconds: kernel ([0-9.]+) all ([0-9.]+)")
UNPACK = "tar -x -C / -f -"
"""The guest's command that writes the files of an :func:`archive`."""


class GuestCommandError(HarnessError):
    """A command of the harness failed in a guest."""


class Guest:
    """One virtual machine, ready for commands; made by :func:`booted` or a snapshot."""

    def __init__(self, host: Host, machine: qemu.Qemu, transport: paramiko.Transport) -> None:
        self.host = host
        self.durations: dict[str, float] = {}
        self._qemu = machine
        self._transport = transport

    def run(
        self, command: str, *, stdin: bytes = b"", limit: float = 60.0, check: bool = True
    ) -> Reply:
        """Run a command of the guest's shell (busybox ash).

        Raises:
            GuestCommandError: with ``check``, its status is not 0.
            GuestDied: the guest's QEMU ended meanwhile.
            GuestTimeout: it did not end within ``limit`` seconds.
        """
        try:
            reply = ssh.run(self._transport, command, stdin, limit)
        except GuestError as error:
            raise self._explained(error, "while it ran a command") from error
        if check and reply.status != 0:
            text = reply.stderr.decode(errors="backslashreplace").strip()
            raise GuestCommandError(
                f"{command.splitlines()[0][:100]!r} ended with status {reply.status} in the guest "
                f"{self.host.name}: {text[-1000:]}"
            )
        return reply

    @contextmanager
    def stream(
        self, command: str, sink: Callable[[bytes], None], stdin: bytes = b""
    ) -> Iterator[Stream]:
        """Start a command on ``stdin`` and hand its output to ``sink`` in a thread of its own.

        Raises:
            GuestDied: the guest's QEMU ended meanwhile.
            GuestError: it did not start, or the block says so.
        """
        try:
            with ssh.streaming(self._transport, command, sink, stdin) as stream:
                yield stream
        except GuestError as error:
            if error.console:
                raise
            raise self._explained(error, "while a command's output was awaited") from error

    def put(self, files: Mapping[str, bytes], mode: int = 0o644) -> None:
        """Write files, by absolute path, in one round trip."""
        self.run(UNPACK, stdin=archive(files, mode), limit=120)

    def console(self) -> tuple[str, ...]:
        """Return the console's last lines."""
        return self._qemu.console()

    def alive(self) -> bool:
        """Tell whether the guest's QEMU runs."""
        return self._qemu.alive()

    def abandon(self) -> None:
        """Give the guest up: whatever is asked of it from now on fails at once."""
        self._transport.close()

    def reconnect(self, limit: float) -> None:
        """Cut the connection and make another to the same guest within ``limit`` seconds.

        Raises:
            GuestTimeout: it does not answer.
        """
        self._transport.close()
        time.sleep(HANG_UP)
        self._transport = ssh.connect(self._qemu.directory / "ssh", limit)

    @property
    def transport(self) -> paramiko.Transport:
        """The SSH connection, for an interactive shell."""
        return self._transport

    @property
    def pid(self) -> int:
        """Pid of the process that owns QEMU."""
        return self._qemu.pid

    def _explained(self, error: GuestError, doing: str) -> GuestError:
        # A connection that stands means a slow command; one that broke, mostly QEMU's end.
        if not self._transport.is_active() and self._qemu.ended(END_LIMIT):
            return self._qemu.died(doing)
        error.console = self.console()
        return error


def archive(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    """Return a tar of files, by absolute path."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size = len(content)
            member.mode = mode
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@contextmanager
def connected(machine: qemu.Machine, running: qemu.Qemu) -> Iterator[Guest]:
    """Connect to a guest that is up.

    Raises:
        GuestDied, GuestTimeout: it was lost meanwhile.
    """
    limit = CONNECT_LIMIT[machine.accelerator]
    try:
        transport = ssh.connect(running.directory / "ssh", limit)
    except GuestError as error:
        if running.ended(END_LIMIT):
            raise running.died("before it answered") from error
        error.console = running.console()
        raise
    guest = Guest(machine.host, running, transport)
    try:
        yield guest
    finally:
        guest.abandon()


@contextmanager
def booted(machine: qemu.Machine, keeper: qemu.Keeper, log: Path | None = None) -> Iterator[Guest]:
    """Boot a guest from cold and end it with the block.

    Raises:
        GuestDied: its kernel panicked or QEMU ended.
        GuestTimeout: it did not come up in time.
    """
    started = time.monotonic()
    with qemu.running(machine, keeper, log) as running:
        parts = ready(running, machine.accelerator)
        booted_at = time.monotonic()
        with connected(machine, running) as guest:
            boot = booted_at - started
            guest.durations["firmware"] = max(0.0, boot - sum(parts.values()))
            guest.durations |= parts | {"boot": boot}
            guest.durations["connect"] = time.monotonic() - booted_at
            yield guest


def ready(running: qemu.Qemu, accelerator: Accelerator) -> dict[str, float]:
    """Wait for init's last line; return the seconds of kernel and init, by the guest's clock.

    What is left of the whole is QEMU's, the firmware's and the kernel's unpacking of itself.

    Raises:
        GuestDied, GuestTimeout: it never comes.
    """
    line = running.wait_for("harness: ready", BOOT_LIMIT[accelerator], "its boot")
    lost = [line for line in running.console() if "harness: no channel" in line]
    if lost:
        raise GuestDied(f"the guest cannot be reached: {lost[0]}", running.console())
    said = _READY.search(line)
    if said is None:  # another of the kernel's lines came between
        return {}
    kernel, whole = map(float, said.groups())
    return {"kernel": kernel, "init": whole - kernel}
