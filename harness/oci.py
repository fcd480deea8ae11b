"""Images from registries, layouts and archives, brought in by skopeo.

A reference is ``docker://REGISTRY/REPOSITORY[:TAG][@DIGEST]``, ``oci:DIR[:TAG]`` or
``docker-archive:FILE[:TAG]``. Who may read a registry is skopeo's matter: its own auth file
(``skopeo login``, ``REGISTRY_AUTH_FILE``; containers-auth.json(5)).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from harness import process
from harness.errors import HarnessError, ImageError, ToolError, UnavailableError, UsageError
from harness.homes import expanded
from harness.oci_forms import (
    Descriptor,
    Index,
    Manifest,
    Shape,
    check_config_type,
    parse,
)
from harness.oci_layout import NAME

INSPECT_LIMIT = 120.0
"""Seconds for a manifest."""

COPY_LIMIT = 1800.0
"""Seconds for a whole image."""

_PLATFORM = ("--override-os", "linux", "--override-arch", "amd64")
_LOOPBACK = re.compile(r"(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d+)?")
_DOCKER = re.compile(
    r"(?P<name>(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(:\d+(?=/))?(/[a-z0-9._-]+)*)"
    r"(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_VARIANTS = ("", "v1", "v2", "v3")
"""amd64's levels, the most portable first."""


class Transport(StrEnum):
    """The part of a reference before its first colon; see containers-transports(5)."""

    DOCKER = "docker"
    OCI = "oci"
    DOCKER_ARCHIVE = "docker-archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where an image comes from. ``place`` is a repository, a directory or a file."""

    transport: Transport
    place: str
    tag: str = ""
    digest: str = ""
    insecure: bool = False
    """Speak to the registry without TLS, or with a certificate nobody vouches for."""

    def __str__(self) -> str:
        tail = (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")
        slashes = "//" if self.transport is Transport.DOCKER else ""
        return f"{self.transport}:{slashes}{self.place}{tail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a reference stands for at the moment."""

    digest: str
    """Of what it names: a manifest, or an index of several platforms'; to be locked."""
    manifest: str
    """Of the manifest for linux/amd64: the image's identity."""
    source: Reference
    """Where exactly that is copied from."""


def reference(text: str, *, base: Path, insecure: bool = False) -> Reference:
    """Parse a reference; relative paths are below ``base``.

    Raises:
        UsageError: it is not one of the three forms.
    """
    transport, colon, rest = text.partition(":")
    if transport == Transport.DOCKER and rest.startswith("//"):
        found = _DOCKER.fullmatch(rest.removeprefix("//"))
        if found is not None:
            return Reference(
                transport=Transport.DOCKER,
                place=found["name"],
                tag=found["tag"] or "",
                digest=found["digest"] or "",
                insecure=insecure or _is_loopback(found["name"]),
            )
    elif colon and rest and transport in (Transport.OCI, Transport.DOCKER_ARCHIVE):
        place, _, tag = rest.partition(":")
        if place and text.isprintable():
            try:
                path = (base / expanded(place)).resolve()
            except (OSError, RuntimeError) as error:  # links in a circle, a name that is too long
                raise UsageError(f"image {text!r}: {place} is no path: {error}") from error
            if ":" in str(path):
                raise UsageError(
                    f"image {text!r}: skopeo takes no path with a colon, as {path} has"
                )
            return Reference(transport=Transport(transport), place=str(path), tag=tag)
    raise UsageError(
        f"image {text!r} is no reference: write docker://REGISTRY/REPOSITORY[:TAG][@DIGEST], "
        "oci:DIR[:TAG] or docker-archive:FILE[:TAG]"
    )


def _is_loopback(place: str) -> bool:
    return _LOOPBACK.fullmatch(place.partition("/")[0]) is not None


def pinned(ref: Reference, digest: str) -> Reference:
    """Return the reference to exactly ``digest``; only a registry can be asked that way."""
    if ref.transport is not Transport.DOCKER:
        return ref
    return Reference(transport=ref.transport, place=ref.place, digest=digest, insecure=ref.insecure)


def resolve(ref: Reference) -> Resolved:
    """Ask what ``ref`` stands for, and choose linux/amd64 where it names several platforms.

    Raises:
        UnavailableError: the registry is out of reach, or wants to know who asks.
        ImageError: there is no such image, it has no config, or none for linux/amd64.
        ToolError: skopeo is missing.
    """
    raw = _skopeo(("inspect", "--raw", *_tls(ref, "--tls-verify"), str(ref)), ref, INSPECT_LIMIT)
    # docker's schema 1 and skopeo's own indentation aside, a manifest's digest is its bytes'
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    if ref.digest and ref.digest != digest:
        raise ImageError(f"image {ref}: the registry gave {digest} instead")
    shape = parse(raw, Shape, f"image {ref}: its manifest")
    if shape.manifests is not None:
        child = _choose(parse(raw, Index, f"image {ref}: its index"), ref)
        return Resolved(digest=digest, manifest=child, source=pinned(ref, child))
    if shape.config is not None:
        check_config_type(parse(raw, Manifest, f"image {ref}: its manifest"), str(ref))
    elif shape.schema_version != 1:
        raise ImageError(f"image {ref} has no image config: it is not an image that can be run")
    return Resolved(digest=digest, manifest=digest, source=pinned(ref, digest))


def _choose(index: Index, ref: Reference) -> str:
    fitting: dict[str, Descriptor] = {}
    for entry in index.manifests:
        platform = entry.platform
        if platform and (platform.os, platform.architecture) == ("linux", "amd64"):
            fitting.setdefault(platform.variant, entry)
    for variant in _VARIANTS:
        if variant in fitting:
            return fitting[variant].digest
    there = sorted({_platform(entry) for entry in index.manifests} - {"unknown/unknown"})
    raise ImageError(
        f"image {ref} is not there for linux/amd64, only for {', '.join(there) or 'nothing'}"
    )


def _platform(entry: Descriptor) -> str:
    if entry.platform is None:
        return "unknown/unknown"
    parts = (entry.platform.os, entry.platform.architecture, entry.platform.variant)
    return "/".join(filter(None, parts))


def pull(source: Reference, layout: Path, *, limit: float = COPY_LIMIT) -> None:
    """Copy one image into a new OCI layout; Docker's manifests become OCI's on the way.

    Raises:
        UnavailableError, ImageError, ToolError: as for :func:`resolve`.
    """
    words = (
        "copy",
        "--quiet",
        "--format=oci",
        "--dest-oci-accept-uncompressed-layers",
        "--remove-signatures",
        *_tls(source, "--src-tls-verify"),
        str(source),
        f"oci:{layout}:{NAME}",
    )
    _skopeo(words, source, limit)


def push(layout: Path, target: Reference, *, limit: float = COPY_LIMIT) -> None:
    """Copy the one image of a layout to ``target`` as it is.

    Raises:
        UnavailableError, ImageError, ToolError: as for :func:`resolve`.
    """
    words = ("copy", "--quiet", *_tls(target, "--dest-tls-verify"), f"oci:{layout}", str(target))
    _skopeo(words, target, limit)


def _tls(ref: Reference, option: str) -> Sequence[str]:
    return (f"{option}=false",) if ref.insecure else ()


def _skopeo(words: Sequence[str], ref: Reference, limit: float) -> bytes:
    skopeo = process.find("skopeo", "skopeo")
    done = process.run((skopeo, *_PLATFORM, *words), limit=limit, check=False)
    if done.status != 0:
        raise _translated(done.stderr.decode(errors="backslashreplace"), ref)
    return done.stdout


_MEANINGS: tuple[tuple[str, type[HarnessError], str], ...] = (
    (
        r"unauthorized|authentication required|no basic auth|denied",
        UnavailableError,
        "the registry wants to know who asks, or lets this user not in: `skopeo login REGISTRY`, "
        "or set REGISTRY_AUTH_FILE",
    ),
    (
        r"manifest unknown|name unknown|repository name not known|no descriptor found"
        r"|reading manifest .* not found|no such file or directory|Tag \S+ not found|not found in",
        ImageError,
        "there is no such image",
    ),
    (
        r"more than one image",
        ImageError,
        "it holds several images: add :TAG to say which",
    ),
    (
        r"server gave HTTP response to HTTPS client",
        UnavailableError,
        "the registry speaks no TLS; where that is meant, say `insecure: true` in the catalog",
    ),
    (
        r"certificate",
        UnavailableError,
        "the registry's certificate is not trusted",
    ),
    (
        r"pinging container registry|dial tcp|no such host|i/o timeout|connection re|EOF"
        r"|received unexpected HTTP status: 5|deadline exceeded|toomanyrequests",
        UnavailableError,
        "the registry cannot be reached",
    ),
    (
        r"no space left on device",
        ToolError,
        "no space left: free some room, or set HARNESS_STORE (and TMPDIR) to another disk",
    ),
    (
        r"no image found in",
        ImageError,
        "it is not there for linux/amd64",
    ),
    (
        r"[Dd]igest|invalid checksum|unsupported|[Ii]nvalid|pars|unmarshal|does not match|mismatch"
        r"|unexpected|gzip|zstd",
        ImageError,
        "the image is malformed or corrupt",
    ),
)
"""What skopeo says (its texts come from containers/image), and what that means here; in order."""


def _translated(stderr: str, ref: Reference) -> HarnessError:
    found = re.findall(r'level=fatal msg="((?:[^"\\]|\\.)*)"', stderr)
    said = (found[-1] if found else stderr.strip()).replace('\\"', '"').replace("\n", " ")[:600]
    for pattern, kind, meaning in _MEANINGS:
        if re.search(pattern, said):
            return kind(f"image {ref}: {meaning} (skopeo: {said})")
    return ToolError(f"image {ref}: skopeo failed: {said}")
