"""The JSON of OCI images as pydantic models (image-spec v1.1).

It comes from outside: bounded before it is parsed, and every problem is an :class:`ImageError`.
Of what repeats only the first problem is looked for, since only the first is told: an error for
each of a million wrong elements would take a gigabyte.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
)

from harness.errors import ImageError

MANIFEST_LIMIT = 4 << 20
"""Bytes of a manifest, an index or a config; registries allow no more either."""

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Model = TypeVar("Model", bound=BaseModel)

_TEXTS = TypeAdapter(dict[str, str], config=ConfigDict(strict=True))


def _texts(fields: dict[str, Any]) -> dict[str, str]:
    for name, value in fields.items():
        if not isinstance(value, str):
            _TEXTS.validate_python({name: value})
    return fields


_Texts = Annotated[dict[str, Any], AfterValidator(_texts)]
"""FailFast would do, but knows no dictionaries before pydantic 2.13."""
_Words = Annotated[list[str] | None, FailFast()]


class Form(BaseModel):
    """A JSON object. Fields that are not named are let through: the specification asks for that."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Platform(Form):
    """The platform of an index's entry."""

    os: str = ""
    architecture: str = ""
    variant: str = ""


class Descriptor(Form):
    """A pointer to a blob."""

    media_type: str = Field(alias="mediaType", default="", max_length=255)
    digest: Digest
    size: int = Field(ge=0, le=1 << 40)
    platform: Platform | None = None
    annotations: _Texts | None = None


class Manifest(Form):
    """An image manifest, of OCI's kind or Docker's schema 2."""

    media_type: str = Field(alias="mediaType", default="")
    config: Descriptor
    layers: Annotated[tuple[Descriptor, ...], FailFast()] = Field(strict=False)


class Index(Form):
    """An image index, of OCI's kind or Docker's manifest list."""

    media_type: str = Field(alias="mediaType", default="")
    manifests: Annotated[tuple[Descriptor, ...], FailFast()] = Field(strict=False)


class Shape(Form):
    """What tells a manifest from an index."""

    schema_version: int = Field(alias="schemaVersion", default=0)
    manifests: Any = None
    config: Any = None


class RunForm(Form):
    """How to run the image, as its config says."""

    entrypoint: _Words = Field(alias="Entrypoint", default=None)
    cmd: _Words = Field(alias="Cmd", default=None)
    env: _Words = Field(alias="Env", default=None)
    user: str | None = Field(alias="User", default=None)
    workdir: str | None = Field(alias="WorkingDir", default=None)
    volumes: dict[str, Any] | None = Field(alias="Volumes", default=None)
    stop_signal: str | None = Field(alias="StopSignal", default=None)


class RootFs(Form):
    """The layers' tars, the lowest first."""

    diff_ids: Annotated[list[Digest], FailFast()]


class Config(Form):
    """An image's config; its ``config`` part may be left out."""

    architecture: str
    os: str
    config: RunForm | None = None
    rootfs: RootFs


def parse(data: bytes, model: type[Model], what: str) -> Model:
    """Return the JSON in ``data`` as ``model``.

    Raises:
        ImageError: it is too large, no JSON, or of another form; the text begins with ``what``.
    """
    if len(data) > MANIFEST_LIMIT:
        raise ImageError(f"{what} is larger than {MANIFEST_LIMIT >> 20} MiB")
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ImageError(f"{what} is malformed: {where or 'JSON'}: {first['msg']}") from error


def check_config_type(manifest: Manifest, name: str) -> None:
    """Refuse what is no container image but another artefact in a registry's clothes.

    Raises:
        ImageError: the config is of another type than an image's.
    """
    kind = manifest.config.media_type
    if kind not in (CONFIG, "application/vnd.docker.container.image.v1+json"):
        raise ImageError(
            f"image {name} has no image config but a {kind or 'config without a type'}: it is not "
            "an image that can be run"
        )


def check_platform(system: str, architecture: str, name: str) -> None:
    """Refuse an image for another machine.

    Raises:
        ImageError: the platform is not linux/amd64.
    """
    if (system, architecture) != ("linux", "amd64"):
        raise ImageError(
            f"image {name} is for {system or '?'}/{architecture or '?'}: only linux/amd64 runs here"
        )
