"""What one host is really like, found out once in a throw-away guest with the tools disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.container import choice, facts
from harness.container.facts import Facts
from harness.guest.apparatus import Apparatus
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
    say: Callable[[str], None],
) -> Survey:
    """Return the survey of a host, made in a guest when the store has none.

    Raises:
        GuestDied, GuestTimeout: the host does not come up.
        HarnessError: no runtime starts on it, or a tool cannot be had.
    """
    candidates = choice.order(host.engine)
    disk = apparatus.tools_disk(*PROBES.values(), *candidates)
    initramfs = apparatus.initramfs(host)
    machine = Machine(
        host=host,
        accelerator=accelerator,
        initramfs=initramfs,
        disks=(disk,),
        features=apparatus.features,
    )

    def make(directory: Path) -> None:
        begin = time.monotonic()
        with apparatus.booted(machine) as guest:
            guest.run(f"harness-tools {' '.join(PROBES.values())}", limit=_UNPACK_LIMIT)
            found = _look(guest, candidates, syscalls, drill=host.drill is not None)
        (directory / _FILE).write_bytes(encode(found))
        seconds = time.monotonic() - begin
        numbers = len(found.census.implemented.get("x86_64", ()))
        say(
            f"{host.name}: surveyed {found.facts.release} in {seconds:.1f} s: {numbers} system "
            f"calls, {found.runtime}"
        )

    key = digest_of(_FORMAT, identity(host), initramfs.parent.name, disk.path.parent.name)
    entry = apparatus.store.make("surveys", key, f"survey of {host.name}", make)
    return decode(Survey, (entry / _FILE).read_bytes())


def _look(guest: Guest, candidates: tuple[str, ...], syscalls: Syscalls, *, drill: bool) -> Survey:
    chosen = choice.choose(guest, candidates)
    refused = guest.run("cat /run/harness/sysctl.refused 2>/dev/null", check=False)
    return Survey(
        facts=facts.probe(guest),
        modules=guest.run("[ -e /proc/modules ]", check=False).status == 0,
        runtime=chosen.set,
        runtime_version=chosen.version,
        runtime_why=chosen.why,
        refused_sysctls=tuple(refused.stdout.decode().split()),
        # Last: what it calls may leave the guest in any state.
        census=CensusTaker(syscalls).take(guest, kallsyms=not drill),
    )
