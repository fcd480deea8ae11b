from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import archive
from harness.errors import VerificationError
from harness.kernels import layout
from harness.store import Store

IMAGE = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"
RECIPE = "0" * 32

Build = Callable[[Path], None]


def kernel(into: Path) -> None:
    (into / "vmlinuz").write_bytes(b"kernel")
    (into / "lib/modules/5.0").mkdir(parents=True)
    (into / "lib/modules/5.0/a.ko").write_bytes(b"module")
    layout.seal(into)


def image(said: object, *own: str) -> Build:
    def build(into: Path) -> None:
        (into / "image.json").write_text(json.dumps({"digest": said}))
        (into / "layout").mkdir()
        manifests = [{"digest": digest, "size": 1} for digest in own]
        (into / "layout" / "index.json").write_text(json.dumps({"manifests": manifests}))

    return build


def disk(facts: object, *, version: int = 3, backing: int = 0, features: int = 0) -> Build:
    def build(into: Path) -> None:
        (into / "image.json").write_text(json.dumps(facts))
        head = struct.pack(">4sIQ56xQ24x", b"QFI\xfb", version, backing, features)
        (into / "disk.qcow2").write_bytes(head)

    return build


def after(build: Build, change: Callable[[Path], object]) -> Build:
    def both(into: Path) -> None:
        build(into)
        change(into)

    return both


def without(build: Build, name: str) -> Build:
    return after(build, lambda into: (into / name).unlink())


def named(digest: str) -> str:
    return digest.replace(":", "-")


def carry(tmp_path: Path, store: Store, kind: str, key: str, build: Build) -> None:
    source, out = Store(tmp_path / "source"), io.BytesIO()
    source.make("tools", "first", "", lambda into: (into / "root").mkdir())
    source.make(kind, key, "", build)
    archive.pack(source, sorted(source.entries(), key=lambda entry: entry.kind != "tools"), out)
    archive.unpack(store, io.BytesIO(out.getvalue()))


@pytest.mark.parametrize(
    ("kind", "key", "build"),
    [
        ("kernels", "k", kernel),
        ("layouts", RECIPE, image(IMAGE, IMAGE)),
        ("layouts", named(IMAGE), image(IMAGE, IMAGE)),
        ("layouts", named(OTHER), image(IMAGE, IMAGE)),  # an index's
        ("layouts", named(IMAGE), image(IMAGE, OTHER)),  # Docker's, converted
        ("disks", "d", disk({"slot": 1 << 30})),
        ("disks", "d", disk({"slot": 1 << 30}, features=3)),
        ("disks", "d", disk({"slot": 1 << 30}, version=2, features=4)),  # a table of version 2
    ],
)
def test_what_is_as_the_harness_makes_it_arrives(
    tmp_path: Path, store: Store, kind: str, key: str, build: Build
) -> None:
    carry(tmp_path, store, kind, key, build)
    assert [entry.key for entry in store.entries() if entry.kind == kind] == [key]


@pytest.mark.parametrize(
    ("kind", "key", "build", "why"),
    [
        ("kernels", "k", without(kernel, "vmlinuz"), "kernels/k .* has no file vmlinuz"),
        ("kernels", "k", without(kernel, "digest"), "has no file digest"),
        (
            "kernels",
            "k",
            after(kernel, lambda into: (into / "vmlinuz").write_bytes(b"another")),
            "does not have the digest that it says it has",
        ),
        (
            "kernels",
            "k",
            after(kernel, lambda into: (into / "lib/modules/5.0/b.ko").touch()),
            "does not have the digest that it says it has",
        ),
        ("layouts", RECIPE, image(IMAGE, OTHER), f"is not the image {IMAGE} that it says it is"),
        ("layouts", named(IMAGE), image(OTHER, IMAGE), "is not the image"),
        ("layouts", RECIPE, image(IMAGE, IMAGE, OTHER), "is not the image"),
        ("layouts", RECIPE, image("x", IMAGE), r"has a malformed image\.json"),
        ("layouts", RECIPE, image(IMAGE, "x"), r"is no image: layout/index\.json is malformed"),
        ("layouts", RECIPE, without(image(IMAGE, IMAGE), "image.json"), r"no file image\.json"),
        (
            "layouts",
            RECIPE,
            without(image(IMAGE, IMAGE), "layout/index.json"),
            r"no file layout/index\.json",
        ),
        ("disks", "d", disk({"slot": "big"}), r"has a malformed image\.json"),
        ("disks", "d", disk([]), r"has a malformed image\.json"),
        ("disks", "d", without(disk({"slot": 1}), "disk.qcow2"), r"has no file disk\.qcow2"),
        ("disks", "d", disk({"slot": 1}, backing=104), "from another file"),
        ("disks", "d", disk({"slot": 1}, features=4), "from another file"),
        (
            "disks",
            "d",
            after(disk({"slot": 1}), lambda into: (into / "disk.qcow2").write_bytes(b"raw")),
            "of another format",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_and_nothing_of_the_archive_arrives(
    tmp_path: Path, store: Store, kind: str, key: str, build: Build, why: str
) -> None:
    with pytest.raises(VerificationError, match=why):
        carry(tmp_path, store, kind, key, build)
    assert store.entries() == []
