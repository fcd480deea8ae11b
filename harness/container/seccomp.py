"""Seccomp profiles in the engines' form, resolved as the engines resolve them.

An engine keeps one profile for all architectures, kernels and capabilities and resolves it when
it starts a container; the runtime gets plain rules. The two engines read almost the same form:
``minKernel`` is Docker's alone (moby, profiles/seccomp), errnos by name are podman's
(containers/common, pkg/seccomp); where a key is of one engine only, the other ignores it.
"""

from __future__ import annotations

import errno as errnos
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.errors import ConfigError
from harness.model.hosts import Engine

ERRNO = "SCMP_ACT_ERRNO"
ALLOW = "SCMP_ACT_ALLOW"

_PERMISSIVE = {ALLOW, "SCMP_ACT_LOG", "SCMP_ACT_TRACE"}
_ACTIONS = _PERMISSIVE | {
    ERRNO,
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_NOTIFY",
}
_NATIVE = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}
"""libseccomp's constant by Go's name, which profiles use in ``arches``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A condition on one argument of a call (runtime-spec, ``linux.seccomp.syscalls.args``)."""

    index: int
    value: int
    value_two: int = 0
    op: str = "SCMP_CMP_EQ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What happens to some calls. ``errno`` None is EPERM for an action that has one."""

    names: tuple[str, ...]
    action: str
    errno: int | None = None
    args: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A resolved profile: runtime-spec's ``linux.seccomp``."""

    default_action: str
    default_errno: int | None
    architectures: tuple[str, ...]
    rules: tuple[Rule, ...]
    flags: tuple[str, ...] = ()

    @property
    def default(self) -> tuple[str, int | None]:
        """What a call gets that no rule names."""
        return outcome(self.default_action, self.default_errno)


def outcome(action: str, errno: int | None) -> tuple[str, int | None]:
    """Return an action with its errno made explicit, as runtimes do: EPERM unless said."""
    if action != ERRNO:
        return action, None
    return action, errnos.EPERM if errno is None else errno


def permits(action: str) -> bool:
    """Tell whether a call with this action reaches the kernel."""
    return action in _PERMISSIVE


# --- the engines' form ------------------------------------------------------------------


class _Part(BaseModel):
    # Engines ignore keys that they do not know, so a newer profile is no error.
    model_config = ConfigDict(extra="ignore")


def _nothing_is_empty(value: object) -> object:
    return [] if value is None else value


_Names = Annotated[list[str], BeforeValidator(_nothing_is_empty)]


class _Argument(_Part):
    index: int = Field(ge=0, le=5)
    value: int = Field(default=0, ge=0, lt=1 << 64)
    value_two: int = Field(default=0, ge=0, lt=1 << 64, alias="valueTwo")
    op: str


class _Condition(_Part):
    caps: _Names = []
    arches: _Names = []
    min_kernel: str | None = Field(default=None, alias="minKernel")


class _Rule(_Part):
    name: str = ""
    names: _Names = []
    action: str
    errno: str = ""
    errno_ret: int | None = Field(default=None, alias="errnoRet")
    args: Annotated[list[_Argument], BeforeValidator(_nothing_is_empty)] = []
    includes: _Condition | None = None
    excludes: _Condition | None = None


class _Architecture(_Part):
    architecture: str
    sub: _Names = Field(default=[], alias="subArchitectures")


class Profile(_Part):
    """A profile as an engine's file has it."""

    default_action: str = Field(default="", alias="defaultAction")
    default_errno: str = Field(default="", alias="defaultErrno")
    default_errno_ret: int | None = Field(default=None, alias="defaultErrnoRet")
    architectures: _Names = []
    arch_map: Annotated[list[_Architecture], BeforeValidator(_nothing_is_empty)] = Field(
        default=[], alias="archMap"
    )
    syscalls: Annotated[list[_Rule], BeforeValidator(_nothing_is_empty)] = []
    flags: _Names = []


def parse(text: str, where: str) -> Profile:
    """Read a profile in the engines' JSON; ``where`` names it in errors.

    Raises:
        ConfigError: it is not JSON, or says what no engine would take.
    """
    try:
        profile = Profile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            where, None, f"not a seccomp profile: {place or 'file'}: {first['msg']}"
        ) from error
    if profile.architectures and profile.arch_map:
        raise ConfigError(where, None, "has both architectures and archMap: keep one of them")
    for number, rule in enumerate(profile.syscalls):
        if rule.name and rule.names:
            raise ConfigError(where, None, f"syscalls[{number}] has both name and names")
        _known(rule.action, f"syscalls[{number}].action", where)
    if profile.default_action or profile.syscalls:
        _known(profile.default_action, "defaultAction", where)
    return profile


def _known(action: str, key: str, where: str) -> None:
    if action not in _ACTIONS:
        raise ConfigError(
            where, None, f"{key}: {action!r} is none of {', '.join(sorted(_ACTIONS))}"
        )


def resolve(
    profile: Profile,
    *,
    engine: Engine,
    capabilities: Collection[str],
    release: str,
    architecture: str = "amd64",
    where: str = "seccomp profile",
) -> Filter | None:
    """Resolve a profile for a container with the bounding set ``capabilities`` (``CAP_X``).

    ``release`` is the running kernel's, for Docker's ``minKernel``. None: the profile is empty,
    which engines take for "no seccomp".

    Raises:
        ConfigError: an errno or a kernel version in it cannot be read.
    """
    if not profile.default_action and not profile.syscalls:
        return None
    rules = tuple(
        Rule(
            names=tuple(rule.names or [rule.name]),
            action=rule.action,
            errno=_errno(rule.errno, rule.errno_ret, where),
            args=tuple(Argument(**argument.model_dump()) for argument in rule.args),
        )
        for rule in profile.syscalls
        if _applies(rule, engine, set(capabilities), release, architecture, where)
        and (rule.names or rule.name)
    )
    native = _NATIVE.get(architecture)
    mapped = [entry for entry in profile.arch_map if entry.architecture == native][:1]
    architectures = list(profile.architectures)
    for entry in mapped:
        architectures += [entry.architecture, *entry.sub]
    return Filter(
        default_action=profile.default_action,
        default_errno=_errno(profile.default_errno, profile.default_errno_ret, where),
        architectures=tuple(architectures),
        rules=rules,
        flags=tuple(profile.flags),
    )


def _applies(
    rule: _Rule,
    engine: Engine,
    capabilities: set[str],
    release: str,
    architecture: str,
    where: str,
) -> bool:
    excludes, includes = rule.excludes or _Condition(), rule.includes or _Condition()
    if architecture in excludes.arches or capabilities & set(excludes.caps):
        return False
    if includes.arches and architecture not in includes.arches:
        return False
    if not set(includes.caps) <= capabilities:
        return False
    if engine is not Engine.DOCKER:
        return True
    if excludes.min_kernel and _at_least(release, excludes.min_kernel, where):
        return False
    return not includes.min_kernel or _at_least(release, includes.min_kernel, where)


def _at_least(release: str, wanted: str, where: str) -> bool:
    """Compare the first two numbers, as Docker does: what follows them is ignored."""
    least = re.fullmatch(r"(\d+)\.(\d+)", wanted)
    if least is None:
        raise ConfigError(where, None, f"minKernel: {wanted!r} is not of the form 4.8")
    running = re.match(r"(\d+)\.(\d+)", release)
    if running is None:
        raise ConfigError(
            where, None, f"the kernel's release {release!r} has no version for minKernel"
        )
    numbers = [int(part) for part in running.groups()]
    return numbers >= [int(part) for part in least.groups()]


def _errno(name: str, number: int | None, where: str) -> int | None:
    """Return the errno of a rule: the name, or number as text, comes before the older number."""
    if not name:
        return number
    if name.isdigit():
        return int(name)
    value = getattr(errnos, name, None)
    if not isinstance(value, int):
        raise ConfigError(where, None, f"errno: {name!r} is no errno's name")
    return value


# --- the runtimes' form -----------------------------------------------------------------


def to_oci(resolved: Filter) -> dict[str, Any]:
    """Return ``linux.seccomp`` of a bundle's config.json."""
    spec: dict[str, Any] = {"defaultAction": resolved.default_action}
    if resolved.default_errno is not None:
        spec["defaultErrnoRet"] = resolved.default_errno
    if resolved.architectures:
        spec["architectures"] = list(resolved.architectures)
    if resolved.flags:
        spec["flags"] = list(resolved.flags)
    spec["syscalls"] = [_rule_to_oci(rule) for rule in resolved.rules]
    return spec


def _rule_to_oci(rule: Rule) -> dict[str, Any]:
    spec: dict[str, Any] = {"names": list(rule.names), "action": rule.action}
    if rule.errno is not None:
        spec["errnoRet"] = rule.errno
    if rule.args:
        spec["args"] = [
            {
                "index": argument.index,
                "value": argument.value,
                "valueTwo": argument.value_two,
                "op": argument.op,
            }
            for argument in rule.args
        ]
    return spec
