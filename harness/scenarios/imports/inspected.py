"""What ``docker inspect`` and ``podman inspect`` print of a container.

Docker: moby, api/types/container (InspectResponse, HostConfig, Config). podman: libpod/define,
container_inspect.go (InspectContainerData). The two share most names; lists are null in one
where they are empty in the other, and podman before 5 has the Entrypoint as one text.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _list(value: Any) -> Any:
    return [] if value is None else value


def _mapping(value: Any) -> Any:
    return {} if value is None else value


Texts = Annotated[list[str], BeforeValidator(_list)]
Anything = Annotated[list[Any], BeforeValidator(_list)]
TextMap = Annotated[dict[str, str], BeforeValidator(_mapping)]
Map = Annotated[dict[str, Any], BeforeValidator(_mapping)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Healthcheck(_Part):
    """Times are nanoseconds."""

    test: Texts = Field(alias="Test", default=[])
    start_period: int = Field(alias="StartPeriod", default=0)


class Config(_Part):
    """The container's own part."""

    hostname: str = Field(alias="Hostname", default="")
    user: str = Field(alias="User", default="")
    env: Texts = Field(alias="Env", default=[])
    cmd: Texts = Field(alias="Cmd", default=[])
    image: str = Field(alias="Image", default="")
    workdir: str = Field(alias="WorkingDir", default="")
    entrypoint: list[str] | str | None = Field(alias="Entrypoint", default=None)
    healthcheck: Healthcheck | None = Field(alias="Healthcheck", default=None)
    tty: bool = Field(alias="Tty", default=False)


class Ulimit(_Part):
    """podman spells the name ``RLIMIT_NOFILE``, Docker ``nofile``; -1 is unlimited."""

    name: str = Field(alias="Name", default="")
    soft: int = Field(alias="Soft", default=0)
    hard: int = Field(alias="Hard", default=0)


class TmpfsOptions(_Part):
    """Of ``--mount type=tmpfs``; the mode is a decimal number."""

    size: int | None = Field(alias="SizeBytes", default=None)
    mode: int | None = Field(alias="Mode", default=None)


class AskedMount(_Part):
    """A mount as it was asked for by ``--mount``, Docker's alone."""

    kind: str = Field(alias="Type", default="")
    target: str = Field(alias="Target", default="")
    tmpfs: TmpfsOptions | None = Field(alias="TmpfsOptions", default=None)


class HostConfig(_Part):
    """The host's part. 0 and null mean unlimited, or not set."""

    network: str = Field(alias="NetworkMode", default="")
    ports: Map = Field(alias="PortBindings", default={})
    cap_add: Texts = Field(alias="CapAdd", default=[])
    cap_drop: Texts = Field(alias="CapDrop", default=[])
    groups: Texts = Field(alias="GroupAdd", default=[])
    hosts: Texts = Field(alias="ExtraHosts", default=[])
    ipc: str = Field(alias="IpcMode", default="")
    pid: str = Field(alias="PidMode", default="")
    privileged: bool = Field(alias="Privileged", default=False)
    read_only: bool = Field(alias="ReadonlyRootfs", default=False)
    security: Texts = Field(alias="SecurityOpt", default=[])
    tmpfs: TextMap = Field(alias="Tmpfs", default={})
    mounts: Annotated[list[AskedMount], BeforeValidator(_list)] = Field(alias="Mounts", default=[])
    userns: str = Field(alias="UsernsMode", default="")
    shm_size: int = Field(alias="ShmSize", default=0)
    sysctls: TextMap = Field(alias="Sysctls", default={})
    runtime: str = Field(alias="Runtime", default="")
    memory: int = Field(alias="Memory", default=0)
    nano_cpus: int = Field(alias="NanoCpus", default=0)
    cpu_period: int = Field(alias="CpuPeriod", default=0)
    cpu_quota: int = Field(alias="CpuQuota", default=0)
    cpu_shares: int = Field(alias="CpuShares", default=0)
    cpuset: str = Field(alias="CpusetCpus", default="")
    devices: Anything = Field(alias="Devices", default=[])
    device_requests: Anything = Field(alias="DeviceRequests", default=[])
    pids: int | None = Field(alias="PidsLimit", default=None)
    ulimits: Annotated[list[Ulimit], BeforeValidator(_list)] = Field(alias="Ulimits", default=[])
    init: bool | None = Field(alias="Init", default=None)


class Mounted(_Part):
    """A mount as it is; ``source`` is the host's."""

    kind: str = Field(alias="Type", default="")
    name: str = Field(alias="Name", default="")
    source: str = Field(alias="Source", default="")
    target: str = Field(alias="Destination", default="")


class Container(_Part):
    """One element of what ``inspect`` prints."""

    id: str = Field(alias="Id")
    name: str = Field(alias="Name", default="")
    path: str = Field(alias="Path", default="")
    args: Texts = Field(alias="Args", default=[])
    image_name: str = Field(alias="ImageName", default="")
    """podman's alone."""
    config: Config = Field(alias="Config")
    host: HostConfig = Field(alias="HostConfig")
    mounts: Annotated[list[Mounted], BeforeValidator(_list)] = Field(alias="Mounts", default=[])
