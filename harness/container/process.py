"""The process of a container: what it runs, with which environment, where and as whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.container import capabilities
from harness.container.facts import Facts
from harness.container.users import User
from harness.errors import ImageError, UsageError
from harness.model.hosts import Engine
from harness.model.images import ImageConfig
from harness.model.scenarios import ContainerSpec

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Both engines' (moby, oci/defaults.go; containers/common, pkg/config)."""

_LIMITS = """
    as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending
    stack
"""
_FILES = 1048576
"""podman's own default (libpod/define), and what Docker's service unit comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all processes of one container share."""

    engine: Engine
    user: User
    env: tuple[str, ...]
    workdir: str
    bounding: tuple[str, ...]
    granted: tuple[str, ...]
    """Permitted and effective at the start."""
    ambient: tuple[str, ...]
    rlimits: tuple[tuple[str, int, int], ...]
    """(RLIMIT name, soft, hard)."""


def argv(
    image: ImageConfig,
    spec: ContainerSpec,
    run: Sequence[str] | None = None,
    args: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Return what is executed: ``run`` stands alone, ``args`` follow the Entrypoint.

    An ``entrypoint`` of the scenario replaces the image's and drops its Cmd, as engines have it.

    Raises:
        ImageError: neither image nor scenario name a command.
    """
    if run is not None:
        words = tuple(run)
    else:
        entrypoint = image.entrypoint if spec.entrypoint is None else spec.entrypoint
        default = image.cmd if spec.entrypoint is None else ()
        words = (*entrypoint, *(default if args is None else args))
    if not words:
        raise ImageError(
            "nothing to run: the image has neither Entrypoint nor Cmd: say what by run"
        )
    return words


def settings(
    engine: Engine,
    image: ImageConfig,
    spec: ContainerSpec,
    user: User,
    facts: Facts,
    hostname: str,
    *,
    tty: bool = False,
) -> Settings:
    """Return what the container's processes share.

    Raises:
        UsageError: a capability or a limit does not exist.
    """
    granted = bounding = capabilities.bounding(
        engine, spec.cap_add, spec.cap_drop, facts.capabilities
    )
    ambient: tuple[str, ...] = ()
    if user.uid != 0:
        # podman hands what was added to any user, where the kernel has ambient capabilities
        # (specgen/generate/security_linux.go); under Docker execve drops them all.
        wanted = capabilities.added(spec.cap_add, bounding)
        granted = wanted if engine is Engine.PODMAN else ()
        ambient = granted if facts.ambient else ()
    return Settings(
        engine=engine,
        user=user,
        env=environment(engine, image, spec, user, hostname, tty=tty),
        workdir=spec.workdir or image.workdir or "/",
        bounding=bounding,
        granted=granted,
        ambient=ambient,
        rlimits=_rlimits(engine, spec, facts),
    )


def environment(
    engine: Engine,
    image: ImageConfig,
    spec: ContainerSpec,
    user: User,
    hostname: str,
    *,
    tty: bool = False,
) -> tuple[str, ...]:
    """Return the environment: the engine's, then the image's, then the scenario's."""
    env: dict[str, str] = {"PATH": PATH, "HOSTNAME": hostname}
    if engine is Engine.PODMAN:
        env["container"] = "podman"
    if tty:
        env["TERM"] = "xterm"
    env["HOME"] = user.home
    for entry in image.env:
        name, _, value = entry.partition("=")
        if name:
            env[name] = value
    env.update(spec.env)
    return tuple(f"{name}={value}" for name, value in env.items())


def to_oci(
    shared: Settings,
    words: Sequence[str],
    *,
    tty: bool = False,
    workdir: str = "",
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return runtime-spec's ``process``: of config.json, and of a process executed beside it."""
    environ = {**dict(entry.split("=", 1) for entry in shared.env), **(env or {})}
    process: dict[str, Any] = {
        "terminal": tty,
        "user": {
            "uid": shared.user.uid,
            "gid": shared.user.gid,
            "additionalGids": [shared.user.gid, *shared.user.groups],
        },
        "args": list(words),
        "env": [f"{name}={value}" for name, value in environ.items()],
        "cwd": workdir or shared.workdir,
        "capabilities": {
            "bounding": list(shared.bounding),
            "effective": list(shared.granted),
            "permitted": list(shared.granted),
            "inheritable": list(shared.ambient),
            "ambient": list(shared.ambient),
        },
        "rlimits": [
            {"type": name, "soft": soft, "hard": hard} for name, soft, hard in shared.rlimits
        ],
        # Both engines leave it off unless asked (security-opt no-new-privileges).
        "noNewPrivileges": False,
    }
    if shared.engine is Engine.DOCKER:
        process["oomScoreAdj"] = 0
    return process


def _rlimits(engine: Engine, spec: ContainerSpec, facts: Facts) -> tuple[tuple[str, int, int], ...]:
    files = min(_FILES, facts.nr_open)
    limits = {"RLIMIT_NOFILE": (files, files)}
    if engine is Engine.PODMAN:
        limits["RLIMIT_NPROC"] = (_FILES, _FILES)
    for name, (soft, hard) in spec.ulimits.items():
        if name.lower() not in _LIMITS.split():
            raise UsageError(f"no limit is called {name!r}: known are {', '.join(_LIMITS.split())}")
        limits[f"RLIMIT_{name.upper()}"] = (soft, hard)
    return tuple((name, soft, hard) for name, (soft, hard) in limits.items())
