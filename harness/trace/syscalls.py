"""System calls' names and numbers, from the system-calls package (hrw/syscalls-table)."""

from __future__ import annotations

from collections.abc import Mapping

ABIS = ("x86_64", "i386")


class Syscalls:
    """The kernel's tables for 64-bit and 32-bit programs of a PC."""

    def __init__(self) -> None:
        from system_calls import syscalls  # slow to import and needed by few

        known = syscalls()
        self.kernel: str = known.linux_version
        """The kernel that the tables were made from."""
        self._numbers: dict[str, dict[str, int]] = {
            abi: dict(known.load_arch_table(abi)) for abi in ABIS
        }
        self._names = {
            abi: {number: name for name, number in table.items()}
            for abi, table in self._numbers.items()
        }

    def name(self, number: int, abi: str = "x86_64") -> str:
        """Return a call's name, or ``syscall_NNN`` for a number that the tables lack."""
        return self._names[abi].get(number, f"syscall_{number}")

    def number(self, name: str, abi: str = "x86_64") -> int | None:
        """Return a call's number; ``syscall_NNN`` is NNN, an unknown name None."""
        if name.startswith("syscall_") and name[8:].isdigit():
            return int(name[8:])
        return self._numbers[abi].get(name)

    def by_name(self, abi: str = "x86_64") -> Mapping[str, int]:
        """Return the whole table, name to number."""
        return self._numbers[abi]

    def numbers(self, abi: str = "x86_64") -> Mapping[int, str]:
        """Return the whole table, number to name."""
        return self._names[abi]

    def end(self) -> int:
        """Return the highest number that either table names, x32's aside."""
        return max(number for names in self._names.values() for number in names if number < 512)
