"""``scenarios/causes.yaml``: documented causes, read from the packaged file and the user's."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from harness import defaults, yamlfile
from harness.errors import ConfigError
from harness.model.causes import Effect, HostPattern, KnownCause, Pattern
from harness.model.observations import Origin
from harness.scenarios import schema, values
from harness.trace import since
from harness.trace.judge import errno_name
from harness.trace.syscalls import ABIS, Syscalls
from harness.yamlvalues import did_you_mean, source_text

FILE = "causes.yaml"
NAME = "[a-z0-9]+(-[a-z0-9]+)*"
"""Kebab case: a cause's name is typed by people and compared by programs."""

_KEY = "causes"
_GLOB = frozenset("*?[")
_NUMBERED = re.compile(r"syscall_\d+")
_TEXTS = frozenset({"message", "stdout", "stderr", "output", "reason", "asks"})
_ENOTSUPP = 524  # of no userland's list, but the kernel lets it out


class _Keys(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


@cache
def _calls() -> frozenset[str]:
    syscalls = Syscalls()
    return frozenset(name for abi in ABIS for name in syscalls.by_name(abi))


@cache
def _usual() -> frozenset[str]:
    """Return the calls of the small table: the whole ones are slow to load."""
    return frozenset(since.load())


@cache
def _errnos() -> frozenset[str]:
    return frozenset(errno_name(number) for number in (*errno.errorcode, _ENOTSUPP))


def _call(name: str) -> str:
    fine = not _GLOB.isdisjoint(name) or _NUMBERED.fullmatch(name) or name in _usual()
    if not fine and name not in _calls():
        close = did_you_mean(name, list(_calls()))
        hint = close if close.startswith("did") else "give one of syscalls(2), or syscall_NUMBER"
        raise ValueError(f"unknown system call {name!r}; {hint}")
    return name


def _errno(name: str) -> str:
    if name not in _errnos():
        raise ValueError(f"unknown errno {name!r}; {did_you_mean(name.upper(), list(_errnos()))}")
    return name


def _each(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


def _one_line(value: Any) -> Any:
    text = source_text(value)
    return " ".join(text.split()) if isinstance(text, str) else text


Prose = Annotated[str, BeforeValidator(_one_line, json_schema_input_type=str), Field(min_length=1)]
Calls = Annotated[
    tuple[Annotated[str, AfterValidator(_call)], ...],
    BeforeValidator(values.one_or_more, json_schema_input_type=str | list[str]),
]
Errnos = Annotated[
    tuple[Annotated[str, AfterValidator(_errno)], ...],
    BeforeValidator(values.one_or_more, json_schema_input_type=str | list[str]),
]
OriginName = Literal["seccomp", "kernel", "other", "unknown"]
Origins = Annotated[
    tuple[OriginName, ...],
    BeforeValidator(_each, json_schema_input_type=OriginName | list[OriginName]),
]
Status = Annotated[int, Field(ge=0, le=255)]
Statuses = Annotated[
    tuple[Status, ...], BeforeValidator(_each, json_schema_input_type=Status | list[Status])
]
Signals = Annotated[
    tuple[schema.SignalName, ...],
    BeforeValidator(_each, json_schema_input_type=str | list[str]),
]
CgroupName = Literal["v1", "v2", "hybrid"]
Cgroups = Annotated[
    tuple[CgroupName, ...],
    BeforeValidator(_each, json_schema_input_type=CgroupName | list[CgroupName]),
]
EngineName = Literal["podman", "docker"]
Engines = Annotated[
    tuple[EngineName, ...],
    BeforeValidator(_each, json_schema_input_type=EngineName | list[EngineName]),
]


class HostKeys(_Keys):
    """What the host must be like besides; alone it is no evidence."""

    cgroup: Cgroups = ()
    """Its hierarchy of control groups."""
    engine: Engines = ()
    seccomp: schema.Texts = ()
    """Globs of the seccomp profile's title, as a report shows it."""
    cmdline: schema.Pattern = ""
    """Regular expression, searched for in the kernel's command line."""
    sysctl: dict[str, schema.Value] = Field(default_factory=dict)
    """Name to a glob of its value, where the host or the scenario set it; user.max_user_namespaces
    also where it is 0 by the kernel's own default."""


class PatternKeys(_Keys):
    """Evidence: everything that is given must be in the cell; of a list one is enough."""

    syscall: Calls = ()
    """Globs of a failing call's name."""
    errno: Errnos = ()
    origin: Origins = ()
    """Who answered; ``kernel`` means a drill as well."""
    operation: schema.Texts = ()
    """Globs of a multiplexed call's operation."""
    abi: Literal["x86_64", "i386", ""] = ""
    program: schema.Texts = ()
    """Globs: the program that met the call; where no call is named, one that failed."""
    exit: Statuses = ()
    """Exit status of a process that failed."""
    signal: Signals = ()
    """Signal that ended a process."""
    message: schema.Pattern = ""
    """Regular expression, searched for in the kernel's new messages."""
    stdout: schema.Pattern = ""
    """Regular expression, searched for in the failing steps' output; ^ and $ mean each line's."""
    stderr: schema.Pattern = ""
    output: schema.Pattern = ""
    """In one of the two."""
    reason: schema.Pattern = ""
    """In the sentence why the cell failed, which holds what a runtime said."""
    asks: schema.Pattern = ""
    """In what a file of the image asks of the kernel, where that was found out."""
    host: HostKeys = Field(default_factory=HostKeys)
    states: bool = False
    """The text says the cause outright: nothing is left to suspect."""

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if not self.model_fields_set - {"host", "program", "abi", "states"}:
            raise ValueError(
                "needs something that a cell shows: a call, an errno, an end or a text; a host "
                "or a program alone would fit every cell of it"
            )
        if self.states and not self.model_fields_set & _TEXTS:
            raise ValueError(f"states needs a text: one of {', '.join(sorted(_TEXTS))}")
        return self


def _alternatives(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class CauseKeys(_Keys):
    """A documented cause and how it is seen."""

    text: Prose
    """What happens, in plain words: full sentences."""
    help: Prose
    """What usually helps."""
    reference: Annotated[
        tuple[Prose, ...],
        BeforeValidator(_each, json_schema_input_type=str | list[str]),
        Field(min_length=1),
    ]
    """Where it is documented: a thread, a page, a manual page such as openat2(2)."""
    when: Annotated[
        list[PatternKeys],
        BeforeValidator(_alternatives, json_schema_input_type=PatternKeys | list[PatternKeys]),
        Field(min_length=1),
    ]
    """How it is seen; of several alternatives one is enough."""
    effect: Literal["breaks", "degrades"] = "breaks"
    """``degrades``: callers are known to have a way round it, so no failure is put down to it."""


def _named(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("a cause's name is made of small letters, digits and single '-' between")
    return name


class CausesFile(_Keys):
    """A file of causes. One of a name that an earlier file has takes its place; null removes it."""

    causes: dict[Annotated[str, AfterValidator(_named)], CauseKeys | None]


def packaged() -> Path:
    """Return the file that comes with the harness."""
    return defaults.directory("scenarios") / FILE


def load(files: Sequence[Path]) -> tuple[KnownCause, ...]:
    """Return the causes of several files; a later file's replace an earlier one's by name.

    Raises:
        ConfigError: a file is missing or wrong.
    """
    found: dict[str, KnownCause | None] = {}
    for file in dict.fromkeys(path.resolve() for path in files):
        found |= _of_file(file)
    return tuple(cause for cause in found.values() if cause is not None)


def load_for(rootdir: Path, more: Sequence[str | Path] = ()) -> tuple[KnownCause, ...]:
    """Return the packaged causes, with those of ``rootdir``'s scenarios and of ``more`` files.

    Raises:
        ConfigError: a file is wrong, or one of ``more`` is missing.
    """
    return load([packaged(), *own_files(rootdir, more)])


def own_files(rootdir: Path, more: Sequence[str | Path] = ()) -> tuple[Path, ...]:
    """Return the user's files: that of ``rootdir``'s scenarios, if it has one, and ``more``."""
    own = rootdir / "scenarios" / FILE
    return (*([own] if own.exists() else []), *(rootdir / path for path in more))


def _of_file(path: Path) -> dict[str, KnownCause | None]:
    document = yamlfile.load(path)
    if isinstance(document.data, dict) and _KEY not in document.data:
        raise ConfigError(path, 1, f"no key {_KEY!r} at the top level")
    parsed = yamlfile.validate(document, CausesFile)
    return {
        name: None if keys is None else _cause(name, keys, f"{path}:{document.line_of(_KEY, name)}")
        for name, keys in parsed.causes.items()
    }


def _cause(name: str, keys: CauseKeys, where: str) -> KnownCause:
    return KnownCause(
        name=name,
        text=keys.text,
        help=keys.help,
        references=keys.reference,
        when=tuple(map(_pattern, keys.when)),
        effect=Effect(keys.effect),
        where=where,
    )


def _pattern(keys: PatternKeys) -> Pattern:
    given = keys.model_dump(exclude={"origin", "host"})
    return Pattern(
        **given,
        origin=tuple(map(Origin, keys.origin)),
        host=HostPattern(**keys.host.model_dump()),
    )
