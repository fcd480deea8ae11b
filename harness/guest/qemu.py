"""One QEMU process: its command line, its console, its end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness import held
from harness.errors import GuestDied, GuestTimeout
from harness.guest import console as consoles
from harness.guest import emulator, handover, jail, supervise
from harness.guest.console import Console
from harness.guest.emulator import Features
from harness.guest.handover import Handover
from harness.model.hosts import Accelerator, Host

PREFIX = "harness-guest-"
"""How the names of guests' directories begin."""
EMULATED = "mitigations=off nopti norandmaps"
"""Added under emulation only. What guards a real processor (5.2's word for all, 4.15's for the
costliest) makes system calls two to three times slower there and protects nothing. Code at a
random address is translated anew for each process, which makes starting one twice as slow."""

_WORDS = 1 << 20
"""Bytes of QEMU's standard error that are looked at."""

_OVERHEAD = 4 << 30
"""Bytes of private memory that QEMU may have beside its guest's: translated code, stacks, heap."""


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
    features: Features = field(default_factory=Features)
    counted: bool = False
    """The guest's clock counts its instructions, one a nanosecond, so that a busy host changes
    nothing of what it shows; only emulation can. While the guest idles it goes with the host's:
    else it would jump from timer to timer, and past every limit, while a disk is read."""


def arguments(machine: Machine, directory: Path, handed: Handover) -> list[str]:
    """Return QEMU's argument list; its sockets lie in ``directory``.

    Raises:
        ToolError: QEMU is not installed.
        UnavailableError: a file of the machine cannot be opened.
    """
    host = machine.host
    memory = f"{host.memory}M"
    words = [
        emulator.program(),
        *("-name", "harness", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35,memory-backend=ram,hpet=off,vmport=off,smm=off"),
        *_accelerator(machine),
        *("-cpu", f"{host.cpu},enforce", "-smp", str(host.cpus), "-m", memory),
        *("-object", _memory(machine, handed)),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-qmp", f"unix:{_quoted(directory / 'qmp')},server=on,wait=off"),
        *("-device", "virtio-rng-pci", "-device", "vmgenid,guid=auto"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=ssh,path={_quoted(directory / 'ssh')},server=on,wait=off"),
        *("-device", "virtserialport,chardev=ssh,name=harness.ssh"),
        *("-kernel", handed.again(host.kernel.vmlinuz)),
        *("-initrd", handed.again(machine.initramfs)),
        *("-append", command_line(machine)),
    ]
    for disk in machine.disks:
        words += _disk(disk, handed)
    if machine.incoming:
        words += ["-incoming", "defer"]
    if machine.features.sandbox:
        words += ["-sandbox", emulator.SANDBOX]
    return words + handed.words


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


def _accelerator(machine: Machine) -> list[str]:
    if machine.accelerator is Accelerator.KVM:
        return ["-accel", "kvm"]
    if machine.counted:
        return ["-accel", "tcg", "-icount", "shift=0,sleep=on"]
    return ["-accel", "tcg,thread=multi"]


def _memory(machine: Machine, handed: Handover) -> str:
    size = f"id=ram,size={machine.host.memory}M"
    if machine.memory_file is None:
        return f"memory-backend-ram,{size}"
    read_only = machine.features.read_only_memory and not machine.memory_shared
    file = handed.again(machine.memory_file, writable=not read_only)
    share = "share=on" if machine.memory_shared else "share=off"
    extra = ",readonly=on,rom=off" if read_only else ""
    return f"memory-backend-file,{size},mem-path={file},{share}{extra}"


def _disk(disk: Disk, handed: Handover) -> list[str]:
    name = handed.held(disk.path, writable=not disk.read_only and not disk.throw_away)
    options = f"if=none,id={disk.serial},file={name},format={disk.format},discard=unmap"
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

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        directory: Path,
        console: Console,
        stderr: IO[bytes],
    ) -> None:
        self.directory = directory
        self._stderr = stderr
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
        try:
            self._stderr.seek(0)
            said = self._stderr.read(_WORDS).decode(errors="backslashreplace").splitlines()
        except ValueError:  # another thread gave the guest up, and closed it
            said = []
        return (
            consoles.clean(said[-1].removeprefix(f"{emulator.PROGRAM}: ").encode()) if said else ""
        )

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
            # The pipe has no end while a process that a test forked has a copy of it.
            with suppress(OSError, ValueError):  # it has ended, or was killed before
                self._child.stdin.write(b"\n")
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

    @property
    def ended(self) -> bool:
        """Whether the session has ended."""
        return self._ended

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
        UnavailableError: a file of the machine cannot be opened.
        ToolError: QEMU is not installed.
    """
    with (
        held.temporary(Path(tempfile.gettempdir()), PREFIX) as directory,
        tempfile.TemporaryFile() as stderr,
    ):
        console = Console(log or directory / "console")
        with consoles.opened(console.log) as file, _spawn(machine, directory, stderr) as child:
            reader = threading.Thread(
                target=consoles.read, args=(child, console, file), daemon=True, name="console"
            )
            reader.start()
            qemu = Qemu(child, directory, console, stderr)
            try:
                with keeper.keeping(qemu):
                    yield qemu
            finally:
                qemu.kill()
                reader.join(5)


@contextmanager
def _spawn(
    machine: Machine, directory: Path, stderr: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    with ExitStack() as stack:
        program = Path(emulator.program()).resolve()
        user = handover.user_for(program, machine.accelerator, directory)
        handed = Handover(stack=stack, user=user)
        words = arguments(machine, directory, handed)
        confined = _jail(machine, program, directory, handed)
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", supervise.__file__, str(directory), *confined, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=handed.descriptors,
            start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(directory)},
        )
    with child:
        yield child


def _jail(machine: Machine, program: Path, directory: Path, handed: Handover) -> list[str]:
    """Return what :func:`harness.guest.jail.enter` is told."""
    home = program.parent.parent
    return jail.words(
        data=(machine.host.memory << 20) + _OVERHEAD,
        directory=str(directory),
        user=handed.user,
        groups=handover.groups(machine.accelerator),
        # A QEMU that its user installed has its firmware beside it.
        programs=[str(home if home != Path("/") else program)],
        read=handed.read,
        write=handed.write,
    )
