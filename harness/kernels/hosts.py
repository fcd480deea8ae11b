"""Hosts: a catalog entry and its kernel, with every default filled in."""

from __future__ import annotations

from dataclasses import asdict

from harness.kernels import drill
from harness.model.hosts import Cgroup, Host, HostEntry, Kernel
from harness.store import digest_of

CPU = "Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid,-erms"
"""A model that TCG and KVM both offer (x86-64-v3), so that results mean the same on another
machine; what is taken away is what QEMU's emulation lacks of it, and ERMS: kernels and C libraries
that find it copy and clear memory by ``rep movsb`` and ``rep stosb``, which QEMU emulates byte by
byte, at a fifth of the speed of whole words."""


def host_of(entry: HostEntry, kernel: Kernel) -> Host:
    """Return the host of a catalog entry, with the harness's defaults where it says nothing.

    ``seccomp`` stays empty unless the entry names a profile: the engine's newest is meant.

    Raises:
        UsageError: it is a drill of a release that there is no drill of.
    """
    like = drill.release(entry.drill, entry.where) if entry.drill else None
    return Host(
        name=entry.name,
        kernel=kernel,
        memory=entry.memory,
        cpus=entry.cpus,
        cpu=entry.cpu or CPU,
        cmdline=entry.cmdline,
        cgroup=entry.cgroup or Cgroup.V2,
        engine=entry.engine,
        seccomp=entry.seccomp,
        sysctl=dict(entry.sysctl),
        drill=like.drill if like else None,
        without=like.without if like else (),
    )


def identity(host: Host) -> str:
    """Return a key of everything that makes a host but its name; part of every cache key."""
    facts = asdict(host)
    del facts["name"]
    facts["kernel"] = host.kernel.digest
    return digest_of(facts)
