"""The keys of a case of documented breakage, beside those of its scenario."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from harness.scenarios import values

KINDS = (
    "profile",
    "missing call",
    "newer kernel",
    "old userland",
    "cgroup",
    "setting",
    "errno",
    "output",
    "entropy",
)
"""What kinds of breakage there are, in the order in which a score lists them."""

_REFERENCE = r"^([\w.-]+/[\w.-]+#\d+|https://\S+)$"


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"takes one of {', '.join(KINDS)}")
    return text


def _reference(text: str) -> str:
    if not re.search(_REFERENCE, text):
        raise ValueError("takes OWNER/REPOSITORY#NUMBER or an address that begins with https://")
    return text


Kind = Annotated[str, AfterValidator(_kind), Field(json_schema_extra={"enum": list(KINDS)})]
Pattern = Annotated[str, AfterValidator(values.pattern)]
Texts = Annotated[
    tuple[str, ...], BeforeValidator(values.one_or_more, json_schema_input_type=str | list[str])
]
Reference = Annotated[str, AfterValidator(_reference)]
References = Annotated[
    tuple[Reference, ...],
    BeforeValidator(values.one_or_more, json_schema_input_type=str | list[str]),
    Field(min_length=1),
]
Errno = Annotated[str, Field(pattern=r"^E[A-Z0-9]+$")]
OriginName = Literal["seccomp", "kernel", "other"]


class _Keys(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class HostsKeys(_Keys):
    """What the case does on some hosts."""

    on: Annotated[Texts, Field(min_length=1)]
    """The hosts, by their names in the catalog of kernels."""
    effect: Literal["breaks", "degrades", "works"]
    """``breaks``: the scenario fails; ``degrades``: it passes by another way; ``works``."""
    cause: str = ""
    """The cause that must be named, out of causes.yaml."""
    names: Texts = ()
    """What its explanation must say: a sysctl, a word of the command line."""
    syscall: str = ""
    """The system call that fails."""
    errno: Errno | Literal[""] = ""
    origin: OriginName | Literal[""] = ""
    """Who refuses it: ``seccomp``, ``kernel``, or ``other`` for a call that exists."""
    output: Pattern | Literal[""] = ""
    """A regular expression that the program's output holds there."""
    message: Pattern | Literal[""] = ""
    """A regular expression that the kernel's messages hold there."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        told = (self.syscall, self.errno, self.origin, self.output, self.message)
        if self.effect == "works":
            if any((self.cause, self.names, *told)):
                raise ValueError("where it works there is no cause, and nothing to show for it")
            return self
        if not self.cause:
            raise ValueError(f"needs a cause: {self.effect} says that there is one")
        if not any(told):
            raise ValueError("needs one of syscall, errno, origin, output, message to be told by")
        return self


class CaseKeys(_Keys):
    """A documented breakage: the file's one scenario shows it."""

    kind: Kind
    reference: References
    """Where it is documented: OWNER/REPOSITORY#NUMBER or addresses."""
    hosts: Annotated[list[HostsKeys], Field(min_length=1)]

    @model_validator(mode="after")
    def _tells_apart(self) -> Self:
        effects = {each.effect for each in self.hosts}
        if effects == {"works"} or "works" not in effects:
            raise ValueError("needs hosts where it shows, and hosts where it works")
        names = [name for each in self.hosts for name in each.on]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names the host {twice[0]} twice")
        return self
