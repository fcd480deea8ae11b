"""One QEMU process: its command line, its console, its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness import process
from harness.errors import GuestDied, GuestTimeout, ToolError
from harness.guest import supervise
from harness.model.hosts import Accelerator, Host

PROGRAM = "qemu-system-x86_64"
CONSOLE_LINES = 200
CONSOLE_BYTES = 4 << 20
"""What a guest may write to its console log; a flood beyond it is dropped."""

EMULATED = "mitigations=off nopti norandmaps"
"""Added under emulation only. What guards a real processor (5.2's word for all, 4.15's for the
costliest) makes system calls two to three times slower there and protects nothing. Code at a
random address is translated anew for each process, which makes starting one twice as slow."""

_VERSION = re.compile(r"version (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A virtio disk: ``serial`` is how the guest finds it."""

    serial: str
    path: Path
    format: str
    read_only: bool = False
    throw_away: bool = False
    """Writes go to a nameless temporary file and are gone with the guest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """All that QEMU is told: what a snapshot is taken of, and what its guests start with."""

    host: Host
    accelerator: Accelerator
    initramfs: Path
    disks: tuple[Disk, ...] = ()
    memory_file: Path | None = None
    """RAM is mapped from this file; None: anonymous memory."""
    memory_shared: bool = False
    """Writes to RAM reach the file: only while a snapshot is being made."""
    incoming: bool = False
    """Wait for a snapshot's device state instead of booting."""
    append: str = ""
    """More kernel command line."""
    sandbox: bool = True


@dataclass(slots=True)
class Console:
    """The last lines of a guest's serial console, and its log."""

    log: Path
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=CONSOLE_LINES))
    changed: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False


def version() -> str:
    """Return QEMU's version.

    Raises:
        ToolError: it is not installed or does not start.
    """
    program = process.find(PROGRAM, "qemu-system-x86")
    text = process.run([program, "--version"], limit=20).stdout.decode(errors="replace")
    match = _VERSION.search(text)
    if match is None:
        raise ToolError(f"{program} --version says {text!r}, which names no version")
    return match[1]


def arguments(machine: Machine, directory: Path) -> list[str]:
    """Return QEMU's argument list; its sockets lie in ``directory``."""
    host = machine.host
    accel = "kvm" if machine.accelerator is Accelerator.KVM else "tcg,thread=multi"
    memory = f"{host.memory}M"
    backend = f"memory-backend-ram,id=ram,size={memory}"
    if machine.memory_file is not None:
        share = "on" if machine.memory_shared else "off"
        file = _quoted(machine.memory_file)
        backend = f"memory-backend-file,id=ram,size={memory},mem-path={file},share={share}"
    words = [
        process.find(PROGRAM, "qemu-system-x86"),
        *("-name", "harness", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35,memory-backend=ram,hpet=off,vmport=off,smm=off", "-accel", accel),
        *("-cpu", f"{host.cpu},enforce", "-smp", str(host.cpus), "-m", memory, "-object", backend),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-qmp", f"unix:{_quoted(directory / 'qmp')},server=on,wait=off"),
        *("-device", "virtio-rng-pci", "-device", "vmgenid,guid=auto"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=ssh,path={_quoted(directory / 'ssh')},server=on,wait=off"),
        *("-device", "virtserialport,chardev=ssh,name=harness.ssh"),
        *("-kernel", str(host.kernel.vmlinuz), "-initrd", str(machine.initramfs)),
        *("-append", command_line(machine)),
    ]
    for disk in machine.disks:
        words += _disk(disk)
    if machine.incoming:
        words += ["-incoming", "defer"]
    if machine.sandbox:
        words += [
            "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        ]
    return words


def command_line(machine: Machine) -> str:
    """Return the guest kernel's command line.

    A panic reboots at once (``panic=-1``), which ``-no-reboot`` turns into QEMU's end: the
    harness notices a dead guest without waiting for a limit. ``no_timer_check`` spares the guest
    the look at whether its timer ticks, which a starved emulator fails: the kernel then panics
    ("IO-APIC + timer doesn't work"). Under KVM kernels skip it by themselves.
    """
    base = "console=ttyS0 panic=-1 oops=panic quiet loglevel=4 rdinit=/init no_timer_check"
    emulated = EMULATED if machine.accelerator is Accelerator.TCG else ""
    words = (base, emulated, machine.host.cmdline, machine.append)
    return " ".join(word for word in words if word)


def _disk(disk: Disk) -> list[str]:
    options = (
        f"if=none,id={disk.serial},file={_quoted(disk.path)},format={disk.format},discard=unmap"
    )
    if disk.read_only:
        options += ",read-only=on"
    if disk.throw_away:
        options += ",snapshot=on"
    device = f"virtio-blk-pci,drive={disk.serial},serial={disk.serial}"
    return ["-drive", options, "-device", device]


def _quoted(path: Path) -> str:
    return str(path).replace(",", ",,")


class Qemu:
    """A running QEMU; made by :func:`running`."""

    def __init__(self, child: subprocess.Popen[bytes], directory: Path, console: Console) -> None:
        self.directory = directory
        self._child = child
        self._console = console
        self._started = time.monotonic()

    @property
    def pid(self) -> int:
        """Pid of the supervisor, whose only child is QEMU."""
        return self._child.pid

    def alive(self) -> bool:
        """Tell whether QEMU runs."""
        return self._child.poll() is None

    def wait_for_sockets(self, limit: float) -> None:
        """Wait until QEMU listens.

        Raises:
            GuestDied: QEMU ended before.
            GuestTimeout: ``limit`` seconds went by.
        """
        deadline = time.monotonic() + limit
        while not (self.directory / "ssh").exists() or not (self.directory / "qmp").exists():
            if not self.alive():
                raise self.died("while QEMU started")
            if time.monotonic() > deadline:
                raise GuestTimeout(f"QEMU did not start in {limit:g} s", self.console())
            time.sleep(0.003)

    def ended(self, limit: float) -> bool:
        """Wait for QEMU's end; tell whether it came within ``limit`` seconds."""
        try:
            self._child.wait(limit)
        except subprocess.TimeoutExpired:
            return False
        return True

    def console(self) -> tuple[str, ...]:
        """Return the console's last lines."""
        with self._console.changed:
            return tuple(self._console.lines)

    def died(self, doing: str) -> GuestDied:
        """Return the error for a guest whose QEMU ended while ``doing``."""
        with self._console.changed:
            self._console.changed.wait_for(lambda: self._console.ended, 2)
        status = self._child.wait()
        lines = self.console()
        told = ("Kernel panic", "harness: lost: ")
        why = next((line for line in lines if any(words in line for words in told)), "")
        why = why or self._last_words() or f"QEMU ended with status {status}"
        return GuestDied(f"the guest died {doing}: {why}", lines)

    def _last_words(self) -> str:
        """Return the last line of QEMU's standard error, which says why; warnings come before."""
        said = (self.directory / "stderr").read_text(errors="backslashreplace").splitlines()
        return _clean(said[-1].removeprefix(f"{PROGRAM}: ").encode()) if said else ""

    def wait_for(self, text: str, limit: float, doing: str) -> str:
        """Return the first console line with ``text`` in it.

        Raises:
            GuestDied: QEMU ended before.
            GuestTimeout: ``limit`` seconds went by.
        """
        seen: list[str] = []

        def there() -> bool:
            seen[:] = [line for line in self._console.lines if text in line]
            return bool(seen) or self._console.ended

        with self._console.changed:
            self._console.changed.wait_for(there, limit)
        if seen:
            return seen[0]
        if not self.alive() or self._console.ended:
            raise self.died(f"in {doing}")
        raise GuestTimeout(f"the guest did not get through {doing} in {limit:g} s", self.console())

    def kill(self) -> None:
        """End QEMU now."""
        if self._child.stdin is not None:
            with suppress(OSError):
                self._child.stdin.close()
        self._child.wait()


class Keeper:
    """Knows every QEMU of a session, so that whoever ends the session can end them at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Qemu] = set()
        self._ended = False

    @contextmanager
    def keeping(self, running: Qemu) -> Iterator[None]:
        """Keep a QEMU while the block runs.

        Raises:
            GuestDied: the session has ended; nothing new starts.
        """
        with self._lock:
            if self._ended:
                raise GuestDied("the session ends: no guest is started any more")
            self._running.add(running)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(running)

    def running(self) -> list[Qemu]:
        """Return what runs now."""
        with self._lock:
            return list(self._running)

    def end(self) -> None:
        """End every QEMU and let none start any more."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for each in running:
            each.kill()


@contextmanager
def running(machine: Machine, keeper: Keeper, log: Path | None = None) -> Iterator[Qemu]:
    """Start QEMU and end it with the block; ``log`` keeps the console.

    Raises:
        GuestDied: the session has ended.
        ToolError: QEMU is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="harness-guest-") as name:
        directory = Path(name)
        console = Console(log or directory / "console")
        with _spawn(machine, directory) as child:
            reader = threading.Thread(
                target=_read_console, args=(child, console), daemon=True, name="console"
            )
            reader.start()
            qemu = Qemu(child, directory, console)
            try:
                with keeper.keeping(qemu):
                    yield qemu
            finally:
                qemu.kill()
                reader.join(5)


@contextmanager
def _spawn(machine: Machine, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = arguments(machine, directory)
    with (directory / "stderr").open("wb") as stderr:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(supervise.__file__), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(directory)},
        )
    with child:
        yield child


def _read_console(child: subprocess.Popen[bytes], console: Console) -> None:
    """Split the console into lines without ever waiting for a line's end to take it in."""
    rest = b""
    room = CONSOLE_BYTES
    with console.log.open("ab") as log:
        while child.stdout and (chunk := os.read(child.stdout.fileno(), 4096)):
            log.write(chunk[:room])
            log.flush()
            room = max(0, room - len(chunk))
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-4096:]
            if lines:
                with console.changed:
                    console.lines.extend(_clean(line) for line in lines)
                    console.changed.notify_all()
    with console.changed:
        if rest:
            console.lines.append(_clean(rest))
        console.ended = True
        console.changed.notify_all()


def _clean(line: bytes) -> str:
    text = line.decode(errors="backslashreplace").rstrip("\r")
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)
