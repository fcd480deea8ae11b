"""What a bzImage says of itself in its header (Documentation/arch/x86/boot.rst)."""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import UsageError

_BOOT_FLAG = 0x1FE
_MAGIC = 0x202
_VERSION_POINTER = 0x20E
_VERSION_BASE = 0x200
_HEAD = 0x10000 + _VERSION_BASE + 256
"""The pointer has 16 bits, and the text behind it is short."""
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~@=:,%-]{0,63}")
"""What uname(2) has room for, and a directory can be called."""


def release_of(path: Path) -> str:
    """Return a bzImage's ``uname -r``, empty when its header does not say, or says what is none.

    A release names the directory of the kernel's modules, so that nobody's header may lead out of
    lib/modules by it.

    Raises:
        UsageError: there is no such file, or it is not a bzImage.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (OSError, ValueError) as error:  # the latter of a name with a zero byte in it
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"the kernel {path} cannot be read: {said}") from error
    if head[_BOOT_FLAG : _BOOT_FLAG + 2] != b"\x55\xaa" or head[_MAGIC : _MAGIC + 4] != b"HdrS":
        remedy = "name the file arch/x86/boot/bzImage of a build, or a distribution's vmlinuz"
        kind = "an ELF file (vmlinux?)" if head.startswith(b"\x7fELF") else "not a bzImage"
        raise UsageError(f"{path} is {kind}, not a kernel that can be booted: {remedy}")
    pointer = int.from_bytes(head[_VERSION_POINTER : _VERSION_POINTER + 2], "little")
    if not pointer:
        return ""
    text = head[_VERSION_BASE + pointer :].partition(b"\0")[0].decode(errors="replace")
    release = text.partition(" ")[0]
    return release if _RELEASE.fullmatch(release) else ""
