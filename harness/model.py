"""Plain data that crosses floors, processes and machines.

Every class here is a frozen dataclass without behaviour, made of JSON's types,
paths and each other, so that :class:`pydantic.TypeAdapter` serialises it as it stands.
Times are seconds, sizes are bytes unless a field's name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

OBSERVATION_SCHEMA = 1
"""Version of the JSON that one cell's observation is written in."""

SERVICE = "service"
"""Name of the result that is a service's; it follows those of the steps."""


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


class Origin(StrEnum):
    """Who answered a refused system call."""

    SECCOMP = "seccomp"
    KERNEL = "kernel"
    DRILL = "drill"
    OTHER = "other"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What became of a cell."""

    PASSED = "passed"
    FAILED = "failed"
    DIED = "guest died"
    TIMED_OUT = "timed out"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    SKIPPED = "skipped"


# --- packages and kernels ---------------------------------------------------------------


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


# --- images -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The run-time part of an OCI image's config (image-spec, config.md)."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""
    workdir: str = "/"
    volumes: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image ready for a guest: its disk in the store and what its config says."""

    name: str
    ref: str
    digest: str
    """Manifest digest: the image's identity."""
    disk: Path
    slot: int
    """Virtual size of the disk in bytes: one of a few slot sizes."""
    config: ImageConfig


# --- scenarios --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A tmpfs, or a file copied into the container; nothing of the host is shared."""

    target: str
    tmpfs: bool = False
    content: str | None = None
    """Inline text of a file."""
    source: Path | None = None
    """A file or directory of the scenario's repository, copied in."""
    mode: int = 0o644
    size: int | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """How a scenario's container runs; empty means as the image and the engine have it."""

    env: dict[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    mounts: tuple[Mount, ...] = ()
    read_only: bool = False
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    ulimits: dict[str, tuple[int, int]] = field(default_factory=dict)
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    userns: bool = False
    sysctls: dict[str, str] = field(default_factory=dict)
    shm_size: int = 64 << 20
    hostname: str = ""
    entrypoint: tuple[str, ...] | None = None
    seccomp: str = ""
    """Profile name, ``unconfined``, or a path; empty means the host's."""
    engine: Engine | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    """System calls by name, and the errno that a rule added to the profile answers them with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextExpect:
    """What an output must be."""

    equals: str | None = None
    contains: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What a step must end with. ``exit`` None with ``signal`` None means: anything."""

    exit: int | None = 0
    signal: str | None = None
    """Signal name without SIG, as signal(7) has it."""
    stdout: TextExpect = field(default_factory=TextExpect)
    stderr: TextExpect = field(default_factory=TextExpect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command. Exactly one of ``run`` and ``args`` is set, or neither for the image's own."""

    name: str = ""
    run: tuple[str, ...] | None = None
    """Replaces Entrypoint and Cmd; a YAML string becomes ("sh", "-c", STRING)."""
    args: tuple[str, ...] | None = None
    """Replaces Cmd and keeps the Entrypoint."""
    stdin: str = ""
    timeout: float = 60.0
    expect: Expect = field(default_factory=Expect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The container's first process, beside which the steps are executed."""

    run: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    ready: tuple[str, ...] = ()
    """A command that exits 0 once the service is up; empty: up when started."""
    timeout: float = 60.0
    watch: float = 0.0
    """How long it must keep running once it is ready, unless it ends with status 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A difference that is known and accepted; empty fields match anything."""

    kernels: str
    reason: str
    syscall: str = ""
    errno: str = ""
    program: str = ""
    field: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What to run in an image, how, and what to expect."""

    name: str
    file: str
    """Path relative to pytest's rootdir, with forward slashes."""
    line: int
    images: tuple[str, ...]
    steps: tuple[Step, ...]
    """None only beside a service that is watched."""
    why: str = ""
    container: ContainerSpec = field(default_factory=ContainerSpec)
    service: Service | None = None
    kernels: str = ""
    """The kernels it applies to, as a selection expression; empty: all."""
    requires: dict[str, str] = field(default_factory=dict)
    known: tuple[Known, ...] = ()
    normalise: tuple[tuple[str, str], ...] = ()
    """Extra (pattern, replacement) pairs applied to outputs before they are compared."""
    tags: tuple[str, ...] = ()
    timeout: float = 300.0


# --- observations -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Failing system calls of one kind, aggregated by (name, errno, program, operation, origin)."""

    name: str
    number: int
    abi: str
    """``x86_64`` or ``i386``: whose table the number is of."""
    errno: str
    program: str
    """Last component of the program's path."""
    operation: str = ""
    """For a multiplexed call the operation, where the trace knows it."""
    origin: Origin = Origin.UNKNOWN
    reached: bool | None = None
    """Whether the call reached the kernel (a sys_enter event); None: not known."""
    implemented: bool | None = None
    """Whether the census says that the kernel implements the call; None: not known."""
    remark: str = ""
    count: int = 1
    pid: int = 0
    """Of the first occurrence, as are path, offset and arguments."""
    path: str = ""
    offset: float = 0.0
    arguments: tuple[int, ...] | None = None
    steps: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """How one process of the container ended."""

    pid: int
    parent: int
    program: str
    path: str
    offset: float
    exit: int | None = None
    signal: str | None = None
    last_failure: str = ""
    """``NAME ERRNO`` of the last call that failed in it, harmless ones left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one step did."""

    name: str
    argv: tuple[str, ...]
    exit: int | None
    signal: str | None
    stdout: str
    stderr: str
    stdout_dropped: int = 0
    """Bytes beyond the limit that were not kept."""
    stderr_dropped: int = 0
    seconds: float = 0.0
    peak_memory: int | None = None
    peak_memory_way: str = ""
    """``memory.peak``, ``max_usage`` or ``rusage``; two ways are never compared."""
    timed_out: bool = False
    unmet: tuple[str, ...] = ()
    """Expectations not met, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a cell ran on."""

    kernel: str
    """Host name of the catalog."""
    release: str
    """uname -r of the running kernel."""
    kernel_digest: str
    kernel_origin: str
    qemu: str
    accelerator: Accelerator
    cpu: str
    engine: Engine
    runtime: str
    """Runtime and version, as its --version says."""
    runtime_why: str
    seccomp: str
    cgroup: str
    cmdline: str
    image: str
    image_ref: str
    image_digest: str
    tools: str
    """Digest of the guest tools' lock."""
    ways: dict[str, str] = field(default_factory=dict)
    """Which way was taken where kernels differ (tracefs, memory peak, ...)."""
    drill: str = ""
    """Not empty: this was a drill, on a newer kernel that was made to lack this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything recorded of one cell."""

    id: str
    """pytest's node id."""
    scenario: str
    file: str
    image: str
    kernel: str
    verdict: Verdict
    reason: str = ""
    """One sentence why, unless plainly passed."""
    cause: str = ""
    """One sentence: what a program or library of the image asks for that this kernel is not."""
    steps: tuple[StepResult, ...] = ()
    failures: tuple[Failure, ...] = ()
    ends: tuple[ProcessEnd, ...] = ()
    messages: tuple[str, ...] = ()
    """Kernel messages new in the cell, without timestamps."""
    lost_events: int = 0
    traced: bool = True
    notes: tuple[str, ...] = ()
    """What could not be recorded, and why."""
    console: tuple[str, ...] = ()
    """The console's last lines, when the guest was lost."""
    durations: dict[str, float] = field(default_factory=dict)
    environment: Environment | None = None
    scenario_digest: str = ""
    normalise: tuple[tuple[str, str], ...] = ()
    """The scenario's own (pattern, replacement) pairs, for whoever compares its outputs."""
    repeat: int = 0
    """0: the cell itself; from 1 on: a further run of it, which shows what is noise."""
    started: str = ""
    """UTC, ISO 8601."""
    schema: int = OBSERVATION_SCHEMA
