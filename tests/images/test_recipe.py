"""Debian recipes: what the layer holds, and what is said when it cannot be made."""

from __future__ import annotations

import io
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from harness import defaults, oci_layers, oci_layout
from harness.errors import HarnessError, ImageError, ToolError, UnavailableError
from harness.images import prepare, recipe
from harness.images.catalog import ImageEntry, Recipe, RecipeFile
from harness.images.prepare import Workshop
from harness.images.rootfs import rewrite
from harness.model.images import ImageConfig
from harness.packages.download import Fetcher, Limits
from harness.progress import Silent
from harness.store import Store

EPOCH = 1_700_000_000


def mmdebstrap_tar(path: Path, mtime: int) -> Path:
    """Write a tar with the odds and ends that mmdebstrap's has."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:

        def add(
            name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = ""
        ) -> None:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname, info.mtime = kind, len(data), link, mtime
            info.uname = info.gname = "root"
            if name == "./usr/bin/ping":
                info.pax_headers = {"SCHILY.xattr.security.capability": "\x01\x00\x02"}
            tar.addfile(info, io.BytesIO(data))

        for name in ("./", "./dev/", "./etc/", "./run/", "./run/lock/", "./usr/", "./usr/bin/"):
            add(name, tarfile.DIRTYPE)
        add("./dev/null", tarfile.CHRTYPE)
        add("./run/utmp")
        add("./etc/old", data=b"new" if mtime > EPOCH else b"old")
        add("./usr/bin/ping", data=b"ping")
        add("./usr/bin/ping4", tarfile.LNKTYPE, link="./usr/bin/ping")
        add("./usr/bin/big.so", data=b"big")
        add("./var/log/dpkg.log", data=str(mtime).encode())
    return path


def layer(tmp_path: Path, mtime: int) -> Path:
    wanted = Recipe(
        suite="trixie",
        exclude=("/usr/*.so",),
        files=(
            RecipeFile(path="/etc/old", content="mine"),
            RecipeFile(path="/opt/deep/run", content="#!/bin/sh\n", mode=0o755),
        ),
    )
    source = mmdebstrap_tar(tmp_path / f"{mtime}.tar", mtime)
    target = tmp_path / f"{mtime}.layer"
    rewrite(source, target, recipe=wanted, sources="deb somewhere\n", epoch=EPOCH)
    return target


def test_a_layer_has_the_recipes_files_and_lacks_what_it_excludes(tmp_path: Path) -> None:
    with tarfile.open(layer(tmp_path, EPOCH + 5)) as tar:
        members = {member.name: member for member in tar}
        texts = {
            name: file.read()
            for name in ("etc/old", "etc/apt/sources.list", "opt/deep/run")
            if (file := tar.extractfile(name)) is not None
        }
    assert texts == {
        "etc/old": b"mine",
        "etc/apt/sources.list": b"deb somewhere\n",
        "opt/deep/run": b"#!/bin/sh\n",
    }
    assert members["opt/deep/run"].mode == 0o755
    assert members["opt/deep"].isdir()
    assert members["run/lock"].isdir()
    assert not {"usr/bin/big.so", "dev/null", "run/utmp", "var/log/dpkg.log"} & set(members)
    assert members["usr/bin/ping4"].linkname == "usr/bin/ping"
    capability = members["usr/bin/ping"].pax_headers["SCHILY.xattr.security.capability"]
    assert capability == "\x01\x00\x02"


def test_the_same_packages_give_the_same_bytes_whenever_they_are_built(tmp_path: Path) -> None:
    assert layer(tmp_path, EPOCH + 5).read_bytes() == layer(tmp_path, EPOCH + 99).read_bytes()


def test_a_written_layout_reads_back(tmp_path: Path) -> None:
    config = ImageConfig(cmd=("a", "b"), env=("X=1",), user="u", volumes=("/v",), workdir="/w")
    tar = layer(tmp_path, EPOCH)
    oci_layout.write(tmp_path / "layout", tar, config, history="test")
    found = oci_layout.read(tmp_path / "layout", "made")
    assert found.config == config
    out = io.BytesIO()
    oci_layers.uncompressed(found, found.layers[0], out, limit=1 << 20)
    assert out.getvalue() == tar.read_bytes()


def test_a_recipes_key_follows_all_that_it_says() -> None:
    base = Recipe(suite="trixie", packages=("a",))
    others = [
        Recipe(suite="bookworm", packages=("a",)),
        Recipe(suite="trixie", packages=("a", "b")),
        Recipe(suite="trixie", packages=("a",), config=ImageConfig(user="x")),
        Recipe(suite="trixie", packages=("a",), files=(RecipeFile(path="/x", content=""),)),
        Recipe(suite="trixie", packages=("a",), foreign=("i386",)),
    ]
    assert len({recipe.key(each) for each in [base, *others]}) == 6
    assert recipe.key(base) == recipe.key(Recipe(suite="trixie", packages=("a",)))


def workshop(store: Store, fetcher: Fetcher) -> Workshop:
    return Workshop(
        store=store,
        fetcher=fetcher,
        keyring=defaults.directory("kernels") / "keys" / "debian-archive-keyring.pgp",
        progress=Silent(),
    )


def one_line(error: HarnessError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs the package mmdebstrap")
def test_a_mirror_out_of_reach_is_unavailable(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    entry = ImageEntry(name="small", source=Recipe(suite="trixie"))
    limits = Limits(connect=2.0, attempts=1)
    mirrors = {recipe.ARCHIVE: f"http://127.0.0.1:{port}/debian"}
    with (
        Fetcher(store, mirrors=mirrors, limits=limits) as fetcher,
        pytest.raises(UnavailableError) as caught,
    ):
        prepare.obtain(entry, workshop=workshop(store, fetcher))
    assert f"127.0.0.1:{port}" in one_line(caught.value)


def test_a_host_without_mmdebstrap_is_told_the_package(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    entry = ImageEntry(name="small", source=Recipe(suite="trixie"))
    with (
        Fetcher(store) as fetcher,
        pytest.raises(ToolError, match="install the package mmdebstrap"),
    ):
        prepare.obtain(entry, workshop=workshop(store, fetcher))


@pytest.mark.guest
def test_a_recipe_is_built_from_debian_and_a_missing_package_is_named(store: Store) -> None:
    small = Recipe(
        suite="trixie",
        packages=("tini",),
        files=(RecipeFile(path="/etc/motd", content="hi\n"),),
        config=ImageConfig(entrypoint=("tini", "--")),
    )
    absent = Recipe(suite="trixie", packages=("there-is-no-such-package",))
    with Fetcher(store) as fetcher:
        shop = workshop(store, fetcher)
        stored = prepare.obtain(ImageEntry(name="small", source=small), workshop=shop)
        with pytest.raises(ImageError, match="no package there-is-no-such-package") as caught:
            prepare.obtain(ImageEntry(name="absent", source=absent), workshop=shop)
        one_line(caught.value)
    tar = io.BytesIO()
    oci_layers.uncompressed(stored.layout, stored.layout.layers[0], tar, limit=1 << 30)
    tar.seek(0)
    with tarfile.open(fileobj=tar) as members:
        names = set(members.getnames())
        pages = [m.name for m in members if m.isreg() and m.name.startswith("usr/share/man/")]
        sources = members.extractfile("etc/apt/sources.list")
        assert sources is not None
        assert sources.read() == b"deb http://deb.debian.org/debian trixie main\n"
    assert {"usr/bin/tini", "etc/motd"} <= names
    assert not pages
    assert "usr/share/man/man1" in names  # update-alternatives fails without it
    assert stored.layout.config.entrypoint == ("tini", "--")
