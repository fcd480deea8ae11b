from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from aptarchive import Archive, Server, Signer, yaml

from harness.errors import ConfigError, UnavailableError, UsageError
from harness.kernels import tools
from harness.kernels.lock import read_locks
from harness.kernels.locking import lock_tools
from harness.kernels.sources import Resolver
from harness.kernels.tools import ToolSetSpec
from harness.model.hosts import Lock
from harness.packages.download import Fetcher
from harness.store import Store


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Archive:
    archive = Archive(tmp_path_factory.mktemp("model") / "archive", signer)
    archive.add(
        "program",
        files={
            "usr/bin/program": b"program",
            "usr/share/doc/program/copyright": b"",
            "usr/lib/x86_64-linux-gnu/gconv/UTF-7.so": b"",
        },
        Depends="library, docs",
    )
    archive.add("library", files={"lib/x86_64-linux-gnu/library.so": b"library"})
    archive.add("docs", files={"usr/share/docs/text": b""})
    archive.publish()
    return archive


@pytest.fixture
def published(model: Archive, archive: Archive, server: Server) -> Archive:
    shutil.copytree(model.root, archive.root, dirs_exist_ok=True)
    return archive


@pytest.fixture
def specs(published: Archive, server: Server) -> dict[str, ToolSetSpec]:
    spec = ToolSetSpec(
        name="set",
        source=published.source(server.base),
        packages=("program",),
        architecture="amd64",
        depends=True,
        without=frozenset({"docs"}),
        only=(),
    )
    return {"set": spec, "other": replace(spec, name="other")}


@pytest.fixture
def locks(
    specs: dict[str, ToolSetSpec], fetcher: Fetcher, signer: Signer, tmp_path: Path
) -> dict[str, Lock]:
    file = tmp_path / "tools.lock.yaml"
    resolver = Resolver.of(fetcher, {"test": signer.keyring()})
    lock_tools(["set"], specs, file=file, resolver=resolver)
    return read_locks([file])


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_set_is_one_merged_tree_of_its_closure(
    specs: dict[str, ToolSetSpec], locks: dict[str, Lock], store: Store, fetcher: Fetcher
) -> None:
    found = tools.tool_set("set", store=store, fetcher=fetcher, specs=specs, locks=locks)
    assert [package.name for package in found.packages] == ["library", "program"]
    assert files(found.root) == ["usr/bin/program", "usr/lib/x86_64-linux-gnu/library.so"]
    assert not (found.root / "usr/share").exists()


def test_a_stored_set_needs_no_network(
    specs: dict[str, ToolSetSpec],
    locks: dict[str, Lock],
    store: Store,
    fetcher: Fetcher,
    published: Archive,
) -> None:
    first = tools.tool_set("set", store=store, fetcher=fetcher, specs=specs, locks=locks)
    shutil.rmtree(published.root)
    assert tools.tool_set("set", store=store, fetcher=fetcher, specs=specs, locks=locks) == first


def test_only_what_is_named_is_kept_and_that_makes_another_digest(
    specs: dict[str, ToolSetSpec], locks: dict[str, Lock], store: Store, fetcher: Fetcher
) -> None:
    whole = tools.tool_set("set", store=store, fetcher=fetcher, specs=specs, locks=locks)
    narrow = {"set": replace(specs["set"], only=("usr/share/doc/*/copyright", "usr/lib/*.so"))}
    found = tools.tool_set("set", store=store, fetcher=fetcher, specs=narrow, locks=locks)
    assert found.digest != whole.digest
    assert files(found.root) == [
        "usr/lib/x86_64-linux-gnu/gconv/UTF-7.so",
        "usr/lib/x86_64-linux-gnu/library.so",
        "usr/share/doc/program/copyright",
    ]


def test_a_set_of_data_is_its_packages_alone(
    specs: dict[str, ToolSetSpec], fetcher: Fetcher, signer: Signer
) -> None:
    resolver = Resolver.of(fetcher, {"test": signer.keyring()})
    lock = tools.resolve_set(replace(specs["set"], depends=False), resolver.suites)
    assert [package.name for package in lock.packages] == ["program"]


def test_an_unknown_an_unlocked_and_a_changed_set_are_said(
    specs: dict[str, ToolSetSpec], locks: dict[str, Lock], store: Store, fetcher: Fetcher
) -> None:
    with pytest.raises(UsageError, match="there is no tool set 'sets'; did you mean 'set'"):
        tools.tool_set("sets", store=store, fetcher=fetcher, specs=specs, locks=locks)
    with pytest.raises(UnavailableError, match="other is not locked: run `harness kernels lock o"):
        tools.tool_set("other", store=store, fetcher=fetcher, specs=specs, locks=locks)
    changed = {"set": replace(specs["set"], without=frozenset())}
    with pytest.raises(UnavailableError, match=r"locked for .*without docs, not as it is now"):
        tools.tool_set("set", store=store, fetcher=fetcher, specs=changed, locks=locks)


def test_every_packaged_set_is_locked_as_it_is() -> None:
    specs = tools.load_tools()
    locks = read_locks([tools.tools_lock_file()])
    assert {name: spec.describe() for name, spec in specs.items()} == {
        name: lock.source for name, lock in locks.items()
    }
    assert all(lock.packages for lock in locks.values())


def test_a_set_of_an_unknown_source_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "tools.yaml"
    file.write_text(
        yaml(
            """
            sources:
              trixie: {type: apt, bases: [http://a], suite: trixie}
            sets:
              base: {source: trixy, packages: [a]}
            """
        )
    )
    with pytest.raises(ConfigError, match=r"tools\.yaml:4: sets\.base\.source: .*'trixie'"):
        tools.load_tools(file)
