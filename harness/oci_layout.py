"""OCI image layouts on disk (image-spec v1.1: image-layout.md): read and checked, and written.

What comes from outside is not believed: sizes are bounded before anything is read, and every blob
is held against its descriptor.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ImageError
from harness.model.images import ImageConfig
from harness.oci_forms import (
    CONFIG,
    LAYER,
    MANIFEST,
    MANIFEST_LIMIT,
    Config,
    Descriptor,
    Index,
    Manifest,
    RunForm,
    check_config_type,
    check_platform,
    parse,
)
from harness.oci_limits import Limits, remedy
from harness.store import sha256_of

NAME = "image"
"""Tag of the one image in a layout of the store."""

_REF_NAME = "org.opencontainers.image.ref.name"
_CHUNK = 1 << 20
_GZIP = 1
"""A guest is handed plain layers anyway; level 6 takes three times as long for a sixth less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: its blob as it is stored, and the sha256 of its tar."""

    number: int
    """From 1, the lowest first."""
    media_type: str
    digest: str
    size: int
    diff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The image of a layout, checked but for the layers' content."""

    root: Path
    name: str
    """How messages call the image."""
    digest: str
    config_digest: str
    config: ImageConfig
    layers: tuple[Layer, ...]


def read(root: Path, name: str, *, limits: Limits | None = None) -> Layout:
    """Read a layout that holds one image, and check all but the layers' content.

    Raises:
        ImageError: a blob is missing or not what its descriptor says, the image has no config,
            is for another platform, or passes ``limits``.
    """
    what = f"image {name}"
    index = parse(_bounded(root / "index.json", what), Index, f"{what}: index.json")
    if len(index.manifests) != 1:
        raise ImageError(f"{what}: the layout holds {len(index.manifests)} images, not one")
    chosen = index.manifests[0]
    manifest = parse(_small(root, chosen, f"{what}: its manifest"), Manifest, f"{what}: manifest")
    check_config_type(manifest, name)
    raw = _small(root, manifest.config, f"{what}: its config")
    config = parse(raw, Config, f"{what}: config")
    check_platform(config.os, config.architecture, name)
    return Layout(
        root=root,
        name=name,
        digest=chosen.digest,
        config_digest=manifest.config.digest,
        config=_image_config(config.config or RunForm()),
        layers=_layers(root, manifest, config.rootfs.diff_ids, what, limits or Limits()),
    )


def _image_config(run: RunForm) -> ImageConfig:
    return ImageConfig(
        entrypoint=tuple(run.entrypoint or ()),
        cmd=tuple(run.cmd or ()),
        env=tuple(run.env or ()),
        user=run.user or "",
        workdir=run.workdir or "/",
        volumes=tuple(sorted(run.volumes or ())),
        stop_signal=run.stop_signal or "SIGTERM",
    )


def _layers(
    root: Path, manifest: Manifest, diff_ids: list[str], what: str, limits: Limits
) -> tuple[Layer, ...]:
    if len(manifest.layers) > limits.layers:
        raise ImageError(
            f"{what} has {len(manifest.layers)} layers, more than {limits.layers}: "
            f"{remedy('layers')}"
        )
    if len(manifest.layers) != len(diff_ids):
        raise ImageError(
            f"{what} has {len(manifest.layers)} layers, but its config speaks of {len(diff_ids)}"
        )
    layers = []
    for number, (found, diff_id) in enumerate(zip(manifest.layers, diff_ids, strict=True), 1):
        size = _size(blob_path(root, found.digest), f"{what}: layer {number} ({found.digest})")
        if size != found.size:
            raise ImageError(
                f"{what}: layer {number} ({found.digest}) is corrupt: {size} bytes instead of "
                f"{found.size}"
            )
        layers.append(
            Layer(
                number=number,
                media_type=found.media_type,
                digest=found.digest,
                size=found.size,
                diff_id=diff_id,
            )
        )
    return tuple(layers)


def blob_path(root: Path, digest: str) -> Path:
    """Return where a blob of a layout lies."""
    return root / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _size(path: Path, what: str) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ImageError(f"{what} is missing from the layout") from error


def _bounded(path: Path, what: str) -> bytes:
    _size(path, f"{what}: {path.name}")
    with path.open("rb") as file:
        return file.read(MANIFEST_LIMIT + 1)


def _small(root: Path, blob: Descriptor, what: str) -> bytes:
    data = _bounded(blob_path(root, blob.digest), what)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != blob.digest:
        raise ImageError(f"{what} is corrupt: its sha256 is not {blob.digest}")
    return data


def small_files(config: bytes, layers: list[dict[str, Any]]) -> dict[Path, bytes]:
    """Everything of a layout but its layers."""
    config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    manifest = _json(
        schemaVersion=2,
        mediaType=MANIFEST,
        config={"mediaType": CONFIG, "digest": config_digest, "size": len(config)},
        layers=layers,
    )
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    entry = {
        "mediaType": MANIFEST,
        "digest": digest,
        "size": len(manifest),
        "annotations": {_REF_NAME: NAME},
    }
    return {
        blob_path(Path(), config_digest): config,
        blob_path(Path(), digest): manifest,
        Path("index.json"): _json(schemaVersion=2, manifests=[entry]),
        Path("oci-layout"): _json(imageLayoutVersion="1.0.0"),
    }


def _json(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def write(root: Path, layer_tar: Path, config: ImageConfig, *, history: str) -> None:
    """Write a layout of one gzip layer, which is the tar at ``layer_tar``; reproducible."""
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    packed = blobs / "layer"
    with (
        layer_tar.open("rb") as plain,
        packed.open("wb") as out,
        gzip.GzipFile("", "wb", _GZIP, out, mtime=0) as zipped,
    ):
        while data := plain.read(_CHUNK):
            zipped.write(data)
    digest = f"sha256:{sha256_of(packed)}"
    packed.rename(blob_path(root, digest))
    layer = {
        "mediaType": f"{LAYER}+gzip",
        "digest": digest,
        "size": blob_path(root, digest).stat().st_size,
    }
    text = _json(
        architecture="amd64",
        os="linux",
        config=_run_config(config),
        rootfs={"type": "layers", "diff_ids": [f"sha256:{sha256_of(layer_tar)}"]},
        history=[{"created_by": history}],
    )
    for path, data in small_files(text, [layer]).items():
        (root / path).write_bytes(data)


def _run_config(config: ImageConfig) -> Mapping[str, Any]:
    fields = {
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "Env": list(config.env),
        "User": config.user,
        "WorkingDir": config.workdir,
        "Volumes": {volume: {} for volume in config.volumes},
        "StopSignal": config.stop_signal,
    }
    return {key: value for key, value in fields.items() if value}
