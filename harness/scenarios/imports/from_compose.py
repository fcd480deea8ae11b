"""A scenario of a service in a compose file."""

from __future__ import annotations

import re
from typing import Any

from harness import yamlfile
from harness.errors import UsageError
from harness.scenarios.imports.composed import ComposeFile, Service
from harness.scenarios.imports.draft import Draft, image_reference, scenario_name, size
from harness.scenarios.imports.from_inspect import probe
from harness.yamlfile import Document
from harness.yamlvalues import Key, did_you_mean

_VARIABLE = re.compile(r"(?<!\$)(?:\$\$)*\$(?:\{[^}]*\}|[A-Za-z_]\w*)")
_RESOLVE = "give what `docker compose config` prints, which has all of it in place"
_LEFT_OUT = {
    "devices": "a guest has none of the host's",
    "gpus": "a guest has none of the host's",
    "ports": "steps talk over loopback",
    "networks": "the container has loopback only",
    "network_mode": "the container has loopback only",
    "pid": "the container has namespaces of its own",
    "ipc": "the container has namespaces of its own",
    "configs": "give it files with a mount of content or source",
    "secrets": "give it files with a mount of content or source",
    "group_add": "",
    "extra_hosts": "",
    "depends_on": "what it talks to is not there: a scenario has one container",
    "links": "what it talks to is not there: a scenario has one container",
    "runtime": "",
    "init": "the command is process 1 itself",
    "tty": "",
    "privileged": "add what it really needs with cap_add",
}
"""Keys that are told of when they are there, and what that means."""


def from_compose(document: Document, service: str, *, name: str = "", image: str = "") -> Draft:
    """Return the scenario of one service; ``name`` and ``image`` are taken instead of its own.

    Raises:
        ConfigError: the file is wrong, or leaves to compose what only compose can do.
        UsageError: there is no such service.
    """
    services = yamlfile.validate(document, ComposeFile).services
    if service not in services:
        hint = did_you_mean(service, list(services))
        raise UsageError(f"{document.path} has no service {service!r}; {hint}")
    keys = _service(document, service, services[service])
    if not image and not keys.image:
        raise document.error(
            ("services", service), "has no image, only a build: build it and name it by --image"
        )
    draft = Draft(name=name or scenario_name(service), source=f"service {service}")
    draft.put("why", f"As the service {service} of {document.path.name} runs.")
    draft.put("image", image or image_reference(keys.image))
    _process(keys, draft)
    _limits(keys, draft)
    _mounts(keys, draft)
    _security(keys, draft)
    for key, meaning in _LEFT_OUT.items():
        if getattr(keys, key):
            draft.leave(f"{key}: {meaning}" if meaning else key)
    return draft


def _service(document: Document, name: str, data: Any) -> Service:
    place: tuple[Key, ...] = ("services", name)
    lines = {key[2:]: line for key, line in document.lines.items() if key[:2] == place}
    here = Document(document.path, _resolved(document, place, data), lines)
    keys = yamlfile.validate(here, Service)
    for unresolved in ("extends", "env_file"):
        if getattr(keys, unresolved):
            raise document.error((*place, unresolved), f"is not followed: {_RESOLVE}")
    return keys


def _resolved(document: Document, place: tuple[Key, ...], data: Any) -> Any:
    """Return ``data`` with ``$$`` made into ``$``; a variable is an error."""
    if isinstance(data, dict):
        return {key: _resolved(document, (*place, key), value) for key, value in data.items()}
    if isinstance(data, list):
        return [_resolved(document, (*place, at), value) for at, value in enumerate(data)]
    if not isinstance(data, str):
        return data
    found = _VARIABLE.search(data)
    if found:
        variable = found[0].lstrip("$")
        raise document.error(place, f"has the variable ${variable}: {_RESOLVE}")
    return data.replace("$$", "$")


def _process(keys: Service, draft: Draft) -> None:
    unset = [key for key, value in keys.environment.items() if value is None]
    if unset:
        draft.leave(
            f"environment {', '.join(unset)}: the value is that of compose's own environment"
        )
    draft.env({key: value for key, value in keys.environment.items() if value is not None})
    draft.put("user", keys.user)
    draft.put("workdir", keys.working_dir)
    draft.put("hostname", keys.hostname)
    if keys.entrypoint is not None:
        draft.keys["entrypoint"] = keys.entrypoint
    check = keys.healthcheck
    test = [] if check is None or check.disable else check.test
    draft.service(
        args=keys.command,
        ready=test if isinstance(test, str) else probe(test),
        start=check.start_period if check else 0.0,
    )


def _limits(keys: Service, draft: Draft) -> None:
    limits = keys.deploy.resources.limits
    memory = limits.memory or keys.mem_limit
    draft.put("memory", size(memory) if memory else None)
    draft.put("cpus", limits.cpus or keys.cpus or None)
    pids = limits.pids or keys.pids_limit
    draft.put("pids", pids if pids and pids > 0 else None)
    draft.put("shm_size", size(keys.shm_size) if keys.shm_size else None)
    draft.limits((name, limit.soft, limit.hard) for name, limit in keys.ulimits.items())
    draft.put("sysctls", {key: value for key, value in keys.sysctls.items() if value is not None})


def _mounts(keys: Service, draft: Draft) -> None:
    for text in keys.tmpfs:
        target, _, options = text.partition(":")
        draft.tmpfs(target, options)
    for volume in keys.volumes:
        if volume.type != "tmpfs":
            what = f"{volume.type} {volume.source}".rstrip()
            draft.leave(
                f"{what} at {volume.target}: give it files with a mount of content or source"
            )
            continue
        draft.mount(
            volume.target,
            tmpfs=True,
            size=size(volume.tmpfs.size or 0),
            mode=f"{volume.tmpfs.mode:04o}" if volume.tmpfs.mode else None,
            read_only=volume.read_only,
        )


def _security(keys: Service, draft: Draft) -> None:
    draft.put("read_only", keys.read_only)
    draft.capabilities(keys.cap_add, keys.cap_drop)
    for option in keys.security_opt:
        if option.replace("=", ":", 1) == "seccomp:unconfined":
            draft.put("seccomp", "unconfined")
        else:
            draft.leave(f"security_opt {option}")
    if keys.userns_mode and keys.userns_mode != "host":
        draft.leave(f"userns_mode {keys.userns_mode}: say userns: true where any will do")
