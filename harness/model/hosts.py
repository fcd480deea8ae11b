"""Container hosts: where a kernel comes from, its lock, and what a host adds to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Engine(StrEnum):
    """A container engine, which decides runtime and seccomp profile."""

    PODMAN = "podman"
    DOCKER = "docker"


class Cgroup(StrEnum):
    """Which control-group hierarchies the host's init mounts (cgroups(7))."""

    V1 = "v1"
    V2 = "v2"
    HYBRID = "hybrid"


class Accelerator(StrEnum):
    """QEMU's ``-accel``."""

    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True, slots=True, kw_only=True)
class AptSource:
    """One suite of an apt archive; ``bases`` are tried in order (live mirror, then archive)."""

    bases: tuple[str, ...]
    suite: str
    components: tuple[str, ...] = ("main",)
    keyring: str = "debian"
    accept_expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmSource:
    """One rpm repository; ``bases`` are tried in order. ``keys`` name entries of keys.yaml."""

    bases: tuple[str, ...]
    packages: tuple[str, ...]
    keys: tuple[str, ...]
    signed_metadata: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSource:
    """A kernel at hand: a bzImage and, unless all is built in, its lib/modules/RELEASE."""

    image: Path
    modules: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OciSource:
    """A kernel that travels as an OCI image with /boot/vmlinuz* and /lib/modules."""

    ref: str


Source = AptSource | RpmSource | LocalSource | OciSource


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One package file, exactly: ``path`` is relative to the source's base URL."""

    name: str
    version: str
    path: str
    sha256: str
    size: int
    architecture: str = "amd64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a source resolved to. ``release`` is the kernel's ``uname -r``, empty for tools."""

    release: str
    packages: tuple[LockedPackage, ...]
    source: str = ""
    """What it was resolved from, in a line; a lock of another source does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """A catalog entry: a kernel, and what a container host of that kind adds to it."""

    name: str
    source: Source
    flavour: str = "cloud"
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    memory: int = 1024
    """Guest memory in MiB."""
    cpus: int = 1
    cpu: str = ""
    """QEMU CPU model; empty means the harness's named default."""
    cmdline: str = ""
    cgroup: Cgroup | None = None
    engine: Engine = Engine.PODMAN
    seccomp: str = ""
    """Profile name of the seccomp catalog; empty means the engine's newest."""
    sysctl: dict[str, str] = field(default_factory=dict)
    drill: str = ""
    """Mainline release that the guest is made to lack as much as; empty: it is no drill."""
    where: str = ""
    """File and line of the entry, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A bootable kernel, unpacked in the store."""

    release: str
    """uname -r, as package or file says; the observation has the running kernel's word."""
    vmlinuz: Path
    modules: Path | None
    """The directory lib/modules/RELEASE, or None when all is built in."""
    digest: str
    """sha256 of all that was unpacked."""
    origin: str
    """One line: where it came from and in which version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What a guest is made to lack for practice; never evidence about the real release."""

    like: str
    """The mainline release."""
    refused: dict[str, int]
    """ABI to the first system-call number that a filter of the guest's init refuses."""
    fcntl: tuple[int, ...] = ()
    """Commands of fcntl that it takes for unknown ones, with EINVAL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A column of the matrix: all that decides how a container host behaves."""

    name: str
    kernel: Kernel
    memory: int
    cpus: int
    cpu: str
    cmdline: str
    cgroup: Cgroup
    engine: Engine
    seccomp: str
    sysctl: dict[str, str]
    drill: Drill | None = None
    without: tuple[str, ...] = ()
    """What its kernel has and the guest does not get: ``cgroup2``, ``tracefs``, ``debugfs``,
    ``kallsyms``, names of modules, or ``modules`` for all that disks and channel do not need."""
