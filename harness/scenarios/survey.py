"""What one host is really like, found out once.

It is found out in a guest of the snapshot that the host's cells will start from, which has the
engine's newest runtime. Where that does not start, as on old kernels, a guest without a runtime is
booted, and each is tried there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.container import choice, facts
from harness.container.choice import Choice
from harness.container.facts import Facts
from harness.errors import GuestError
from harness.guest.apparatus import SLOTS, Apparatus
from harness.guest.guest import Guest
from harness.guest.qemu import Machine
from harness.kernels.hosts import identity
from harness.model.hosts import Accelerator, Host
from harness.results.codec import decode, encode
from harness.store import digest_of
from harness.trace.census import PROBES, Census, CensusTaker
from harness.trace.syscalls import Syscalls

_FORMAT = 1
_FILE = "survey.json"
_UNPACK_LIMIT = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A host's facts, its runtime and its census; plain data, kept by the host's identity."""

    facts: Facts
    modules: bool
    """Whether the kernel loads modules at all."""
    runtime: str
    """Tool set of the runtime that starts here."""
    runtime_version: str
    runtime_why: str
    census: Census
    refused_sysctls: tuple[str, ...] = ()
    """Sysctls of the host that its kernel does not have or did not take."""


def survey(
    host: Host,
    *,
    accelerator: Accelerator,
    apparatus: Apparatus,
    syscalls: Syscalls,
    cold: bool,
    say: Callable[[str], None],
) -> Survey:
    """Return the survey of a host, made in a guest when the store has none.

    ``cold``: no snapshot is made for it.

    Raises:
        GuestDied, GuestTimeout: the host does not come up.
        HarnessError: no runtime starts on it, or a tool cannot be had.
    """
    candidates = choice.order(host.engine)
    disk = apparatus.tools_disk(*PROBES.values(), *candidates)
    machine = Machine(
        host=host,
        accelerator=accelerator,
        initramfs=apparatus.initramfs(host),
        features=apparatus.features,
    )
    equipped = replace(machine, initramfs=apparatus.initramfs(host, candidates[0]))

    def make(directory: Path) -> None:
        begin = time.monotonic()
        found = None
        if not cold:
            try:
                found = _in_snapshot(equipped, candidates[0], apparatus, syscalls, say)
            except GuestError as error:
                say(f"{host.name}: surveyed without a snapshot: {error}")
        if found is None:
            with apparatus.booted(replace(machine, disks=(disk,))) as guest:
                known = facts.probe(guest)
                chosen = choice.choose(guest, candidates, known)
                found = _look(guest, known, chosen, syscalls)
        (directory / _FILE).write_bytes(encode(found))
        seconds = time.monotonic() - begin
        numbers = len(found.census.implemented.get("x86_64", ()))
        say(
            f"{host.name}: surveyed {found.facts.release} in {seconds:.1f} s: {numbers} system "
            f"calls, {found.runtime}"
        )

    made_of = (machine.initramfs, equipped.initramfs, disk.path)
    key = digest_of(_FORMAT, identity(host), [path.parent.name for path in made_of])
    entry = apparatus.store.make("surveys", key, f"survey of {host.name}", make)
    return decode(Survey, (entry / _FILE).read_bytes())


def _in_snapshot(
    machine: Machine,
    runtime: str,
    apparatus: Apparatus,
    syscalls: Syscalls,
    say: Callable[[str], None],
) -> Survey | None:
    """Return the survey of a machine that has ``runtime``, if that starts there."""
    saved = apparatus.snapshot(replace(machine, disks=(apparatus.slot(SLOTS[0]),)))
    tools = apparatus.tools_disk(*PROBES.values())
    disk = apparatus.in_slot(tools, SLOTS[0])
    with apparatus.started(replace(machine, disks=(disk,)), saved, say=say) as guest:
        known = facts.probe(guest)
        chosen = choice.resident(guest, runtime, known)
        if chosen is None:
            return None
        # A copy of the tools alone: tar reads on to the end of what it is given.
        size = tools.path.stat().st_size
        guest.run(f"head -c {size} /run/harness/disk/image >/run/harness/disk/tools")
        return _look(guest, known, chosen, syscalls)


def _look(guest: Guest, known: Facts, chosen: Choice, syscalls: Syscalls) -> Survey:
    refused = guest.run("cat /run/harness/sysctl.refused 2>/dev/null", check=False)
    guest.run(f"harness-tools {' '.join(PROBES.values())}", limit=_UNPACK_LIMIT)
    return Survey(
        facts=known,
        modules=guest.run("[ -e /proc/modules ]", check=False).status == 0,
        runtime=chosen.set,
        runtime_version=chosen.version,
        runtime_why=chosen.why,
        refused_sysctls=tuple(refused.stdout.decode().split()),
        # Last: what it calls may leave the guest in any state.
        census=CensusTaker(syscalls).take(guest, kallsyms=guest.host.drill is None),
    )
