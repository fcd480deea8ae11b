"""A scenario of a running container, from what its engine's ``inspect`` prints."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from harness.errors import ConfigError
from harness.model.hosts import Engine
from harness.scenarios.imports.draft import Draft, image_reference, scenario_name, size
from harness.scenarios.imports.inspected import Container, HostConfig, TmpfsOptions
from harness.scenarios.load import SHM_SIZE

_CONTAINERS = TypeAdapter(list[Container])
_PERIOD = 100_000
"""Microseconds: the kernel's period of a CPU quota, where none is set (sched-bwc)."""
_RUNTIMES = ("", "runc", "crun", "oci", "io.containerd.runc.v2")
_ORDINARY = {
    "network": ("", "default", "bridge", "none", "pasta", "slirp4netns", "podman"),
    "ipc": ("", "private", "shareable"),
    "pid": ("", "private"),
}
_NAMELESS = re.compile(r"(sha256:)?[0-9a-f]{12,64}")


def from_inspect(data: bytes, where: Path, *, name: str = "", image: str = "") -> Draft:
    """Return the scenario of the one container that ``data`` describes.

    ``name`` and ``image`` are taken instead of the container's own.

    Raises:
        ConfigError: it is not the JSON of one container, or its image has no name.
    """
    box = _container(data, where)
    podman = bool(box.image_name)
    draft = Draft(
        name=name or scenario_name(box.name.lstrip("/") or box.id[:12]),
        source=f"{'podman' if podman else 'docker'} inspect",
    )
    draft.put("why", f"As {draft.source} shows the container {box.name.lstrip('/')}.")
    draft.put("image", image or _image(box, draft, where))
    draft.put("engine", (Engine.PODMAN if podman else Engine.DOCKER).value)
    _process(box, draft, podman=podman)
    _limits(box.host, draft)
    _mounts(box, draft)
    _security(box.host, draft)
    _left_out(box, draft)
    return draft


def _container(data: bytes, where: Path) -> Container:
    try:
        found = from_json(data)
    except ValueError as error:
        raise ConfigError(where, None, f"not JSON: {error}") from error
    try:
        boxes = _CONTAINERS.validate_python(found if isinstance(found, list) else [found])
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(
            where,
            None,
            f"not what docker or podman print of a container: {place}: {problem['msg']}",
        ) from error
    if len(boxes) != 1:
        raise ConfigError(where, None, f"holds {len(boxes)} containers: inspect a single one")
    return boxes[0]


def _image(box: Container, draft: Draft, where: Path) -> str:
    named = box.image_name or box.config.image
    if not named or _NAMELESS.fullmatch(named):
        raise ConfigError(where, None, "its image has no name any more: name one by --image")
    if named.startswith("localhost/"):
        draft.remarks.append(
            f"image {named} is in no registry: save it (save -o FILE) and write docker-archive:FILE"
        )
    return image_reference(named)


def _process(box: Container, draft: Draft, *, podman: bool) -> None:
    config = box.config
    # An engine gives a container the start of its id for a hostname, where none is asked for.
    hostname = "" if config.hostname == box.id[:12] else config.hostname
    variables = dict(entry.partition("=")[::2] for entry in config.env if "=" in entry)
    if podman:  # what it sets by itself
        own = {"container": "podman", "TERM": "xterm", "HOSTNAME": config.hostname}
        variables = {key: value for key, value in variables.items() if own.get(key) != value}
    draft.env(variables)
    draft.put("user", config.user)
    draft.put("workdir", "" if config.workdir == "/" else config.workdir)
    draft.put("hostname", hostname)
    entrypoint = config.entrypoint
    whole = [entrypoint] if isinstance(entrypoint, str) else [*(entrypoint or ())]
    run = [box.path, *box.args] if box.path else [*whole, *config.cmd]
    test = config.healthcheck.test if config.healthcheck else []
    start = config.healthcheck.start_period / 1e9 if config.healthcheck else 0.0
    draft.service(run=run or None, ready=probe(test), start=start)


def probe(test: list[str]) -> list[str] | str | None:
    """Return a health check's command as ``ready`` takes it (compose-spec, healthcheck.test)."""
    kind, *words = test or ["NONE"]
    if kind == "CMD-SHELL":
        return words[0] if words else None
    return words if kind == "CMD" and words else None


def _limits(host: HostConfig, draft: Draft) -> None:
    draft.put("memory", size(host.memory) if host.memory > 0 else None)
    quota = host.cpu_quota / (host.cpu_period or _PERIOD) if host.cpu_quota > 0 else 0.0
    draft.put("cpus", round(host.nano_cpus / 1e9 or quota, 3) or None)
    draft.put("pids", host.pids if host.pids and host.pids > 0 else None)
    draft.put("shm_size", size(host.shm_size) if host.shm_size not in (0, SHM_SIZE) else None)
    draft.limits((limit.name, limit.soft, limit.hard) for limit in host.ulimits)
    draft.put("sysctls", host.sysctls)


def _mounts(box: Container, draft: Draft) -> None:
    for target, text in sorted(box.host.tmpfs.items()):
        draft.tmpfs(target, text)
    for asked in box.host.mounts:
        if asked.kind != "tmpfs":
            continue  # among box.mounts
        options = asked.tmpfs or TmpfsOptions()
        draft.mount(
            asked.target,
            tmpfs=True,
            size=size(options.size or 0),
            mode=f"{options.mode:04o}" if options.mode else None,
        )
    for mount in sorted(box.mounts, key=lambda mount: mount.target):
        if mount.kind != "tmpfs":
            what = f"{mount.kind or 'mount'} {mount.name or mount.source}"
            draft.leave(
                f"{what} at {mount.target}: give it files with a mount of content or source"
            )


def _security(host: HostConfig, draft: Draft) -> None:
    draft.capabilities(host.cap_add, host.cap_drop)
    draft.put("read_only", host.read_only)
    for option in host.security:
        kind, _, value = option.replace(":", "=", 1).partition("=")
        if kind == "seccomp" and value == "unconfined":
            draft.put("seccomp", value)
        elif kind == "seccomp":
            draft.leave(
                "the container's own seccomp profile: save it beside and name it by seccomp"
            )
        else:
            draft.leave(f"security option {option}")
    if host.userns in ("private", "auto", "nomap"):
        draft.in_userns()
    elif host.userns and host.userns != "host":
        draft.leave(f"user namespace {host.userns}: say userns: true where any will do")


def _left_out(box: Container, draft: Draft) -> None:
    host = box.host
    if host.privileged:
        draft.leave("privileged: add what it really needs with cap_add")
    devices = len(host.devices) + len(host.device_requests)
    if devices:
        draft.leave(f"{devices} devices: a guest has none of the host's")
    if host.ports:
        draft.leave(f"published ports {', '.join(sorted(host.ports))}: steps talk over loopback")
    for kind, ordinary in _ORDINARY.items():
        mode = str(getattr(host, kind))
        if mode.partition(":")[0] not in ordinary:
            draft.leave(
                f"{kind} {mode}: the container has namespaces of its own, and loopback only"
            )
    if host.runtime not in _RUNTIMES:
        draft.leave(f"runtime {host.runtime}")
    plain = {
        "added groups": host.groups,
        "extra hosts": host.hosts,
        "CPU shares": host.cpu_shares,
        "CPU set": host.cpuset,
        "an init process": host.init,
        "a terminal": box.config.tty,
    }
    for what, value in plain.items():
        if value:
            draft.leave(what if value is True else f"{what} {_listed(value)}")


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
