"""Layouts in the store: what is asked of a registry, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from ociimages import Builder, Registry, running_registry

from harness import oci
from harness.errors import ImageError, UnavailableError
from harness.images import prepare
from harness.images.catalog import ImageEntry
from harness.images.prepare import Workshop
from harness.oci_limits import Limits
from harness.packages.download import Fetcher
from harness.progress import Silent

Layers = tuple[tuple[bytes, str], ...]


@pytest.fixture
def workshop(fetcher: Fetcher, tmp_path: Path) -> Workshop:
    return Workshop(
        store=fetcher.store, fetcher=fetcher, keyring=tmp_path / "none", progress=Silent()
    )


def entry(text: str, tmp_path: Path, locked: str = "") -> ImageEntry:
    return ImageEntry(name="app", source=oci.reference(text, base=tmp_path), locked=locked)


def test_a_locked_image_in_the_store_needs_no_registry(
    builder: Builder, whiteouts: Layers, workshop: Workshop, tmp_path: Path
) -> None:
    made = builder.image(whiteouts)
    (tmp_path / "registry").mkdir()
    with running_registry(tmp_path / "registry") as registry:
        text = registry.push(builder.tag(made), "app:1")
        first = prepare.obtain(entry(text, tmp_path, made["digest"]), workshop=workshop)
    assert first.digest == made["digest"]
    again = prepare.obtain(entry(text, tmp_path, made["digest"]), workshop=workshop)
    assert again == first
    with pytest.raises(UnavailableError):
        prepare.obtain(entry(text, tmp_path), workshop=workshop)


def test_a_lock_holds_though_the_tag_has_moved(
    builder: Builder, registry: Registry, whiteouts: Layers, workshop: Workshop, tmp_path: Path
) -> None:
    old = builder.image(whiteouts[:1])
    registry.push(builder.tag(old, "old"), "moved:1")
    text = registry.push(builder.tag(builder.image(whiteouts), "new"), "moved:1")
    stored = prepare.obtain(entry(text, tmp_path, old["digest"]), workshop=workshop)
    assert stored.digest == old["digest"]
    assert len(stored.layout.layers) == 1


def test_an_index_is_stored_under_the_identity_of_its_amd64_image(
    builder: Builder, whiteouts: Layers, workshop: Workshop, tmp_path: Path
) -> None:
    amd64, arm64 = builder.image(whiteouts), builder.image(whiteouts[:1], architecture="arm64")
    index = builder.index((arm64, "linux/arm64"), (amd64, "linux/amd64"))
    stored = prepare.obtain(entry(builder.tag(index), tmp_path), workshop=workshop)
    assert stored.digest == stored.layout.digest == amd64["digest"]


def test_an_image_that_cannot_be_used_leaves_nothing_in_the_store(
    builder: Builder, whiteouts: Layers, fetcher: Fetcher, tmp_path: Path
) -> None:
    workshop = Workshop(
        store=fetcher.store,
        fetcher=fetcher,
        keyring=tmp_path / "none",
        progress=Silent(),
        limits=Limits(layers=1),
    )
    text = builder.tag(builder.image(whiteouts))
    with pytest.raises(ImageError, match="image app has 2 layers, more than 1"):
        prepare.obtain(entry(text, tmp_path), workshop=workshop)
    assert fetcher.store.entries() == []
