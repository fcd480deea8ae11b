"""What was seen of a cell, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.model.hosts import Accelerator, Engine

OBSERVATION_SCHEMA = 1
"""Version of the JSON that one cell's observation is written in."""


SERVICE = "service"
"""Name of the result that is a service's; it follows those of the steps."""


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


PARTS = (
    *("qemu", "restore", "firmware", "kernel", "init", "boot", "connect"),
    *("mount", "arm", "attach", "start", "steps", "collect", "cell"),
)
"""What a cell's seconds go to, in their order; ``boot`` is the three before it, ``cell`` is all."""


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
    sysctl: dict[str, str] = field(default_factory=dict)
    """What the host and the scenario set, by name; what the kernel refused is left out.
    Besides, user.max_user_namespaces where it is 0 by the kernel's own default."""
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
    kernel_missing: bool = False
    """Whether it is unavailable for want of its kernel, which a session may be told to let pass."""
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
    """Seconds, by :data:`PARTS`."""
    environment: Environment | None = None
    scenario_digest: str = ""
    normalise: tuple[tuple[str, str], ...] = ()
    """The scenario's own (pattern, replacement) pairs, for whoever compares its outputs."""
    repeat: int = 0
    """0: the cell itself; from 1 on: a further run of it, which shows what is noise."""
    started: str = ""
    """UTC, ISO 8601."""
    schema: int = OBSERVATION_SCHEMA
