"""Operations of multiplexed system calls: which arguments name one, and what it is called."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files

MULTIPLEXED = {
    "bpf": (0,),  # bpf(command, ...)
    "fcntl": (1,),  # fcntl(fd, command, ...)
    "getsockopt": (1, 2),  # getsockopt(fd, level, option, ...)
    "ioctl": (1,),  # ioctl(fd, request, ...)
    "keyctl": (0,),  # keyctl(operation, ...)
    "prctl": (0,),  # prctl(option, ...)
    "seccomp": (0,),  # seccomp(operation, ...)
    "setsockopt": (1, 2),  # setsockopt(fd, level, option, ...)
}
"""Calls that are armed so that their operation is known, with the arguments that name it.

futex is not among them: every contended lock of every program would be an event.
"""

UNKNOWN_OPERATION = frozenset(
    {*MULTIPLEXED, "futex", "io_uring_register", "personality", "ptrace", "quotactl", "syslog"}
)
"""Calls that may answer ENOSYS, or EINVAL, to an operation that they do not know."""

FCNTL = 72
NUMBERS = {
    16: (1,),
    54: (1, 2),
    55: (1, 2),
    FCNTL: (1,),
    157: (0,),
    250: (0,),
    317: (0,),
    321: (0,),
}
"""The same by x86_64 numbers (arch/x86/entry/syscalls/syscall_64.tbl), for the parser."""

OPERATION_WORDS = {
    str(number).encode(): slice(places[0], places[-1] + 1) for number, places in NUMBERS.items()
}
"""The same for arguments as the trace prints them."""

_WORD = 0xFFFFFFFF  # each of them is an int for the kernel, whatever the register's upper half


def operation_arguments(number: int, arguments: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the arguments that name a multiplexed call's operation, or nothing."""
    wanted = NUMBERS.get(number)
    if wanted is None or arguments is None or len(arguments) <= wanted[-1]:
        return ()
    return tuple(arguments[index] & _WORD for index in wanted)


class Operations:
    """Names of operations, from the kernel's public headers (operations.toml)."""

    def __init__(self) -> None:
        text = (files(__package__) / "operations.toml").read_text()
        data = tomllib.loads(text)
        self._levels: Mapping[str, str] = data.pop("levels")
        self._options: Mapping[str, Mapping[str, str]] = data.pop("sockopt")
        self._tables: Mapping[str, Mapping[str, str]] = data

    def name(self, call: str, operation: tuple[int, ...]) -> str:
        """Return what the operation is called; one without a name is shown as its number."""
        if not operation:
            return ""
        if call in ("setsockopt", "getsockopt") and len(operation) == 2:
            level, option = str(operation[0]), str(operation[1])
            name = self._options.get(level, {}).get(option, option)
            return f"{self._levels.get(level, level)}/{name}"
        shown = f"{operation[0]:#x}" if call == "ioctl" else str(operation[0])
        return self._tables.get(call, {}).get(str(operation[0]), shown)
