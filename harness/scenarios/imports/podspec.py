"""What a scenario needs of a pod (Kubernetes, core/v1 PodSpec), by itself or in a workload."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from harness.scenarios.imports.quantities import Quantity
from harness.yamlvalues import Text, source_text


def _words(value: Any) -> Any:
    return [source_text(word) for word in value] if isinstance(value, list) else value


def _list(value: Any) -> Any:
    return [] if value is None else value


Words = Annotated[list[str], BeforeValidator(_words)]
Anything = Annotated[list[Any], BeforeValidator(_list)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel)


class Variable(_Part):
    """A variable with a value, or with ``valueFrom``."""

    name: str
    value: Text | None = None


class Capabilities(_Part):
    """Names without CAP_, or ALL."""

    add: list[str] = []
    drop: list[str] = []


class SeccompProfile(_Part):
    """Its type is RuntimeDefault, Unconfined or Localhost."""

    type: str


class Sysctl(_Part):
    """A sysctl of the pod's namespaces."""

    name: str
    value: Text


class SecurityContext(_Part):
    """Of a container or of the pod; a container's comes first."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    read_only_root_filesystem: bool = False
    privileged: bool = False
    allow_privilege_escalation: bool = True
    capabilities: Capabilities = Capabilities()
    seccomp_profile: SeccompProfile | None = None
    se_linux_options: dict[str, Any] = {}
    fs_group: int | None = None
    supplemental_groups: list[int] = []
    sysctls: list[Sysctl] = []


class _Resources(_Part):
    limits: dict[str, Quantity] = {}


class _Exec(_Part):
    command: Words = []


class Probe(_Part):
    """Times are seconds. Other kinds than ``exec`` need a network."""

    exec: _Exec | None = None
    initial_delay_seconds: float = 0.0
    period_seconds: float = 10.0
    failure_threshold: int = 3


class VolumeMount(_Part):
    """Where a volume of the pod is mounted."""

    name: str
    mount_path: str
    read_only: bool = False
    sub_path: str = ""


class _EmptyDir(_Part):
    size_limit: Quantity | None = None


class Volume(_Part):
    """A volume; all kinds but emptyDir come from elsewhere."""

    name: str
    empty_dir: _EmptyDir | None = None


class Container(_Part):
    """One container of the pod."""

    name: str
    image: str = ""
    command: Words | None = None
    args: Words | None = None
    working_dir: str = ""
    env: list[Variable] = []
    env_from: Anything = []
    resources: _Resources = _Resources()
    security_context: SecurityContext = SecurityContext()
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    volume_mounts: list[VolumeMount] = []
    volume_devices: Anything = []
    ports: Anything = []
    lifecycle: dict[str, Any] = {}
    tty: bool = False


class PodSpec(_Part):
    """A pod. ``hostUsers`` false puts it into a user namespace."""

    containers: list[Container] = Field(min_length=1)
    init_containers: list[Container] = []
    volumes: list[Volume] = []
    security_context: SecurityContext = SecurityContext()
    hostname: str = ""
    host_users: bool = True
    host_network: bool = False
    host_pid: bool = Field(alias="hostPID", default=False)
    host_ipc: bool = Field(alias="hostIPC", default=False)
    share_process_namespace: bool = False
