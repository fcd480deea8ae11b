"""A scenario of a container in a pod, or in the template of a workload."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness import yamlfile
from harness.errors import UsageError
from harness.scenarios.imports.draft import Draft, image_reference, scenario_name, size
from harness.scenarios.imports.podspec import Container, PodSpec, SecurityContext
from harness.yamlfile import Document
from harness.yamlvalues import Key

_TEMPLATES: tuple[tuple[str, ...], ...] = (
    ("spec", "jobTemplate", "spec", "template", "spec"),
    ("spec", "template", "spec"),
    ("template", "spec"),
    ("spec",),
)
"""Where a CronJob, another workload, a PodTemplate and a Pod have their pod's spec."""
_REFERENCE = re.compile(r"\$(\$)?\(([^()$]+)\)")


def from_pod(data: bytes, where: Path, container: str, *, name: str = "", image: str = "") -> Draft:
    """Return the scenario of one container; ``name`` and ``image`` are taken instead of its own.

    ``data`` may hold several documents and Lists, with whatever kinds.

    Raises:
        ConfigError: it is not YAML or JSON, or a pod in it is wrong.
        UsageError: there is no such container, or there are several.
    """
    found: list[tuple[PodSpec, Container]] = []
    names = []
    for pod in _pods(data, where):
        for each in (*pod.init_containers, *pod.containers):
            names.append(each.name)
            if each.name == container:
                found.append((pod, each))
    if len(found) != 1:
        known = ", ".join(names) or "none at all"
        count = f"{len(found)} containers" if found else "no container"
        raise UsageError(f"{where} has {count} named {container!r}; there are: {known}")
    return _draft(*found[0], where, name=name, image=image)


def _pods(data: bytes, where: Path) -> Iterator[PodSpec]:
    for document in yamlfile.parse_all(data, where):
        items = [document.data]
        places: list[tuple[Key, ...]] = [()]
        if isinstance(document.data, dict) and isinstance(document.data.get("items"), list):
            items = document.data["items"]
            places = [("items", at) for at in range(len(items))]
        for item, place in zip(items, places, strict=True):
            path = next((path for path in _TEMPLATES if _has_containers(_at(item, path))), None)
            if path is not None:
                yield _validated(document, (*place, *path), _at(item, path))


def _at(item: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        item = item.get(key) if isinstance(item, dict) else None
    return item


def _has_containers(spec: Any) -> bool:
    return isinstance(spec, dict) and "containers" in spec


def _validated(document: Document, place: tuple[Key, ...], data: Any) -> PodSpec:
    try:
        return PodSpec.model_validate(data)
    except ValidationError:  # one ends the reading: only for it all lines are gone through
        cut = len(place)
        lines = {key[cut:]: line for key, line in document.lines.items() if key[:cut] == place}
        return yamlfile.validate(Document(document.path, data, lines), PodSpec)


def _draft(pod: PodSpec, box: Container, where: Path, *, name: str, image: str) -> Draft:
    draft = Draft(name=name or scenario_name(box.name), source=f"container {box.name}")
    if not image and not box.image:
        raise UsageError(f"{where}: container {box.name} has no image: name one by --image")
    draft.put("why", f"As the container {box.name} of {where.name} runs.")
    draft.put("image", image or image_reference(box.image))
    _process(pod, box, draft)
    limits = box.resources.limits
    draft.put("memory", size(int(limits["memory"])) if "memory" in limits else None)
    draft.put("cpus", float(limits["cpu"]) if "cpu" in limits else None)
    _mounts(pod, box, draft)
    _security(pod.security_context, box.security_context, draft)
    if not pod.host_users:
        draft.in_userns()
    _left_out(pod, box, draft)
    return draft


def _process(pod: PodSpec, box: Container, draft: Draft) -> None:
    env: dict[str, str] = {}
    for variable in box.env:
        if variable.value is None:
            draft.leave(f"env {variable.name}: its value comes from elsewhere in the cluster")
        else:
            env[variable.name] = expanded(variable.value, env)
    draft.env(env)
    draft.put("workdir", box.working_dir)
    draft.put("hostname", pod.hostname)
    # Kubernetes names the image's Entrypoint "command".
    if box.command:
        draft.put("entrypoint", [expanded(word, env) for word in box.command])
    args = [expanded(word, env) for word in box.args] if box.args else None
    ready, start = _probe(box, draft)
    draft.service(args=args, ready=ready, start=start)


def expanded(text: str, env: Mapping[str, str]) -> str:
    """Return ``text`` with ``$(NAME)`` replaced as Kubernetes does.

    A name that is not known stays as it stands, and so does ``$$(NAME)``, less one dollar.
    """

    def value(found: re.Match[str]) -> str:
        escaped, name = found.groups()
        return f"$({name})" if escaped else env.get(name, found[0])

    return _REFERENCE.sub(value, text)


def _probe(box: Container, draft: Draft) -> tuple[list[str] | None, float]:
    """Return a command that says whether the container is ready, and how long it may take."""
    startup, start = box.startup_probe, 0.0
    if startup is not None:
        start = startup.initial_delay_seconds + startup.period_seconds * startup.failure_threshold
    for key, probe in (("readinessProbe", box.readiness_probe), ("startupProbe", startup)):
        if probe is None:
            continue
        if probe.exec is not None and probe.exec.command:
            return probe.exec.command, start or probe.initial_delay_seconds
        draft.leave(f"{key}: only one with exec can be asked without a network")
    return None, 0.0


def _mounts(pod: PodSpec, box: Container, draft: Draft) -> None:
    volumes = {volume.name: volume for volume in pod.volumes}
    for mount in box.volume_mounts:
        volume = volumes.get(mount.name)
        if volume is None or volume.empty_dir is None or mount.sub_path:
            draft.leave(
                f"volume {mount.name} at {mount.mount_path}: give it files with a mount of content "
                "or source"
            )
            continue
        limit = volume.empty_dir.size_limit
        draft.mount(
            mount.mount_path,
            tmpfs=True,
            mode="0777",  # as kubelet makes it
            size=size(int(limit)) if limit else None,
            read_only=mount.read_only,
        )


def _security(pod: SecurityContext, box: SecurityContext, draft: Draft) -> None:
    user = pod.run_as_user if box.run_as_user is None else box.run_as_user
    group = pod.run_as_group if box.run_as_group is None else box.run_as_group
    if user is not None:
        draft.put("user", f"{user}" if group is None else f"{user}:{group}")
    elif group is not None:
        draft.leave(f"runAsGroup {group}: a scenario names a group beside a user only")
    draft.capabilities(box.capabilities.add, box.capabilities.drop)
    draft.put("read_only", box.read_only_root_filesystem)
    draft.put("sysctls", {sysctl.name: sysctl.value for sysctl in pod.sysctls})
    profile = box.seccomp_profile or pod.seccomp_profile
    if profile is None or profile.type == "Unconfined":
        draft.put("seccomp", "unconfined")
    elif profile.type != "RuntimeDefault":
        draft.leave(f"seccomp profile {profile.type}: name its file by seccomp")
    if profile is None:
        draft.remarks.append(
            "seccomp: unconfined, as a kubelet has it where nothing is said (unless seccompDefault)"
        )


def _left_out(pod: PodSpec, box: Container, draft: Draft) -> None:
    both = (pod.security_context, box.security_context)
    elsewhere = "the container has namespaces of its own, and loopback only"
    told = {
        "privileged: add what it really needs with cap_add": box.security_context.privileged,
        "allowPrivilegeEscalation: false": not box.security_context.allow_privilege_escalation,
        "seLinuxOptions": any(context.se_linux_options for context in both),
        "fsGroup and supplementalGroups": any(c.fs_group or c.supplemental_groups for c in both),
        "envFrom: its values come from elsewhere in the cluster": box.env_from,
        "volumeDevices: a guest has none of the host's": box.volume_devices,
        "ports: steps talk over loopback": box.ports,
        "lifecycle": box.lifecycle,
        "tty": box.tty,
        f"hostNetwork: {elsewhere}": pod.host_network,
        f"hostPID and hostIPC: {elsewhere}": pod.host_pid or pod.host_ipc,
        f"shareProcessNamespace: {elsewhere}": pod.share_process_namespace,
        "other containers of the pod: a scenario has one": len(pod.containers) > 1,
        "init containers: what they prepare is not there": bool(pod.init_containers),
    }
    for sentence, there in told.items():
        if there:
            draft.leave(sentence)
