"""What the two engines put into every bundle, as their sources have it.

podman: containers/common pkg/config/default.go and containers.conf, runtime-tools generate.go,
podman pkg/specgen/generate. Docker: moby oci/defaults.go, daemon/oci_linux.go.
"""

from __future__ import annotations

from typing import Any

from harness.model.hosts import Engine

_MASKED = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
MASKED = {
    Engine.PODMAN: (*_MASKED, "/sys/fs/selinux"),
    Engine.DOCKER: ("/proc/asound", *_MASKED),
}

_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
READONLY = {
    Engine.PODMAN: ("/proc/asound", *_READONLY),
    Engine.DOCKER: _READONLY,
}

SYSCTLS = {
    Engine.PODMAN: {"net.ipv4.ping_group_range": "0 0"},
    Engine.DOCKER: {
        "net.ipv4.ping_group_range": "0 2147483647",
        "net.ipv4.ip_unprivileged_port_start": "0",
    },
}
"""Set where the kernel has them; Docker leaves ping_group_range out in a user namespace."""

PIDS = {Engine.PODMAN: 2048, Engine.DOCKER: None}
"""Limit on processes unless asked otherwise."""

READ_ONLY_TMPFS = {
    Engine.PODMAN: ("/run", "/tmp", "/var/tmp"),  # noqa: S108 - in the container
    Engine.DOCKER: (),
}
"""What stays writable in a read-only container (podman's --read-only-tmpfs)."""

_DEVICES = ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1))
"""zero, null, urandom, random, tty, console: Docker lists them, runtimes allow them anyway."""


def device_rules(engine: Engine) -> list[dict[str, Any]]:
    """Return the rules of the devices cgroup."""
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    if engine is Engine.DOCKER:
        rules += [
            {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}
            for major, minor in _DEVICES
        ]
        rules.append({"allow": False, "type": "c", "major": 10, "minor": 229, "access": "rwm"})
    return rules


def mounts(shm_size: int) -> list[dict[str, Any]]:
    """Return the mounts of every container; both engines have the same ones."""
    return [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro"),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount(
            "/dev/shm",  # noqa: S108 - in the container
            "tmpfs",
            "shm",
            "nosuid",
            "noexec",
            "nodev",
            "mode=1777",
            f"size={-(-shm_size // 1024)}k",
        ),
    ]


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}
