"""Scenarios: a container, its steps and what is expected of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.model.hosts import Engine


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
