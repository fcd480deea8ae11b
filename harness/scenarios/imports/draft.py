"""A scenario in the making: its keys as YAML has them, and what could not be taken over."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from harness.scenarios import values
from harness.yamlvalues import quoted

WATCH = "10s"
"""How long a service that has no probe is watched."""
WATCH_READY = "5s"
"""The same, once its probe has succeeded."""

_SECRET = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|PRIVATE|(^|_)KEY(_|$)", re.IGNORECASE)
_ORDER = (
    "why",
    "image",
    "engine",
    "seccomp",
    "env",
    "user",
    "workdir",
    "hostname",
    "entrypoint",
    "mounts",
    "read_only",
    "memory",
    "cpus",
    "pids",
    "shm_size",
    "ulimits",
    "cap_add",
    "cap_drop",
    "userns",
    "requires",
    "sysctls",
    "service",
)
_UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


@dataclass(slots=True)
class Draft:
    """What was taken over so far. ``source`` says of what, in a few words."""

    name: str
    source: str
    keys: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """What the scenario lacks, and what to do about it where that helps; one line each."""
    remarks: list[str] = field(default_factory=list)
    """What to know of what it has."""

    def put(self, key: str, value: object) -> None:
        """Set a key, unless there is nothing to say."""
        if value is not None and value != "" and value is not False and value != {} and value != []:
            self.keys[key] = value

    def leave(self, what: str) -> None:
        """Note what is left out."""
        self.left_out.append(what)

    def env(self, variables: Mapping[str, str]) -> None:
        """Take over an environment, secrets and all, and say so."""
        self.put("env", dict(variables))
        if not variables:
            return
        count = "1 variable is" if len(variables) == 1 else f"{len(variables)} variables are"
        text = f"env: {count} copied with the values as they stand"
        secrets = [name for name in variables if _SECRET.search(name)]
        if secrets:
            text += f"; by their names these hold secrets: {', '.join(secrets)}"
        self.remarks.append(text)

    def capabilities(self, add: Iterable[str], drop: Iterable[str]) -> None:
        """Take over capabilities, in any engine's spelling."""
        for key, names in (("cap_add", add), ("cap_drop", drop)):
            known = []
            for name in names:
                try:
                    known.append(values.capability(name).removeprefix("CAP_"))
                except ValueError as error:
                    self.leave(f"{key}: {error}")
            self.put(key, known)

    def limits(self, limits: Iterable[tuple[str, int, int]]) -> None:
        """Take over resource limits, (name, soft, hard) each; negative is unlimited."""
        taken = {}
        for name, soft, hard in limits:
            try:
                key = values.ulimit_name(name)
            except ValueError as error:
                self.leave(f"ulimits: {error}")
                continue
            words = ["unlimited" if n < 0 or n >= 1 << 63 else str(n) for n in (soft, hard)]
            taken[key] = words[0] if words[0] == words[1] else ":".join(words)
        self.put("ulimits", taken)

    def mount(self, target: str, **keys: object) -> None:
        """Add a mount, unless no scenario could have it there."""
        path = PurePosixPath(target)
        if not path.is_absolute() or ".." in path.parts or path == PurePosixPath("/"):
            self.leave(f"the mount at {target!r}: a scenario mounts below / by absolute paths only")
            return
        mounts = self.keys.setdefault("mounts", [])
        mounts.append({"target": target, **{k: v for k, v in keys.items() if v}})

    def tmpfs(self, target: str, options: str = "") -> None:
        """Add a tmpfs with mount(8)'s options, of which size, mode and ro are taken over."""
        keys: dict[str, object] = {"tmpfs": True}
        for option in filter(None, options.split(",")):
            name, _, value = option.partition("=")
            if name == "size" and (known := _bytes(value)):
                keys["size"] = size(known)
            elif name == "mode" and re.fullmatch(r"0?[0-7]{3,4}", value):
                keys["mode"] = value
            elif name == "ro":
                keys["read_only"] = True
            elif name in ("exec", "uid", "gid", "nr_inodes", "size"):
                self.leave(f"option {option} of the tmpfs at {target}")
        self.mount(target, **keys)

    def in_userns(self) -> None:
        """Run in a user namespace of its own."""
        self.put("userns", True)
        self.put("requires", "userns")

    def service(
        self, *, run: object = None, args: object = None, ready: object = None, start: float = 0.0
    ) -> None:
        """Set the service; ``start`` is how long its probe may fail at first, in seconds."""
        service = {"run": run, "args": args, "ready": ready}
        keys: dict[str, object] = {k: v for k, v in service.items() if v is not None}
        if ready is not None and start:
            keys["timeout"] = f"{60 + round(start)}s"
        keys["watch"] = WATCH if ready is None else WATCH_READY
        self.put("service", keys)


def _bytes(text: str) -> int:
    """Return the bytes of a tmpfs, 0 for what no scenario takes: none, too many, a percentage."""
    try:
        return int(values.size(text))
    except ValueError:
        return 0


def size(number: int) -> int | str:
    """Return bytes as people write them, where that is exact."""
    for unit, letter in _UNITS:
        if number and number % unit == 0:
            return f"{number // unit}{letter}"
    return number


def scenario_name(text: str) -> str:
    """Return ``text`` with what no scenario may be called made into dashes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "container"


def image_reference(name: str) -> str:
    """Return the reference of an image's name as engines take it: ``redis:7`` is Docker Hub's."""
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker://docker.io/library/{name}"
    if "." in first or ":" in first or first == "localhost":
        return f"docker://{name}"
    return f"docker://docker.io/{name}"


def to_yaml(draft: Draft) -> str:
    """Return the scenario's file; the same draft gives the same text."""
    keys = {key: draft.keys[key] for key in _ORDER if key in draft.keys}
    yaml = YAML()
    yaml.width = 4096  # a value that is folded has a blank at the end of its line
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump({"scenarios": {draft.name: quoted(keys)}}, out)
    return out.getvalue()
