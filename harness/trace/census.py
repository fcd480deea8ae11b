"""The census: which system calls the running kernel implements, whatever its version says.

Two ways that must agree. ``raw``: each number is called, with arguments that can do no harm, and
one that answers ENOSYS is not there. ``kallsyms``: the kernel's symbols have an entry point for
the call. Raw counts, because it is what a program meets; symbols confirm it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from harness.trace.elf import Shell
from harness.trace.syscalls import Syscalls

LAST = 511
"""The highest number asked for: 512 to 547 of the 64-bit table are x32's."""

PROBE_LIMIT = 300.0
_ENOSYS = 38
_SIGSYS = 31
PROBES = {"x86_64": "perl", "i386": "perl-i386"}
"""The guest tools' set that has perl for an ABI."""

_SYMBOL = re.compile(r"^([0-9a-f]{1,16}) ([tTwW]) (\w+)$", re.MULTILINE)
_SYMBOLS = "grep -F -e sys_ -e SyS_ -e sys32_ -e stub /proc/kallsyms"
"""Plain words: in the guest a pattern takes seconds for as many symbols as a kernel has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What one kernel, as configured and booted, implements."""

    release: str
    implemented: dict[str, tuple[int, ...]]
    """ABI to numbers, sorted; an ABI whose programs do not run here is left out."""
    ways: dict[str, str]
    """ABI to ``raw and kallsyms``, ``raw`` or ``kallsyms``."""
    disagreements: tuple[str, ...] = ()
    """Calls on which the two ways differ and for which no reason is known."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two kernels' censuses differ for one ABI."""

    added: tuple[int, ...]
    removed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Symbols:
    """Entry points by name, and the addresses that stand for no call."""

    addresses: Mapping[str, int]
    absent: frozenset[int] = field(default_factory=frozenset)


class CensusTaker:
    """Takes censuses; the data beside this module says what is special about single calls."""

    def __init__(self, syscalls: Syscalls) -> None:
        self._syscalls = syscalls
        text = (files(__package__) / "census.toml").read_text()
        self._data: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(text)

    def take(self, guest: Shell, *, kallsyms: bool = True) -> Census:
        """Take the census of a guest whose tools disk is attached.

        Args:
            guest: a throw-away guest.
            kallsyms: False in a drill, where the symbols are still those of the real kernel.
        """
        release = guest.run("uname -r").stdout.decode().strip()
        notes: list[str] = []
        symbols = self._symbols(guest, notes) if kallsyms else None
        implemented: dict[str, tuple[int, ...]] = {}
        ways: dict[str, str] = {}
        disagreements: list[str] = []
        for abi in PROBES:
            raw = self._probe(guest, abi, notes)
            notes += self._nameless(raw or {}, abi)
            known = None if symbols is None else self.by_symbols(symbols, abi)
            if abi == "i386" and raw and symbols and known and not _of_one_table(symbols):
                # There a symbol tells that the call exists, not that both tables have it.
                known -= {number for number, there in raw.items() if not there}
            if raw is None and (known is None or abi == "i386"):
                continue  # 32-bit symbols are there even where no 32-bit program starts
            implemented[abi], found = self.combine(raw, known, abi)
            disagreements += found
            ways[abi] = " and ".join(
                way for way, got in (("raw", raw), ("kallsyms", known)) if got is not None
            )
        return Census(
            release=release,
            implemented=implemented,
            ways=ways,
            disagreements=tuple(disagreements),
            notes=tuple(notes),
        )

    def combine(
        self, raw: Mapping[int, bool] | None, known: frozenset[int] | None, abi: str
    ) -> tuple[tuple[int, ...], list[str]]:
        """Return the numbers implemented, and the unexplained differences of the two ways."""
        skipped = self._numbers("skip", abi)
        if raw is None:
            return tuple(sorted(known or ())), []
        present = {number for number, there in raw.items() if there}
        # What was not called: every kernel has them, unless the symbols say otherwise.
        present |= skipped if known is None else skipped & known
        found = []
        names = self._syscalls.numbers(abi)
        excused = self._numbers("answers_enosys", abi)
        for number, there in sorted(raw.items()):
            if known is None or there == (number in known) or number not in names:
                continue
            if not there and number in excused:
                continue
            says = ("answers", "no symbol") if there else ("ENOSYS", "a symbol")
            found.append(
                f"{names[number]} ({abi} {number}): raw probing {says[0]}, kallsyms has {says[1]}"
            )
        return tuple(sorted(present)), found

    def by_symbols(self, symbols: Symbols, abi: str) -> frozenset[int]:
        """Return the numbers that have an entry point among the kernel's symbols."""
        without = self._numbers("no_entry", abi)
        modern = _of_one_table(symbols)
        found = set()
        for number, name in self._syscalls.numbers(abi).items():
            if number in without or number > LAST:
                continue
            stems = self._data["symbols"][abi].get(str(number), [name])
            names = (one for stem in stems for one in _entry_points(stem, abi, modern))
            addresses = [symbols.addresses[one] for one in names if one in symbols.addresses]
            if any(address not in symbols.absent for address in addresses):
                found.add(number)
        return frozenset(found)

    def _symbols(self, guest: Shell, notes: list[str]) -> Symbols | None:
        reply = guest.run(_SYMBOLS, limit=PROBE_LIMIT, check=False)
        symbols = parse_kallsyms(reply.stdout.decode(errors="replace"))
        if symbols is None:
            notes.append("no /proc/kallsyms to read: the census is by raw probing alone")
        return symbols

    def _probe(self, guest: Shell, abi: str, notes: list[str]) -> dict[int, bool] | None:
        skipped = ",".join(map(str, sorted(self._numbers("skip", abi)))) or "-"
        given = self._data["arguments"].get(abi, {})
        arguments = ";".join(f"{n}:{','.join(map(str, words))}" for n, words in given.items())
        script = (files(__package__) / "census_probe.pl").read_bytes()
        # Its arguments are digits and punctuation of census.toml.
        reply = guest.run(
            f"tool {PROBES[abi]} perl - 0 {LAST} '{skipped}' '{arguments or '-'}'",
            stdin=script,
            limit=PROBE_LIMIT,
            check=False,
        )
        result = parse_probe(reply.stdout.decode(errors="replace"))
        if result is None and abi == "x86_64":
            why = reply.stderr.decode(errors="replace").strip()[-200:] or "it did not end"
            notes.append(f"raw probing failed, the census is by /proc/kallsyms alone: {why}")
        elif result is None:
            notes.append("32-bit programs do not run on this kernel: no census for them")
        return result

    def _nameless(self, raw: Mapping[int, bool], abi: str) -> list[str]:
        names = self._syscalls.numbers(abi)
        return [
            f"{abi} number {number} is implemented and has no name in this harness's table, which "
            f"is of Linux {self._syscalls.kernel}: no second way confirms it"
            for number, there in sorted(raw.items())
            if there and number not in names
        ]

    def _numbers(self, table: str, abi: str) -> frozenset[int]:
        return frozenset(int(number) for number in self._data.get(table, {}).get(abi, {}))


def compare(old: Census, new: Census, abi: str = "x86_64") -> Difference:
    """Return which numbers ``new`` adds to ``old`` and which it lacks."""
    before, after = set(old.implemented.get(abi, ())), set(new.implemented.get(abi, ()))
    return Difference(added=tuple(sorted(after - before)), removed=tuple(sorted(before - after)))


def missing(census: Census, syscalls: Syscalls, abi: str = "x86_64") -> tuple[int, ...]:
    """Return the numbers of the table that the kernel lacks."""
    there = set(census.implemented.get(abi, ()))
    return tuple(sorted(n for n in syscalls.numbers(abi) if n <= LAST and n not in there))


def parse_kallsyms(text: str) -> Symbols | None:
    """Read lines of /proc/kallsyms; None when they are missing or their addresses are hidden.

    A call that is not built in is a weak symbol since 5.7; before, it is one at the address of
    sys_ni_syscall (kernel/sys_ni.c).
    """
    addresses: dict[str, int] = {}
    weak: set[str] = set()
    for line in _SYMBOL.finditer(text):
        if line[2] in "wW":
            weak.add(line[3])
        else:
            addresses[line[3]] = int(line[1], 16)
    nothing = {at for name, at in addresses.items() if name.endswith("sys_ni_syscall")}
    if not addresses or not any(addresses.values()):
        return None
    return Symbols(
        {name: at for name, at in addresses.items() if name not in weak}, frozenset(nothing)
    )


def parse_probe(text: str) -> dict[int, bool] | None:
    """Read what the probe said, number to whether it is there; None when it did not end well."""
    lines = text.splitlines()
    if not lines or lines[-1] != "done":
        return None
    found: dict[int, bool] = {}
    for line in lines[:-1]:
        number, what, *value = line.split()
        refused = (what == "errno" and value == [str(_ENOSYS)]) or (
            what == "signal" and value == [str(_SIGSYS)]
        )
        found[int(number)] = not refused
    return found


def _of_one_table(symbols: Symbols) -> bool:
    """Whether each table has entry points of its own, as from 4.17 on."""
    return any(name.startswith("__x64_sys_") for name in symbols.addresses)


def _entry_points(stem: str, abi: str, modern: bool) -> tuple[str, ...]:
    """Return the names that an entry point may have, by the kernel's age (4.17 changed them)."""
    if abi == "x86_64":
        return (f"__x64_sys_{stem}",) if modern else (f"sys_{stem}", f"SyS_{stem}", f"stub_{stem}")
    stems = (stem, f"x86_{stem}", f"ia32_{stem}")
    prefixes: tuple[str, ...]
    if modern:
        prefixes = ("__ia32_compat_sys_", "__ia32_sys_", "sys32_", "__do_compat_sys_")
    else:
        prefixes = ("compat_sys_", "compat_SyS_", "sys32_", "stub32_", "sys_", "SyS_")
    return tuple(f"{prefix}{one}" for prefix in prefixes for one in stems)
