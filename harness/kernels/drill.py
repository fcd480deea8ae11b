"""Drills: a newer kernel's guest that is made to lack what an old mainline release lacked.

A drill shows that the guest's own userland (init, SSH server, runtime, tracer, census) copes
with an old kernel where none can be had. It is never evidence about the real one: vendors
backport, and what is not a system call is still the newer kernel's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from errno import EINVAL, ENOSYS

from harness.errors import UsageError
from harness.model.hosts import Drill, Host

_ARCHES = {"x86_64": 0xC000003E, "i386": 0x40000003}
"""AUDIT_ARCH_X86_64 and AUDIT_ARCH_I386 (linux/audit.h)."""
_FCNTL = {"x86_64": (72,), "i386": (55, 221)}
"""The numbers of fcntl, and of fcntl64."""
_F_ADD_SEALS, _F_GET_SEALS = 1033, 1034

_LOAD, _EQUAL, _AT_LEAST, _ANSWER = 0x20, 0x15, 0x35, 0x06  # linux/bpf_common.h
_ALLOWED, _ERROR = 0x7FFF0000, 0x00050000  # linux/seccomp.h
_NUMBER, _ARCH, _SECOND_ARGUMENT = 0, 4, 24  # offsets in struct seccomp_data

_Step = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One mainline release that a guest can be made to look like."""

    last_call: str
    """The newest call that it has: new ones get the next number of both tables."""
    drill: Drill
    without: tuple[str, ...] = ()
    """As a host's: what came after it."""


# Which release added a call is what syscalls(2) of man-pages 6.9.1 says; the numbers are those of
# the system-calls package, one above the last call's. overlay came with 3.18, tracefs with 4.1
# (Documentation/trace/ftrace.rst), the second version of control groups with 4.5 (cgroups(7)).
# Seals came with memfd_create in 3.17 (fcntl(2)): on a kernel with the one and without the other,
# which does not exist, a runtime takes its copy of itself for the original and copies for ever.
RELEASES = {
    "3.10": Release(
        last_call="finit_module",
        drill=Drill(
            like="3.10",
            refused={"x86_64": 314, "i386": 351},
            fcntl=(_F_ADD_SEALS, _F_GET_SEALS),
        ),
        without=("cgroup2", "overlay", "tracefs"),
    ),
    "4.18": Release(
        last_call="rseq", drill=Drill(like="4.18", refused={"x86_64": 335, "i386": 387})
    ),
    "5.14": Release(
        last_call="memfd_secret", drill=Drill(like="5.14", refused={"x86_64": 448, "i386": 448})
    ),
}


def release(name: str, where: str) -> Release:
    """Return what a drill of a mainline release lacks; ``where`` asks for it.

    Raises:
        UsageError: there is no drill of that release.
    """
    if name not in RELEASES:
        raise UsageError(f"{where}: there is no drill of {name!r}; known: {', '.join(RELEASES)}")
    return RELEASES[name]


def describe(host: Host) -> str:
    """Return in one sentence what a host's drill is; empty for a host that is none."""
    if host.drill is None:
        return ""
    without = f", and has no {', '.join(host.without)}" if host.without else ""
    return (
        f"not a {host.drill.like}: a {host.kernel.release} whose guest refuses every system call "
        f"that mainline {host.drill.like} lacks{without}"
    )


def program(drill: Drill) -> bytes:
    """Return the filter that refuses what a drill lacks, as an array of sock_filter.

    The numbers of another architecture are not looked at. A call that x32 programs make has a
    high bit set and is refused as well: 64-bit kernels of the distributions run none.
    """
    steps: list[_Step] = [(_LOAD, 0, 0, _ARCH)]
    for abi, first in drill.refused.items():
        table = [
            (_LOAD, 0, 0, _NUMBER),
            *(step for number in _FCNTL[abi] for step in _commands(number, drill.fcntl)),
            (_AT_LEAST, 0, 1, first),
            (_ANSWER, 0, 0, _ERROR | ENOSYS),
            (_ANSWER, 0, 0, _ALLOWED),
        ]
        steps += [(_EQUAL, 0, len(table), _ARCHES[abi]), *table]
    steps.append((_ANSWER, 0, 0, _ALLOWED))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def _commands(number: int, refused: tuple[int, ...]) -> list[_Step]:
    """Return the steps that decide on a call by its second argument, and skip any other call."""
    if not refused:
        return []
    steps = [(_LOAD, 0, 0, _SECOND_ARGUMENT)]
    for command in refused:
        steps += [(_EQUAL, 0, 1, command), (_ANSWER, 0, 0, _ERROR | EINVAL)]
    steps.append((_ANSWER, 0, 0, _ALLOWED))
    return [(_EQUAL, 0, len(steps), number), *steps]
