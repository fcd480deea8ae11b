from __future__ import annotations

import gzip
import lzma
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aptarchive import SUITE, Archive, Server, Signer

from harness import process
from harness.errors import (
    HarnessError,
    ToolError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from harness.packages import apt, signature
from harness.packages.download import Fetcher
from harness.store import Store

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Archive:
    archive = Archive(tmp_path_factory.mktemp("model") / "archive", signer)
    archive.add("tool", "1.0", files={"usr/bin/tool": b"old"})
    archive.add("tool", "1.10", files={"usr/bin/tool": b"new"})
    archive.add("tool", "1.9", files={"usr/bin/tool": b"middle"})
    archive.publish()
    return archive


@pytest.fixture
def published(model: Archive, archive: Archive, server: Server) -> Archive:
    shutil.copytree(model.root, archive.root, dirs_exist_ok=True)
    return archive


def test_the_newest_version_is_taken_and_fetched(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    source = published.source(server.base)
    index = apt.Suites(fetcher, {"test": signer.keyring()}).index(source)
    package = index.get("tool").locked
    assert (package.version, package.architecture) == ("1.10", "amd64")
    file = apt.fetch_package(source, package, fetcher=fetcher, relock="lock it")
    assert file.read_bytes() == (published.root / package.path).read_bytes()


def test_the_index_is_fetched_by_hash_and_kept_by_its_sha256(
    published: Archive, server: Server, fetcher: Fetcher, store: Store, signer: Signer
) -> None:
    source = published.source(server.base)
    for _ in range(2):
        apt.Suites(fetcher, {"test": signer.keyring()}).index(source)
    indexes = [path for path in server.asked if "binary-amd64" in path]
    assert len(indexes) == 1
    assert "/by-hash/SHA256/" in indexes[0]
    assert (store.root / "blobs" / indexes[0].rpartition("/")[2]).is_dir()


def test_an_archive_without_by_hash_serves_the_plain_index(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    published.publish(by_hash=False)
    index = apt.Suites(fetcher, {"test": signer.keyring()}).index(published.source(server.base))
    assert index.names() == ["tool"]


def release(
    archive: Archive, server: Server, fetcher: Fetcher, signer: Signer, *, accept: bool = False
) -> apt.Release:
    return apt.open_release(
        archive.source(server.base, accept_expired=accept),
        fetcher=fetcher,
        keyring=signer.keyring(),
        now=NOW,
    )


def test_a_suite_past_its_valid_until_is_refused_and_the_option_named(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    published.publish(Valid_Until="Mon, 31 Dec 2029 00:00:00 UTC")
    with pytest.raises(VerificationError, match=r"valid until .* 2029.*`accept_expired: true`"):
        release(published, server, fetcher, signer)
    assert release(published, server, fetcher, signer, accept=True).suite == SUITE


def test_a_suite_within_its_valid_until_or_without_one_is_fine(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    assert release(published, server, fetcher, signer).suite == SUITE
    published.publish(Valid_Until="Wed, 02 Jan 2030 00:00:00 UTC")
    assert release(published, server, fetcher, signer).suite == SUITE


def test_a_strangers_signature_is_refused(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer, stranger: Signer
) -> None:
    published.sign((published.suite / "Release").read_text(), stranger)
    with pytest.raises(
        VerificationError, match="InRelease: no valid signature by a key of the key"
    ):
        release(published, server, fetcher, signer)


def test_a_key_that_is_in_the_keyring_but_not_listed_does_not_count(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer, stranger: Signer
) -> None:
    keyring = signature.Keyring(
        name="test", file=signer.public, fingerprints=frozenset({stranger.fingerprint})
    )
    with pytest.raises(VerificationError, match=f"signed by {signer.fingerprint} only"):
        apt.open_release(published.source(server.base), fetcher=fetcher, keyring=keyring)


def test_a_flipped_byte_in_the_release_file_is_refused(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    signed = published.suite / "InRelease"
    signed.write_text(signed.read_text().replace("Components: main", "Components: maim"))
    with pytest.raises(VerificationError, match=r"InRelease: no valid signature.*bad signature"):
        release(published, server, fetcher, signer)


def test_text_outside_of_the_signature_is_not_read(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    signed = published.suite / "InRelease"
    signed.write_text(f"Codename: evil\n\n{signed.read_text()}\nSuite: evil\n")
    assert release(published, server, fetcher, signer).suite == SUITE


def test_a_strangers_message_before_or_after_a_good_one_is_refused(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer, stranger: Signer
) -> None:
    signed = published.suite / "InRelease"
    good = signed.read_text()
    published.sign((published.suite / "Release").read_text().replace("main", "evil"), stranger)
    bad = signed.read_text()
    for text in (f"{bad}\n{good}", f"{good}\n{bad}"):
        signed.write_text(text)
        with pytest.raises(VerificationError, match="InRelease: no valid signature"):
            release(published, server, fetcher, signer)


def test_a_file_without_a_signature_is_refused(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    shutil.copy(published.suite / "Release", published.suite / "InRelease")
    with pytest.raises(VerificationError, match="InRelease: no valid signature"):
        release(published, server, fetcher, signer)


def test_another_suites_release_file_is_refused(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    published.publish(Suite="other", Codename="other")
    with pytest.raises(VerificationError, match=f"is of other, not of {SUITE}"):
        release(published, server, fetcher, signer)


@pytest.mark.parametrize("by_hash", [True, False])
def test_a_flipped_byte_in_the_index_is_refused_and_nothing_is_kept(
    published: Archive,
    server: Server,
    fetcher: Fetcher,
    store: Store,
    signer: Signer,
    by_hash: bool,
) -> None:
    published.publish(by_hash=by_hash)
    for path in published.suite.rglob("*"):
        if path.is_file() and path.read_bytes().startswith(b"\xfd7zXZ"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(VerificationError, match=r"binary-amd64/.*: its sha256 is"):
        apt.Suites(fetcher, {"test": signer.keyring()}).index(published.source(server.base))
    assert not list(store.root.glob("blobs/*"))


def test_an_index_that_expands_beyond_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt, "_INDEX_EXPANDED_LIMIT", 1 << 20)
    bomb = tmp_path / "Packages"
    for suffix, compress in ((".xz", lzma.compress), (".gz", gzip.compress)):
        bomb.write_bytes(compress(bytes(1 << 20)))
        assert len(apt._expanded(bomb, suffix)) == 1 << 20
        bomb.write_bytes(compress(bytes(2 << 20)))
        with pytest.raises(VerificationError, match="cut short or beyond"):
            apt._expanded(bomb, suffix)
        bomb.write_bytes(b"text")
        with pytest.raises(VerificationError, match="is corrupt"):
            apt._expanded(bomb, suffix)


def test_a_flipped_byte_in_a_package_is_refused_and_nothing_is_kept(
    published: Archive, server: Server, fetcher: Fetcher, store: Store, signer: Signer
) -> None:
    source = published.source(server.base)
    package = apt.Suites(fetcher, {"test": signer.keyring()}).index(source).get("tool").locked
    file = published.root / package.path
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(VerificationError, match=r"tool_1\.10_amd64\.deb: its sha256 is"):
        apt.fetch_package(source, package, fetcher=fetcher, relock="lock it")
    assert not (store.root / "blobs" / package.sha256).exists()


def test_a_superseded_package_is_sought_in_the_next_base_and_then_the_lock_is_named(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    source = published.source(server.base, old.as_uri())
    index = apt.Suites(fetcher, {"test": signer.keyring()}).index(source)
    package = index.get("tool").locked
    shutil.copytree(published.pool, old / "pool")
    (published.root / package.path).unlink()
    assert apt.fetch_package(source, package, fetcher=fetcher, relock="x").is_file()

    other = index.get("tool").locked
    (old / other.path).unlink()
    with Fetcher(Store(tmp_path / "empty")) as fresh, pytest.raises(UnavailableError) as caught:
        apt.fetch_package(source, other, fetcher=fresh, relock="harness kernels lock 6.1")
    text = str(caught.value)
    assert "tool 1.10 (amd64) cannot be had" in text
    assert "404" in text
    assert "no such file" in text
    assert "lock anew with `harness kernels lock 6.1`" in text
    assert "\n" not in text


def test_an_unreachable_mirror_gives_way_to_the_archive(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
        found = apt.open_release(
            published.source(dead, server.base), fetcher=fetcher, keyring=signer.keyring()
        )
        assert found.base == server.base
        with pytest.raises(UnavailableError, match=f"suite {SUITE} cannot be had: .*out of reach"):
            apt.open_release(published.source(dead), fetcher=fetcher, keyring=signer.keyring())


def test_a_missing_suite_and_a_missing_architecture_are_said(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer
) -> None:
    suites = apt.Suites(fetcher, {"test": signer.keyring()})
    source = published.source(server.base)
    with pytest.raises(UnavailableError, match="has no index main/binary-riscv64/Packages"):
        suites.index(source, "riscv64")
    shutil.rmtree(published.root / "dists")
    with pytest.raises(UnavailableError, match="InRelease: 404"):
        apt.open_release(source, fetcher=fetcher, keyring=signer.keyring())


def test_an_unknown_keyring_is_said(archive: Archive, fetcher: Fetcher, signer: Signer) -> None:
    with pytest.raises(UsageError, match=r"there is no keyring 'test'.*did you mean 'tests'"):
        apt.Suites(fetcher, {"tests": signer.keyring()}).index(archive.source("http://a"))


def without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *programs: str) -> None:
    """Leave only ``programs`` on PATH."""
    directory = tmp_path / "path"
    directory.mkdir()
    for program in programs:
        (directory / program).symlink_to(process.find(program, program))
    monkeypatch.setenv("PATH", str(directory))


@pytest.mark.skipif(shutil.which("sqv") is None, reason="sqv is not installed")
def test_sqv_serves_where_gpgv_is_missing(
    published: Archive,
    server: Server,
    fetcher: Fetcher,
    signer: Signer,
    stranger: Signer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    text = (published.suite / "Release").read_text()
    with monkeypatch.context() as patch:
        without(patch, tmp_path, "sqv")
        assert release(published, server, fetcher, signer).suite == SUITE
    published.sign(text, stranger)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    with pytest.raises(VerificationError, match="no valid signature"):
        release(published, server, fetcher, signer)


def test_without_gpgv_and_sqv_nothing_is_trusted(
    published: Archive,
    server: Server,
    fetcher: Fetcher,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    without(monkeypatch, tmp_path)
    with pytest.raises(ToolError, match="install the package gpgv"):
        release(published, server, fetcher, signer)


def test_every_error_of_a_user_is_one_line(
    published: Archive, server: Server, fetcher: Fetcher, signer: Signer, stranger: Signer
) -> None:
    published.sign((published.suite / "Release").read_text(), stranger)
    with pytest.raises(HarnessError) as caught:
        release(published, server, fetcher, signer)
    assert "\n" not in str(caught.value)
