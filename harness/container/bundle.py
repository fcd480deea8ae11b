"""An OCI bundle for one container, as the engines make it.

``ociVersion`` stays 1.0.2: crun 1.8 and older refuse a bundle above 1.0.x.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.container import engines, seccomp
from harness.container.facts import Facts
from harness.container.process import Settings, to_oci
from harness.container.scripts import DIRECTORY
from harness.container.seccomp import Filter
from harness.container.users import passwd_for
from harness.errors import UsageError
from harness.model.hosts import Engine
from harness.model.images import ImageConfig
from harness.model.scenarios import ContainerSpec, Mount

OCI_VERSION = "1.0.2"
ROOTFS = f"{DIRECTORY}/rootfs"
FILES = f"{DIRECTORY}/files"
"""Where what is mounted into the container lies in the guest."""
CGROUP = "/harness/box"
"""The container's cgroup; its parent outlives it, for the peak of memory."""
SLEEPER = "/run/harness-init/busybox"
"""Where the guest's static busybox is mounted for a container that has no process of its own."""

_PERIOD = 100_000
"""Microseconds: the engines' CPU period."""
_USERNS_SIZE = 65536
_MODE = Mount(target="/").mode
"""A mount's mode when none was asked for."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that a bundle needs in the guest."""

    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """config.json, the files that it refers to by guest path, and what had to be left out."""

    config: dict[str, Any]
    files: dict[str, File] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    """Directories that must exist in the root file system."""
    notes: tuple[str, ...] = ()


def sleeper_argv() -> tuple[str, ...]:
    """Return the first process of a container that waits: it reaps what is orphaned."""
    nap = f"{SLEEPER} sleep 100000 & wait $!"
    return (SLEEPER, "sh", "-c", f"while :; do {nap}; done")


def make_bundle(
    *,
    image: ImageConfig,
    spec: ContainerSpec,
    shared: Settings,
    argv: Sequence[str],
    facts: Facts,
    filter: Filter | None,
    hostname: str,
    passwd: str = "",
    tty: bool = False,
    sleeper: bool = False,
    base: Path = Path(),
) -> Bundle:
    """Return the bundle of a container whose root file system is mounted at :data:`ROOTFS`.

    ``passwd`` is the image's own; ``base`` is what relative sources of mounts are relative to;
    ``filter`` is what :func:`harness.container.filtering.fit` made for the runtime.

    Raises:
        UsageError: a mount's source cannot be read or its target is not absolute.
    """
    engine = shared.engine
    notes: list[str] = []
    files: dict[str, File] = {}
    mounts = [
        mount
        for mount in engines.mounts(spec.shm_size)
        if _possible(str(mount["type"]), facts, notes)
    ]
    if spec.read_only:
        mounts += [_tmpfs(target, 0o1777) for target in engines.READ_ONLY_TMPFS[engine]]
    mounts += _etc(hostname, shared, passwd, files)
    mounts += [_bind(ROOTFS + path, path, "rw") for path in volumes(image)]
    for number, mount in enumerate(sorted(spec.mounts, key=lambda one: one.target.count("/"))):
        mounts.append(_mounted(mount, number, base, files))
    if sleeper:
        mounts.append(_bind("/bin/busybox", SLEEPER, "ro"))
    config: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": to_oci(shared, argv, tty=tty),
        "root": {"path": ROOTFS, "readonly": spec.read_only},
        "hostname": hostname,
        "mounts": mounts,
        "linux": _linux(spec, engine, facts, notes),
    }
    if filter is not None:
        config["linux"]["seccomp"] = seccomp.to_oci(filter)
    return Bundle(config=config, files=files, volumes=volumes(image), notes=tuple(notes))


def volumes(image: ImageConfig) -> tuple[str, ...]:
    """Return the image's volumes, outer ones first, without what cannot be one."""
    paths = {posixpath.normpath(f"/{path.lstrip('/')}") for path in image.volumes if path}
    return tuple(sorted(paths - {"/"}))


def _possible(kind: str, facts: Facts, notes: list[str]) -> bool:
    if kind != "mqueue" or kind in facts.filesystems:
        return True
    notes.append("no /dev/mqueue: the kernel has no POSIX message queues")
    return False


def _linux(spec: ContainerSpec, engine: Engine, facts: Facts, notes: list[str]) -> dict[str, Any]:
    kinds = ["pid", "mount", "ipc", "uts", "network"]
    if "cgroup" in facts.namespaces:
        kinds.append("cgroup")
    linux: dict[str, Any] = {
        "cgroupsPath": CGROUP,
        "maskedPaths": list(engines.MASKED[engine]),
        "readonlyPaths": list(engines.READONLY[engine]),
        "resources": _resources(spec, engine, facts, notes),
        "sysctl": _sysctls(spec, engine, facts),
    }
    if spec.userns:
        kinds.append("user")
        # The same ids outside: the image's owners on the disk stay what they are.
        mapping = [{"containerID": 0, "hostID": 0, "size": _USERNS_SIZE}]
        linux |= {"uidMappings": mapping, "gidMappings": mapping}
    linux["namespaces"] = [{"type": kind} for kind in kinds]
    return linux


def _sysctls(spec: ContainerSpec, engine: Engine, facts: Facts) -> dict[str, str]:
    defaults = {
        name: value
        for name, value in engines.SYSCTLS[engine].items()
        if name in facts.sysctls
        and not (spec.userns and engine is Engine.DOCKER and name.endswith("ping_group_range"))
    }
    return {**defaults, **spec.sysctls}


def _resources(
    spec: ContainerSpec, engine: Engine, facts: Facts, notes: list[str]
) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    if not spec.userns:
        resources["devices"] = engines.device_rules(engine)
    pids = spec.pids if spec.pids is not None else engines.PIDS[engine]

    def limited(controller: str, asked: bool) -> bool:
        if controller in facts.controllers:
            return True
        if asked:  # engines warn and go on
            notes.append(f"no limit: this host has no {controller} controller")
        return False

    if spec.memory is not None and limited("memory", True):
        resources["memory"] = {"limit": spec.memory}
    if spec.cpus is not None and limited("cpu", True):
        resources["cpu"] = {"quota": round(spec.cpus * _PERIOD), "period": _PERIOD}
    if pids is not None and limited("pids", spec.pids is not None):
        resources["pids"] = {"limit": pids}
    return resources


# --- mounts -----------------------------------------------------------------------------


def _bind(source: str, target: str, *options: str) -> dict[str, Any]:
    return {
        "destination": target,
        "type": "bind",
        "source": source,
        "options": ["rbind", "rprivate", *options],
    }


def _tmpfs(
    target: str, mode: int, size: int | None = None, *, read_only: bool = False
) -> dict[str, Any]:
    options = ["nosuid", "nodev", f"mode={mode:04o}", "ro" if read_only else "rw"]
    if size is not None:
        options.append(f"size={size}")
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options}


def _etc(
    hostname: str, shared: Settings, passwd: str, files: dict[str, File]
) -> list[dict[str, Any]]:
    contents = {
        "hostname": f"{hostname}\n",
        "hosts": (
            "127.0.0.1\tlocalhost localhost.localdomain\n"
            "::1\tlocalhost localhost.localdomain ip6-localhost ip6-loopback\n"
            f"127.0.0.1\t{hostname}\n"
        ),
        "resolv.conf": "# no network but loopback\n",
    }
    if shared.engine is Engine.PODMAN:
        extended = passwd_for(shared.user, passwd, shared.workdir)
        if extended is not None:
            contents["passwd"] = extended
    for name, content in contents.items():
        files[f"{FILES}/etc/{name}"] = File(content.encode())
    return [_bind(f"{FILES}/etc/{name}", f"/etc/{name}", "rw") for name in contents]


def _mounted(mount: Mount, number: int, base: Path, files: dict[str, File]) -> dict[str, Any]:
    if not mount.target.startswith("/"):
        raise UsageError(f"mount target {mount.target!r} is not an absolute path")
    target = posixpath.normpath(mount.target)
    if mount.tmpfs:
        mode = 0o1777 if mount.mode == _MODE else mount.mode
        return _tmpfs(target, mode, mount.size, read_only=mount.read_only)
    place = f"{FILES}/mounts/{number}"
    if mount.source is None:
        files[place] = File((mount.content or "").encode(), mount.mode)
    else:
        _copied(base / mount.source, place, mount.mode, files)
    return _bind(place, target, "ro" if mount.read_only else "rw")


def _copied(source: Path, place: str, mode: int, files: dict[str, File]) -> None:
    """Note a file, or a directory's files with their own permissions, for copying."""
    try:
        if not source.is_dir():
            # A script of the repository stays executable unless a mode was asked for.
            permissions = source.stat().st_mode & 0o777 | 0o444 if mode == _MODE else mode
            files[place] = File(source.read_bytes(), permissions)
            return
        found = [path for path in sorted(source.rglob("*")) if path.is_file()]
        for path in found:
            name = path.relative_to(source).as_posix()
            permissions = path.stat().st_mode & 0o777 | 0o444
            files[f"{place}/{name}"] = File(path.read_bytes(), permissions)
    except OSError as error:
        raise UsageError(f"cannot read the mount's source {source}: {error.strerror}") from error
    if not found:
        raise UsageError(f"the mount's source {source} is a directory without files")
