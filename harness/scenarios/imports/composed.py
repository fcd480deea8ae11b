"""What a scenario needs of a compose file (compose-spec, 05-services.md and deploy.md).

Short and long forms are brought to one; keys that a scenario has no use for are let through.
"""

from __future__ import annotations

import shlex
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from harness.scenarios.imports.quantities import Bytes, Duration, Number
from harness.yamlvalues import Text, source_text


def _map(value: Any) -> Any:
    """Return a mapping of text of ``{A: 1}`` or ``[A=1]``; None for what has no value."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {key: None if text is None else _scalar(text) for key, text in value.items()}
    if not isinstance(value, list):
        raise ValueError("expected a mapping, or a list of NAME=VALUE")
    parts = [_scalar(item).partition("=") for item in value]
    return {name: text if equals else None for name, equals, text in parts}


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(source_text(value))


def _words(value: Any) -> Any:
    """Return words of a list, or of a text as a shell splits it; no shell runs it."""
    if isinstance(value, str):
        return shlex.split(value)
    return [_scalar(word) for word in value] if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _list(value: Any) -> Any:
    return [] if value is None else value


def _mode(value: Any) -> Any:
    """Return permission bits: octal where a zero leads or in quotes, as YAML 1.1 and compose do."""
    text = source_text(value)
    return int(text, 8) if isinstance(text, str) and (text[:1] == "0" or text is value) else value


Mode = Annotated[int, BeforeValidator(_mode)]
Words = Annotated[list[str], BeforeValidator(_words)]
Map = Annotated[dict[str, str | None], BeforeValidator(_map)]
Texts = Annotated[list[str], BeforeValidator(_one_or_more)]
Anything = Annotated[list[Any] | dict[str, Any] | None, Field(default=None)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Healthcheck(_Part):
    """A text for a test is a shell's, as CMD-SHELL."""

    test: list[str] | str = []
    start_period: Duration = 0.0
    disable: bool = False


class TmpfsOptions(_Part):
    """Of a volume in the long form."""

    size: Bytes | None = None
    mode: Mode | None = None


class Volume(_Part):
    """A volume in the long form."""

    type: str
    source: str = ""
    target: str
    read_only: bool = False
    tmpfs: TmpfsOptions = TmpfsOptions()


def _volume(value: Any) -> Any:
    """Return the long form of ``[SOURCE:]TARGET[:OPTIONS]``."""
    if not isinstance(value, str):
        return value
    parts = value.split(":")
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    kind = "bind" if source.startswith((".", "/", "~")) else "volume"
    return {"type": kind, "source": source, "target": target}


class Limits(_Part):
    """``deploy.resources.limits``."""

    cpus: Number | None = None
    memory: Bytes | None = None
    pids: int | None = None


class _Resources(_Part):
    limits: Limits = Limits()


class _Deploy(_Part):
    resources: _Resources = _Resources()


class Ulimit(_Part):
    """Both limits; a single number in the file is either."""

    soft: int
    hard: int


def _ulimit(value: Any) -> Any:
    return value if isinstance(value, dict) else {"soft": value, "hard": value}


class Service(_Part):
    """A service. What is only told of when it is left out is of any form."""

    image: str = ""
    command: Words | None = None
    entrypoint: Words | None = None
    environment: Map = {}
    user: Text = ""
    working_dir: str = ""
    hostname: str = ""
    read_only: bool = False
    tmpfs: Texts = []
    volumes: Annotated[
        list[Annotated[Volume, BeforeValidator(_volume)]], BeforeValidator(_list)
    ] = []
    mem_limit: Bytes | None = None
    cpus: Number | None = None
    pids_limit: int | None = None
    deploy: _Deploy = _Deploy()
    shm_size: Bytes | None = None
    ulimits: dict[str, Annotated[Ulimit, BeforeValidator(_ulimit)]] = {}
    cap_add: list[str] = []
    cap_drop: list[str] = []
    security_opt: list[str] = []
    sysctls: Map = {}
    healthcheck: Healthcheck | None = None
    privileged: bool = False
    extends: Any = None
    env_file: Any = None
    devices: Anything
    gpus: Any = None
    ports: Anything
    networks: Anything
    network_mode: str = ""
    pid: str = ""
    ipc: str = ""
    configs: Anything
    secrets: Anything
    group_add: Anything
    extra_hosts: Anything
    depends_on: Anything
    links: Anything
    userns_mode: str = ""
    runtime: str = ""
    init: bool = False
    tty: bool = False


class ComposeFile(_Part):
    """A compose file, of which one service is read: the others may be anything."""

    services: dict[str, Any]
