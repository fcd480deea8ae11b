"""Capabilities as engines give them to containers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.errors import UsageError
from harness.model.hosts import Engine

_IN_ORDER = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES = tuple(f"CAP_{name}" for name in _IN_ORDER.split())
"""By number (include/uapi/linux/capability.h)."""

_SHARED = """
    CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT
"""
_PODMAN = _SHARED.split()
_DOCKER = [*_PODMAN, "MKNOD", "NET_RAW", "AUDIT_WRITE"]

DEFAULTS = {
    # containers.conf of golang-github-containers-common, default_capabilities
    Engine.PODMAN: frozenset(f"CAP_{name}" for name in _PODMAN),
    # moby, oci/caps/defaults.go
    Engine.DOCKER: frozenset(f"CAP_{name}" for name in _DOCKER),
}


def from_mask(mask: int) -> frozenset[str]:
    """Return the names of a mask as /proc/PID/status has it; unknown bits are left out."""
    return frozenset(name for number, name in enumerate(NAMES) if mask >> number & 1)


def bounding(
    engine: Engine, add: Sequence[str], drop: Sequence[str], kernel: Collection[str]
) -> tuple[str, ...]:
    """Return a container's bounding set, less what the kernel does not know.

    ``add`` and ``drop`` are as users write them: with or without CAP_, in any case, or ALL.
    Drops come first, so what is named in both stays; of ALL only the other side's names count
    (moby, oci/caps).

    Raises:
        UsageError: no capability is called so.
    """
    gained, all_gained = _named(add)
    lost, all_lost = _named(drop)
    if all_gained:
        chosen = set(NAMES) - lost
    elif all_lost:
        chosen = gained
    else:
        chosen = (set(DEFAULTS[engine]) - lost) | gained
    return tuple(name for name in NAMES if name in chosen and name in kernel)


def added(add: Sequence[str], kernel: Collection[str]) -> tuple[str, ...]:
    """Return what was asked for by name, which podman gives to users other than root."""
    names, everything = _named(add)
    wanted = set(NAMES) if everything else names
    return tuple(name for name in NAMES if name in wanted and name in kernel)


def _named(words: Sequence[str]) -> tuple[set[str], bool]:
    names, everything = set(), False
    for word in words:
        name = word.upper()
        if name == "ALL":
            everything = True
            continue
        name = name if name.startswith("CAP_") else f"CAP_{name}"
        if name not in NAMES:
            raise UsageError(f"no capability is called {word!r}: capabilities(7) lists them")
        names.add(name)
    return names, everything
