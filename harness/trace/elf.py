"""Which programs of an image are 32-bit: their system calls are numbered by another table."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Protocol

from harness.answers import understood

_EM_386, _EM_X86_64 = 3, 62  # elf(5)
_DEPTH = 5  # the kernel follows as many interpreters of interpreters (fs/exec.c)


def resident() -> Mapping[str, bytes]:
    """Return what is needed in the initramfs, by path."""
    return {"etc/heads.pl": (files(__package__) / "heads.pl").read_bytes()}


class Result(Protocol):
    """What came of a guest's command."""

    @property
    def stdout(self) -> bytes:
        """Standard output."""

    @property
    def stderr(self) -> bytes:
        """Standard error."""

    @property
    def status(self) -> int:
        """Exit status."""


class Shell(Protocol):
    """A guest's shell."""

    def run(
        self, command: str, *, stdin: bytes = b"", limit: float = 60.0, check: bool = True
    ) -> Result:
        """Run a command and return what came of it."""


def elf_classes(guest: Shell, rootfs: str, paths: Iterable[str]) -> dict[str, str]:
    """Return ``{path: "x86_64" or "i386"}`` for the programs that could be read.

    Scripts count as their interpreter. ``rootfs`` is a directory of the guest, and must be a real
    one or ``/proc/PID/root``; a path that is relative or gone by now is left out.
    """
    found: dict[str, str] = {}
    asked = {path: path for path in sorted(set(paths)) if path.startswith("/") and "\0" not in path}
    for _ in range(_DEPTH):
        if not asked:
            break
        heads = _heads(guest, rootfs, sorted(set(asked.values())))
        following: dict[str, str] = {}
        for path, now in asked.items():
            head = heads.get(now, b"")
            abi, interpreter = elf_class(head), _interpreter(head)
            if abi:
                found[path] = abi
            elif interpreter:
                following[path] = interpreter
        asked = following
    return found


def elf_class(head: bytes) -> str | None:
    """Return the ABI that a file's first bytes tell, None when it is no program of a PC."""
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return None
    machine = int.from_bytes(head[18:20], "little")
    return {_EM_386: "i386", _EM_X86_64: "x86_64"}.get(machine)


def _interpreter(head: bytes) -> str | None:
    if not head.startswith(b"#!"):
        return None
    # The kernel's names end at a NUL, and so do those that heads.pl is given.
    words = head[2:].partition(b"\n")[0].partition(b"\0")[0].split()
    if not words or not words[0].startswith(b"/"):
        return None
    return words[0].decode(errors="surrogateescape")


def _heads(guest: Shell, rootfs: str, paths: list[str]) -> Mapping[str, bytes]:
    named = "".join(f"{path}\0" for path in paths).encode(errors="surrogateescape")
    command = f"perl /etc/heads.pl {shlex.quote(rootfs)}"
    reply = guest.run(command, stdin=named, check=False)
    if reply.status != 0:
        return {}
    with understood("how programs begin"):
        heads = reply.stdout.decode().splitlines()
        return {path: bytes.fromhex(head) for path, head in zip(paths, heads, strict=False)}
