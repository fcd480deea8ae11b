"""Images, and what their configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The run-time part of an OCI image's config (image-spec, config.md)."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""
    workdir: str = "/"
    volumes: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image ready for a guest: its disk in the store and what its config says."""

    name: str
    ref: str
    digest: str
    """Manifest digest: the image's identity."""
    disk: Path
    slot: int
    """Virtual size of the disk in bytes: one of a few slot sizes."""
    config: ImageConfig
