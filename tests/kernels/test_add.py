from __future__ import annotations

import os
from pathlib import Path

import pytest
from aptarchive import Archive, Signer, bzimage, yaml
from rpmrepository import Repository, el8

from harness.errors import ConfigError, HarnessError, UsageError, VerificationError
from harness.kernels import add, catalog, sources
from harness.kernels.selection import select
from harness.model.hosts import Kernel, LocalSource
from harness.packages.download import Fetcher

RELEASE = "6.18.0-mine"
MINE = """\
    # my kernels
    defaults:
      memory: 768  # a small machine

    kernels:
      # the oldest that I care for
      "5.10":
        memory: 512
      old:
        source: {type: local, image: old/bzImage}
        tags:
          - rare
"""


@pytest.fixture
def user(tmp_path: Path) -> Path:
    return tmp_path / "mine/kernels"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "bzImage"
    file.write_bytes(bzimage(RELEASE))
    return file


def modules_of(kernel: Kernel) -> set[str]:
    assert kernel.modules is not None
    files = [path for path in kernel.modules.rglob("*") if path.is_file()]
    return {str(path.relative_to(kernel.modules)) for path in files}


def test_a_bzimage_becomes_an_entry_of_a_new_catalog(
    user: Path, image: Path, fetcher: Fetcher
) -> None:
    added = add.add([image], "mine", user=user, fetcher=fetcher)
    assert (added.kernel.release, added.kernel.modules) == (RELEASE, None)
    image.unlink()
    entries = catalog.load_catalog([user / catalog.CATALOG_FILE])
    assert [entry.name for entry in entries] == ["mine"]
    assert entries[0].source == LocalSource(image=user / "added/mine/vmlinuz")
    assert select("mine", entries, {}) == entries
    moved = user.parent / "moved"
    user.rename(moved)
    (entry,) = catalog.load_catalog([moved / catalog.CATALOG_FILE])
    lock = sources.resolve(entry, sources.Resolver.of(fetcher, {}))
    again = sources.obtain(entry, lock, store=fetcher.store, fetcher=fetcher)
    assert again.digest == added.kernel.digest


def test_a_bzimage_brings_its_modules(
    user: Path, image: Path, tmp_path: Path, fetcher: Fetcher
) -> None:
    modules = tmp_path / f"install/lib/modules/{RELEASE}"
    (modules / "kernel").mkdir(parents=True)
    (modules / "kernel/a.ko").write_bytes(b"a")
    (modules / "build").symlink_to("/usr/src")
    added = add.add([image], "mine", user=user, fetcher=fetcher, modules=tmp_path / "install")
    assert modules_of(added.kernel) == {"kernel/a.ko"}


def test_the_packages_of_a_kernel_are_put_together(
    user: Path, tmp_path: Path, signer: Signer, fetcher: Fetcher
) -> None:
    repository = Repository(tmp_path / "repo", signer)
    uname = el8(repository)
    packages = sorted(repository.packages.glob("*.rpm"))
    added = add.add(packages, "el8-mine", user=user, fetcher=fetcher)
    assert added.kernel.release == uname
    assert modules_of(added.kernel) == {
        "kernel/fs/ext4/ext4.ko.xz",
        "kernel/net/veth.ko.xz",
        "modules.order",
    }
    assert added.entry.name == "el8-mine"


def test_a_deb_is_added(user: Path, archive: Archive, fetcher: Fetcher) -> None:
    files: dict[str, bytes | str] = {
        f"boot/vmlinuz-{RELEASE}": bzimage(RELEASE),
        f"usr/lib/modules/{RELEASE}/kernel/a.ko.zst": b"a",
        "usr/share/doc/x": b"x",
    }
    deb = archive.add("linux-image-mine", files=files)
    added = add.add([deb], "deb", user=user, fetcher=fetcher)
    assert modules_of(added.kernel) == {"kernel/a.ko.zst"}


@pytest.mark.parametrize("place", [f"boot/vmlinuz-{os.uname().release}", "modules"])
def test_the_running_kernel_is_added(
    place: str, user: Path, tmp_path: Path, fetcher: Fetcher
) -> None:
    release = os.uname().release
    modules = tmp_path / "root/lib/modules" / release
    modules.mkdir(parents=True)
    (modules / "a.ko").write_bytes(b"a")
    image = modules / "vmlinuz" if place == "modules" else tmp_path / "root" / place
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(bzimage(release))
    added = add.add_running("here", user=user, fetcher=fetcher, root=tmp_path / "root")
    assert added.kernel.release == release
    assert modules_of(added.kernel) == {"a.ko"}


def test_a_running_kernel_without_its_file_is_said(
    user: Path, tmp_path: Path, fetcher: Fetcher
) -> None:
    with pytest.raises(UsageError, match=r"the running kernel \S+ is neither /\S+/boot/vmlinuz-"):
        add.add_running("here", user=user, fetcher=fetcher, root=tmp_path)


def test_comments_and_order_of_a_catalog_stay(user: Path, image: Path, fetcher: Fetcher) -> None:
    user.mkdir(parents=True)
    file = user / catalog.CATALOG_FILE
    before = yaml(MINE)
    file.write_text(before)
    add.add([image], "6.18", user=user, fetcher=fetcher)
    after = file.read_text()
    assert after.startswith(before)
    assert after.removeprefix(before).split() == [
        *("'6.18':", "source:", "type:", "local", "image:", "added/6.18/vmlinuz"),
    ]
    names = [entry.name for entry in catalog.load_catalog(_catalogs(user))]
    assert names[-2:] == ["old", "6.18"]
    assert (user / "added/.gitignore").read_text().endswith("*\n")


def _catalogs(user: Path) -> list[Path]:
    return [directory / catalog.CATALOG_FILE for directory in catalog.directories(user)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("5.10", "there is a kernel '5.10' already"),
        ("bookworm", "there is a kernel 'bookworm' already"),
        ("all", "cannot be named 'all'"),
        ("a..b", "is not a name"),
        ("../x", "is not a name"),
        ("", "is not a name"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    name: str, said: str, user: Path, image: Path, fetcher: Fetcher
) -> None:
    with pytest.raises(UsageError, match=said):
        add.add([image], name, user=user, fetcher=fetcher)
    assert not user.exists()


def test_what_is_no_kernel_leaves_nothing_behind(
    user: Path, tmp_path: Path, archive: Archive, signer: Signer, fetcher: Fetcher
) -> None:
    text, broken = tmp_path / "text", tmp_path / "broken.rpm"
    text.write_text("text")
    broken.write_bytes(b"text")
    empty = archive.add("empty", files={"usr/share/doc/empty/x": b"x"})
    repository = Repository(tmp_path / "repo", signer)
    cut = repository.add("kernel", "1.0", "1", {"boot/vmlinuz-1": bzimage("1.0") * 10})
    cut.write_bytes(cut.read_bytes()[:-40])
    refusals: list[tuple[list[Path], type[HarnessError], str]] = [
        ([text], UsageError, "is not a bzImage"),
        ([tmp_path / "missing"], UsageError, "there is no file"),
        ([text, text], UsageError, "name one bzImage"),
        ([broken], VerificationError, "not an rpm package"),
        ([cut], VerificationError, "is broken"),
        ([empty], UsageError, "empty_1.0_amd64.deb holds no kernel"),
        ([empty, broken], UsageError, "all rpm or all deb"),
    ]
    for paths, kind, said in refusals:
        with pytest.raises(kind, match=said):
            add.add(paths, "mine", user=user, fetcher=fetcher)
    assert not (user / catalog.CATALOG_FILE).exists()
    assert not list((user / "added").glob("*"))
    assert not list(fetcher.store.root.glob("kernels/*"))


def test_a_catalog_that_is_wrong_is_not_touched(user: Path, image: Path, fetcher: Fetcher) -> None:
    user.mkdir(parents=True)
    file = user / catalog.CATALOG_FILE
    file.write_text("kernels:\n  mine: {memroy: 1}\n")
    with pytest.raises(ConfigError, match="memroy"):
        add.add([image], "other", user=user, fetcher=fetcher)
    assert file.read_text() == "kernels:\n  mine: {memroy: 1}\n"
