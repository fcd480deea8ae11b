"""The form of ``images/catalog.yaml`` and ``images/images.lock.yaml``, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from harness.model.images import ImageConfig
from harness.oci_forms import Digest
from harness.yamlfile import Text

Name = Annotated[Text, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Package = Annotated[
    Text, pydantic.StringConstraints(pattern=r"^[a-z0-9][a-z0-9.+-]+(:[a-z0-9]+)?$")
]
"""Debian Policy 5.6.1; an architecture may follow."""

Suite = Annotated[Text, pydantic.StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
Component = Annotated[Text, pydantic.StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
AbsolutePath = Annotated[
    Text, pydantic.StringConstraints(pattern=r"^(/(?!\.{1,2}(/|$))[^/\x00-\x1f]+)+$")
]
Pattern = Annotated[Text, pydantic.StringConstraints(pattern=r"^/[^\x00-\x1f]*$")]
Signal = Annotated[Text, pydantic.StringConstraints(pattern=r"^(SIG[A-Z0-9+-]+|[0-9]+)$")]
Variable = Annotated[Text, pydantic.StringConstraints(pattern=r"^[^=\x00]+$")]
Words = tuple[Text, ...]


class Form(pydantic.BaseModel):
    """A mapping whose keys are all known."""

    model_config = pydantic.ConfigDict(extra="forbid", regex_engine="python-re")


class DebianForm(Form):
    """``debian:``, what mmdebstrap is told."""

    suite: Suite
    components: Annotated[tuple[Component, ...], pydantic.Field(min_length=1)] = ("main",)
    packages: tuple[Package, ...] = ()
    foreign: tuple[Literal["i386"], ...] = ()
    exclude: tuple[Pattern, ...] = ()


def _mode(value: object) -> object:
    """Take a mode as people write it: 0755, "0755" or 0o755."""
    text = str(getattr(value, "text", value)).lower().removeprefix("0o")
    try:
        return int(text, 8)
    except ValueError as error:
        raise ValueError("a file mode in octal, such as 0755") from error


class FileForm(Form):
    """One entry of ``files:``."""

    content: Text = ""
    mode: Annotated[int, pydantic.BeforeValidator(_mode, json_schema_input_type=str | int)] = (
        pydantic.Field(default=0o644, ge=0, le=0o7777)
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _text_alone(cls, value: object) -> object:
        return {"content": value} if isinstance(value, str) else value


class ConfigForm(Form):
    """``config:``, by the names that OCI has, in small letters."""

    entrypoint: Words = ()
    cmd: Words = ()
    env: dict[Variable, Text] = {}
    user: Text = ""
    workdir: AbsolutePath | None = None
    volumes: tuple[AbsolutePath, ...] = ()
    stop_signal: Signal = "SIGTERM"

    def plain(self) -> ImageConfig:
        """Return it as plain data."""
        return ImageConfig(
            entrypoint=self.entrypoint,
            cmd=self.cmd,
            env=tuple(f"{name}={value}" for name, value in self.env.items()),
            user=self.user,
            workdir=self.workdir or "/",
            volumes=self.volumes,
            stop_signal=self.stop_signal,
        )


class ImageForm(Form):
    """One entry of the catalog: a reference or a recipe."""

    ref: Text | None = None
    insecure: bool = False
    debian: DebianForm | None = None
    files: dict[AbsolutePath, FileForm] = {}
    config: ConfigForm | None = None


class CatalogForm(Form):
    """``catalog.yaml``."""

    images: dict[Name, ImageForm] = {}


class LockedForm(Form):
    """What a reference stood for when it was locked."""

    ref: Text
    digest: Digest


class LockForm(Form):
    """``images.lock.yaml``."""

    images: dict[Name, LockedForm] = {}
