"""Programs and libraries that ask for a newer kernel than the one they run on.

Older glibc (bullseye's 2.31, no longer bookworm's 2.36) compares the note of an ELF file with the
running kernel: a program whose own C library asks for more ends with "FATAL: kernel too old", a
library that does is passed over as if it were not there, which the error message does not tell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from harness.answers import understood
from harness.trace import abinote
from harness.trace.abinote import Version
from harness.trace.elf import Shell

_FATAL = "FATAL: kernel too old"
_LIBC = "libc.so.6"
_MISSING = re.compile(
    r"error while loading shared libraries: ([\w.+-]+): cannot open shared object file"
)
# The image's own symbolic links are relative where it matters: one that leads out is no file here.
_SCRIPT = """
cd {root} || exit 1
find lib lib64 usr/lib usr/lib64 usr/local/lib opt -name {name} 2>/dev/null | while read -r path; do
    [ -f "$path" ] || continue
    echo "/$path $(head -c {head} "$path" | od -An -v -tx1 | tr -d ' \\n')"
done
"""


def cause(guest: Shell, rootfs: str, said: Iterable[str]) -> str:
    """Return in a sentence which file asks for a newer kernel; empty when none is known to.

    Args:
        guest: where the image is mounted at ``rootfs``.
        rootfs: as above.
        said: what the failed commands wrote to their standard error.
    """
    text = "\n".join(said)
    missing = list(dict.fromkeys(_MISSING.findall(text)))
    if _FATAL not in text and not missing:
        return ""
    release = guest.run("uname -r").stdout.decode(errors="replace").strip()
    if _FATAL in text:
        asked = next(iter(_asked(guest, rootfs, _LIBC).values()), None)
        wants = f"; the image's C library asks for Linux {_dotted(asked)}" if asked else ""
        return f'the program\'s C library takes {release} for too old ("{_FATAL}"){wants}'
    for name in missing:
        for path, asked in _asked(guest, rootfs, name).items():
            if asked > _version(release):
                return (
                    f"{path} asks for Linux {_dotted(asked)} by its ELF note, so that the loader "
                    f"passes it over on {release}"
                )
    return ""


def _asked(guest: Shell, rootfs: str, name: str) -> dict[str, Version]:
    """Return what the libraries of that name ask for, by path in the image."""
    script = _SCRIPT.format(root=shlex.quote(rootfs), name=shlex.quote(name), head=abinote.HEAD)
    reply = guest.run(script, check=False)
    found = {}
    # Not splitlines: a path may hold a form feed and the like, which the shell's lines may, too.
    for line in reply.stdout.decode(errors="replace").split("\n"):
        path, _, head = line.rpartition(" ")
        with understood("what libraries ask for"):
            asked = abinote.asked_for(bytes.fromhex(head))
        if asked is not None:
            found[path] = asked
    return found


def _version(release: str) -> Version:
    numbers = [int(number) for number in re.findall(r"\d+", release)[:3]]
    first, second, third = (*numbers, 0, 0, 0)[:3]
    return first, second, third


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
