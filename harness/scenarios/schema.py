"""A scenario file's keys, as pydantic checks them and as the published JSON schema shows them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from harness.images.schema import ImageForm
from harness.images.schema import Name as ImageName
from harness.scenarios import values
from harness.scenarios.case_schema import CaseKeys
from harness.yamlvalues import Text, did_you_mean

Duration = Annotated[float, BeforeValidator(values.duration, json_schema_input_type=float | str)]
Size = Annotated[int, BeforeValidator(values.size, json_schema_input_type=int | str)]
Mode = Annotated[int, BeforeValidator(values.mode, json_schema_input_type=int | str)]
Words = list[str | int | float]
Command = Annotated[
    tuple[str, ...], BeforeValidator(values.command, json_schema_input_type=str | Words)
]
Arguments = Annotated[
    tuple[str, ...], BeforeValidator(values.arguments, json_schema_input_type=Words)
]
Entrypoint = Annotated[
    tuple[str, ...], BeforeValidator(values.entrypoint, json_schema_input_type=str | Words)
]
Texts = Annotated[
    tuple[str, ...], BeforeValidator(values.one_or_more, json_schema_input_type=str | list[str])
]
Selection = Annotated[
    str, BeforeValidator(values.comma_list, json_schema_input_type=str | float | Words)
]
Value = Annotated[Text, Field(description="Text; a number is taken as it is written.")]
Pattern = Annotated[str, AfterValidator(values.pattern)]
Patterns = Annotated[
    tuple[Pattern, ...],
    BeforeValidator(values.one_or_more, json_schema_input_type=str | list[str]),
]
Capability = Annotated[str, AfterValidator(values.capability)]
Capabilities = Annotated[
    tuple[Capability, ...],
    BeforeValidator(values.one_or_more, json_schema_input_type=str | list[str]),
]
SignalName = Annotated[str, BeforeValidator(values.signal_name, json_schema_input_type=str | int)]
Limits = Annotated[
    tuple[int, int], BeforeValidator(values.ulimit, json_schema_input_type=int | str)
]
LimitName = Annotated[str, AfterValidator(values.ulimit_name)]
Name = Annotated[str, AfterValidator(values.scenario_name)]

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "userns": ("true",),
    "cgroup": ("v1", "v2"),
    "ia32": ("true",),
    "modules": ("true",),
}
"""What a scenario can ask of the apparatus, and the values that each may have."""


class _Keys(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class TextExpectation(_Keys):
    """What an output must be; every one that is given must hold."""

    equals: Text | None = None
    """The whole output; a newline at its very end may be left out here."""
    contains: Texts = ()
    """Text, or several, found anywhere in it."""
    matches: Patterns = ()
    """Python regular expressions, searched for; ^ and $ mean each line's."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.equals is None and not self.contains and not self.matches:
            raise ValueError("needs one of equals, contains, matches")
        if "" in self.contains:
            raise ValueError("an empty text is in any output; write equals: '' for none at all")
        return self


def _short_expectation(value: Any) -> Any:
    return value if isinstance(value, dict) else {"contains": value}


OutputExpectation = Annotated[
    TextExpectation,
    BeforeValidator(_short_expectation, json_schema_input_type=str | list[str] | TextExpectation),
]


class Expectation(_Keys):
    """How a step must end. Without any of it: with exit status 0."""

    exit: Annotated[int, Field(ge=0, le=255)] | Literal["any"] | None = None
    """Exit status; ``any`` takes every end, by a signal too."""
    signal: SignalName | None = None
    """The signal that must end it, as signal(7) names it."""
    stdout: OutputExpectation | None = None
    """A text that the output contains, or equals, contains, matches."""
    stderr: OutputExpectation | None = None
    """As stdout."""

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.exit is not None and self.signal is not None:
            raise ValueError("takes one of exit and signal: a process ends in one way")
        return self


def _one_command(keys: CommandKeys | ServiceKeys) -> None:
    if keys.run is not None and keys.args is not None:
        raise ValueError("takes one of run and args, not both")


class CommandKeys(_Keys):
    """What a step is made of, and a scenario of one step."""

    run: Command | None = None
    """The command, instead of Entrypoint and Cmd: a list, or a text for ``sh -c``."""
    args: Arguments | None = None
    """Instead of Cmd: arguments for the image's Entrypoint."""
    stdin: Text | None = None
    """Text on its standard input."""
    timeout: Duration | None = None
    """Its limit, 60s unless given; slow emulation stretches it."""
    expect: Expectation | None = None
    """How it must end and what it must print."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _one_command(self)
        return self


class StepKeys(CommandKeys):
    """One command in the container."""

    name: Annotated[str, Field(min_length=1)] | None = None
    """Shown in results; unnamed steps are numbered."""


class ServiceKeys(_Keys):
    """The container's first process, beside which the steps run."""

    run: Command | None = None
    """Instead of Entrypoint and Cmd; without run and args it is the image's own."""
    args: Arguments | None = None
    """Instead of Cmd."""
    ready: Command | None = None
    """A command in the container that exits 0 once the service is up; it is tried repeatedly."""
    timeout: Duration | None = None
    """How long it may take to be ready, 60s unless given."""
    watch: Duration | None = None
    """How long it must keep running once it is ready; it may end with status 0."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _one_command(self)
        return self


def _inside(target: str) -> str:
    path = PurePosixPath(target)
    if not path.is_absolute() or ".." in path.parts or path == PurePosixPath("/"):
        raise ValueError("expected an absolute path in the container, without ..")
    return str(path)


class MountKeys(_Keys):
    """A tmpfs, or a file that is copied in; nothing of the host is shared."""

    target: Annotated[str, AfterValidator(_inside)]
    """Absolute path in the container."""
    tmpfs: bool = False
    """An empty file system in memory."""
    content: Text | None = None
    """The text of a file."""
    source: str | None = None
    """A file or directory of the repository, relative to the scenario file."""
    mode: Mode | None = None
    """Octal permissions; else 0644, a source's own, or 1777 of a tmpfs."""
    size: Size | None = None
    """Size of a tmpfs."""
    read_only: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.tmpfs + (self.content is not None) + (self.source is not None) != 1:
            raise ValueError("needs exactly one of tmpfs, content, source")
        if self.size is not None and not self.tmpfs:
            raise ValueError("size is for a tmpfs only")
        return self


class KnownKeys(_Keys):
    """A difference that is known and accepted; what is left out matches anything."""

    kernels: Selection
    """Where it is known to occur: a selection expression as for --kernels."""
    reason: Annotated[str, Field(min_length=1)]
    """Why it is accepted; shown with the result."""
    syscall: str = ""
    errno: str = ""
    program: str = ""
    field: str = ""
    """What differs: verdict, exit, signal, stdout, stderr, messages, memory, time."""
    where: str = ""
    """The name of the step in which it does."""


class NormaliseKeys(_Keys):
    """A replacement in outputs before two of them are compared."""

    pattern: Pattern
    replacement: str


def _requirements(value: Any) -> Any:
    """Return a mapping of ``userns``, ``[userns, {cgroup: v2}]`` or ``{userns: true}``."""
    found: dict[str, str] = {}
    for part in value if isinstance(value, list) else [value]:
        for name, wanted in (part if isinstance(part, dict) else {str(part): True}).items():
            if name not in REQUIREMENTS:
                hint = did_you_mean(name, list(REQUIREMENTS))
                raise ValueError(f"unknown requirement {name!r}; {hint}")
            text = "true" if wanted is True else str(wanted)
            if text not in REQUIREMENTS[name]:
                raise ValueError(f"{name} takes {' or '.join(REQUIREMENTS[name])}, not {text!r}")
            found[name] = text
    return found


class _RequirementKeys(_Keys):
    """Shown in the JSON schema only."""

    userns: Literal[True] = True
    cgroup: Literal["v1", "v2"] = "v2"
    ia32: Literal[True] = True
    modules: Literal[True] = True


_RequirementName = Literal["userns", "ia32", "modules"]
Requirements = Annotated[
    dict[str, str],
    BeforeValidator(
        _requirements,
        json_schema_input_type=_RequirementName
        | list[_RequirementName | _RequirementKeys]
        | _RequirementKeys,
    ),
]


class ScenarioKeys(CommandKeys):
    """What to run in an image, how, and what to expect.

    A scenario of one step may carry the step's keys itself (run, args, stdin, expect, timeout).
    """

    image: Text | None = None
    """The image: a name of the catalog, or a reference (docker://, oci:, docker-archive:)."""
    images: Texts | None = None
    """Several images, instead of image: a cell of each."""
    why: str = ""
    """What the scenario is good for, in a sentence."""
    tags: Texts = ()
    kernels: Selection = ""
    """The kernels it applies to, as a selection expression; all without it."""
    requires: Requirements = Field(default_factory=dict)
    """What the apparatus must offer; probed before, missing means unsupported."""
    env: dict[str, Value] = Field(default_factory=dict)
    """Environment, added to the image's."""
    user: Text = ""
    """Name, number, user:group, or ``random``: a number that the image does not know."""
    workdir: str = ""
    mounts: list[MountKeys] = Field(default_factory=list)
    read_only: bool = False
    """The image's file system cannot be written."""
    memory: Size | None = None
    cpus: Annotated[float, Field(gt=0)] | None = None
    pids: Annotated[int, Field(gt=0)] | None = None
    ulimits: dict[LimitName, Limits] = Field(default_factory=dict)
    cap_add: Capabilities = ()
    cap_drop: Capabilities = ()
    userns: bool = False
    """In a user namespace of its own, root in it being nobody outside."""
    sysctls: dict[str, Value] = Field(default_factory=dict)
    shm_size: Size | None = None
    """Size of /dev/shm, 64M unless given."""
    hostname: str = ""
    entrypoint: Entrypoint | None = None
    """Instead of the image's Entrypoint; args or the image's Cmd follow it."""
    engine: Literal["podman", "docker"] | None = None
    seccomp: str = ""
    """``unconfined``, a profile's name, or a file relative to the scenario file."""
    service: ServiceKeys | None = None
    steps: Annotated[list[StepKeys], Field(min_length=1)] | None = None
    known: list[KnownKeys] = Field(default_factory=list)
    normalise: list[NormaliseKeys] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.image is None) == (self.images is None):
            raise ValueError("needs exactly one of image and images")
        own = [key for key in ("run", "args", "stdin", "expect") if getattr(self, key) is not None]
        if self.steps is not None and own:
            raise ValueError(f"{own[0]} belongs into a step: it cannot stand beside steps")
        steps = [self] if self.steps is None else self.steps
        if self.watched_only:
            return self
        if self.service and any(step.run is None and step.args is None for step in steps):
            raise ValueError(
                "beside a service each step needs run or args; without steps, say by service.watch "
                "how long it must keep running"
            )
        return self

    @property
    def watched_only(self) -> bool:
        """Whether a service that is watched is all there is to run."""
        watched = self.service is not None and self.service.watch is not None
        own = (self.run, self.args, self.stdin, self.expect, self.steps)
        return watched and own == (None,) * len(own)


class ScenarioFile(_Keys):
    """A file of scenarios. Keys that begin with ``x-`` are left alone, for YAML anchors."""

    scenarios: Annotated[dict[Name, ScenarioKeys], Field(min_length=1)]
    case: CaseKeys | None = None
    """The documented breakage that the file's one scenario shows."""
    images: dict[ImageName, ImageForm] = Field(default_factory=dict)
    """The images that a case brings along, as in a catalog of images."""

    @model_validator(mode="after")
    def _one_scenario_a_case(self) -> Self:
        if self.case is None:
            if self.images:
                raise ValueError("'images' go with 'case' only; others belong into the catalog")
            return self
        if len(self.scenarios) != 1 or any(one.image is None for one in self.scenarios.values()):
            raise ValueError("a case has one scenario, in one image")
        return self

    @model_validator(mode="before")
    @classmethod
    def _without_extras(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if not key.startswith("x-")}
