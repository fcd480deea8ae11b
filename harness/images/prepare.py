"""The one road from a catalog entry to an image that a guest can run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness import oci, oci_layout
from harness.images import recipe
from harness.images.catalog import ImageEntry, Recipe
from harness.images.disk import DISK_FORMAT, BuildGuest, build_disk
from harness.model.images import Image
from harness.oci import Reference, Resolved
from harness.oci_layout import Layout
from harness.oci_limits import Limits
from harness.packages.download import Fetcher
from harness.progress import Progress
from harness.store import Store, digest_of

LAYOUTS = "layouts"
DISKS = "disks"

FACTS = "image.json"
DISK = f"disk.{DISK_FORMAT}"
INDEX = "layout/index.json"

_LAYOUT = "layout"
_DISK_VERSION = 1
"""To be raised whenever the same layout becomes another disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What images are made with. ``keyring`` is what Debian's archive is checked against."""

    store: Store
    fetcher: Fetcher
    keyring: Path
    progress: Progress
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An image's layout in the store."""

    digest: str
    """The image's identity: its manifest's where it came from, before conversion to OCI."""
    layout: Layout


def prepare(entry: ImageEntry, *, workshop: Workshop, build_guest: BuildGuest) -> Image:
    """Return an image ready for a guest, made when the store lacks it.

    Raises:
        UnavailableError: a registry or mirror does not serve it at the moment.
        ImageError: it cannot be used.
        ToolError: a program of this machine is missing or failed.
        GuestError: the guest that was to unpack it was lost.
    """
    stored = obtain(entry, workshop=workshop)
    store, layout = workshop.store, stored.layout

    def make(into: Path) -> None:
        workshop.progress.say(f"image {entry.name}: unpacking in a guest")
        slot = build_disk(
            layout, into / DISK, store=store, build_guest=build_guest, limits=workshop.limits
        )
        (into / FACTS).write_text(json.dumps({"slot": slot}))

    made = store.make(
        DISKS, digest_of("disk", _DISK_VERSION, layout.digest), f"disk of image {entry.name}", make
    )
    facts = json.loads((made / FACTS).read_text())
    return Image(
        name=entry.name,
        ref=_ref(entry),
        digest=stored.digest,
        disk=made / DISK,
        slot=facts["slot"],
        config=layout.config,
    )


def obtain(entry: ImageEntry, *, workshop: Workshop) -> Stored:
    """Return an image's layout, brought into the store when it is not there.

    A locked image that is in the store is taken from there without asking its registry.

    Raises:
        UnavailableError, ImageError, ToolError: as for :func:`prepare`.
    """
    if isinstance(entry.source, Recipe):
        return _built(entry.name, entry.source, workshop)
    return _pulled(entry.name, entry.source, entry.locked, workshop)


def refresh(entry: ImageEntry, *, workshop: Workshop) -> Stored:
    """Build a recipe's image anew from what the suite has now.

    Raises:
        UnavailableError, ImageError, ToolError: as for :func:`prepare`; the old one is gone then.
    """
    if isinstance(entry.source, Recipe):
        workshop.store.drop(LAYOUTS, recipe.key(entry.source))
    return obtain(entry, workshop=workshop)


def _built(name: str, source: Recipe, workshop: Workshop) -> Stored:
    def make(into: Path) -> None:
        recipe.build(
            source,
            into / _LAYOUT,
            name=name,
            store=workshop.store,
            fetcher=workshop.fetcher,
            keyring=workshop.keyring,
            progress=workshop.progress,
        )
        layout = oci_layout.read(into / _LAYOUT, name, limits=workshop.limits)
        (into / FACTS).write_text(json.dumps({"digest": layout.digest}))

    return _stored(recipe.key(source), name, make, workshop)


def _pulled(name: str, source: Reference, locked: str, workshop: Workshop) -> Stored:
    found: Resolved | None = None
    wanted = locked or source.digest
    if not wanted or workshop.store.find(LAYOUTS, _key(wanted)) is None:
        found = oci.resolve(oci.pinned(source, locked) if locked else source)
        wanted = found.digest

    def make(into: Path) -> None:
        now = found or oci.resolve(oci.pinned(source, wanted))
        workshop.progress.say(f"image {name}: copying {now.source}")
        oci.pull(now.source, into / _LAYOUT)
        oci_layout.read(into / _LAYOUT, name, limits=workshop.limits)
        (into / FACTS).write_text(json.dumps({"digest": now.manifest}))

    return _stored(_key(wanted), name, make, workshop)


def _key(digest: str) -> str:
    return digest.replace(":", "-")


def _stored(key: str, name: str, make: Callable[[Path], None], workshop: Workshop) -> Stored:
    entry = workshop.store.make(LAYOUTS, key, f"image {name}", make)
    facts = json.loads((entry / FACTS).read_text())
    layout = oci_layout.read(entry / _LAYOUT, name, limits=workshop.limits)
    return Stored(digest=facts["digest"], layout=layout)


def _ref(entry: ImageEntry) -> str:
    if isinstance(entry.source, Recipe):
        return f"debian:{entry.source.suite}"
    return str(oci.pinned(entry.source, entry.locked) if entry.locked else entry.source)
