"""The form of ``catalog.yaml`` and ``tools.yaml``, as pydantic models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic

from harness import oci
from harness.homes import expanded
from harness.model.hosts import AptSource, Cgroup, Engine, LocalSource, OciSource, RpmSource, Source
from harness.yamlfile import Text

ALTERNATIVE = "alternative"
"""Tag of an entry that ``all`` and comparisons leave out."""

_NAME = r"^[A-Za-z0-9]([._-]?[A-Za-z0-9]|--)*$"
"""Never two dots in a row: that is a range."""
_BASE = r"^(https?|file)://\S*[^\s/]$"
_RELEASE = r"^\d+\.\d+$"

Name = Annotated[Text, pydantic.StringConstraints(pattern=_NAME)]
Base = Annotated[Text, pydantic.StringConstraints(pattern=_BASE)]
Bases = Annotated[tuple[Base, ...], pydantic.Field(min_length=1)]
Words = tuple[Text, ...]
AtLeastOne = Annotated[Words, pydantic.Field(min_length=1)]


class Form(pydantic.BaseModel):
    """A mapping whose keys are all known."""

    model_config = pydantic.ConfigDict(extra="forbid")


class AptForm(Form):
    """``type: apt``."""

    type: Literal["apt"]
    bases: Bases
    suite: Text
    components: AtLeastOne = ("main",)
    keyring: Name = "debian"
    accept_expired: bool = False

    def source(self, _directory: Path) -> AptSource:
        """Return the plain source."""
        return AptSource(
            bases=self.bases,
            suite=self.suite,
            components=self.components,
            keyring=self.keyring,
            accept_expired=self.accept_expired,
        )


class RpmForm(Form):
    """``type: rpm``."""

    type: Literal["rpm"]
    bases: Bases
    packages: AtLeastOne
    keys: AtLeastOne
    signed_metadata: bool = True

    def source(self, _directory: Path) -> RpmSource:
        """Return the plain source."""
        return RpmSource(
            bases=self.bases,
            packages=self.packages,
            keys=self.keys,
            signed_metadata=self.signed_metadata,
        )


class LocalForm(Form):
    """``type: local``; paths are relative to the catalog's directory."""

    type: Literal["local"]
    image: Text
    modules: Text | None = None

    def source(self, directory: Path) -> LocalSource:
        """Return the plain source."""
        modules = None if self.modules is None else directory / expanded(self.modules)
        return LocalSource(image=directory / expanded(self.image), modules=modules)


class OciForm(Form):
    """``type: oci``."""

    type: Literal["oci"]
    ref: Text

    def source(self, directory: Path) -> OciSource:
        """Return the plain source; paths are relative to the catalog's directory.

        Raises:
            UsageError: the reference is none.
        """
        return OciSource(ref=str(oci.reference(self.ref, base=directory)))


SourceForm = Annotated[
    AptForm | RpmForm | LocalForm | OciForm, pydantic.Field(discriminator="type")
]


class Settings(Form):
    """What an entry may set besides its source, and ``defaults:`` for all of them."""

    flavour: Name | None = None
    memory: Annotated[int, pydantic.Field(ge=128, le=1 << 20)] | None = None
    cpus: Annotated[int, pydantic.Field(ge=1, le=255)] | None = None
    cpu: Text | None = None
    cmdline: Text | None = None
    cgroup: Cgroup | None = None
    engine: Engine | None = None
    seccomp: Text | None = None
    sysctl: dict[str, Text] | None = None
    drill: Annotated[Text, pydantic.StringConstraints(pattern=_RELEASE)] | None = None


class KernelForm(Settings):
    """One entry of the catalog; what it leaves out is an earlier catalog's, or the defaults'."""

    source: SourceForm | None = None
    aliases: tuple[Name, ...] | None = None
    tags: tuple[Name, ...] | None = None


class CatalogForm(Form):
    """``catalog.yaml``."""

    defaults: Settings = Settings()
    sources: dict[str, object] = {}
    """Nothing reads it: a place for anchors that entries share."""
    kernels: dict[Name, KernelForm] = {}


class MirrorsForm(Form):
    """``mirrors.yaml``: what is fetched from elsewhere, by the beginning of its URL."""

    mirrors: dict[Base, Base] = {}


class ToolSetForm(Form):
    """One set of ``tools.yaml``."""

    source: Name
    packages: AtLeastOne
    architecture: Name = "amd64"
    depends: bool = True
    without: dict[str, Text] = {}
    only: Words = ()


class ToolsForm(Form):
    """``tools.yaml``."""

    sources: dict[Name, AptForm]
    sets: dict[Name, ToolSetForm]


def describe(source: Source, flavour: str = "") -> str:
    """Return a source in a line, for locks, lists and messages."""
    match source:
        case AptSource():
            return f"apt {source.suite} {' '.join(source.components)} {flavour}".strip()
        case RpmSource():
            return f"rpm {source.bases[0]} {' '.join(source.packages)}"
        case LocalSource():
            modules = f" with {source.modules}" if source.modules else ""
            return f"local {source.image}{modules}"
        case OciSource():
            return f"oci {source.ref}"
