"""Apt archives: a suite's signed release, its package index, and locked packages.

What is trusted follows one chain: keyring, signature of ``InRelease``, sha256 of the index in
it, sha256 of the package in the index. The formats are read by python-debian.
"""

from __future__ import annotations

import email.utils
import lzma
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from debian import deb822

from harness.errors import UnavailableError, UsageError, VerificationError
from harness.model.hosts import AptSource, LockedPackage
from harness.packages import signature
from harness.packages.download import Expected, Fetcher
from harness.packages.index import Index
from harness.packages.signature import Keyring
from harness.yamlfile import did_you_mean

_INDEX_EXPANDED_LIMIT = 512 << 20
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A suite's release file, verified. ``files`` are relative to ``dists/SUITE/``."""

    base: str
    suite: str
    by_hash: bool
    files: Mapping[str, Expected]


def open_release(
    source: AptSource, *, fetcher: Fetcher, keyring: Keyring, now: datetime | None = None
) -> Release:
    """Fetch and verify a suite's release file from the first base that has it.

    Raises:
        VerificationError: no valid signature, or past its Valid-Until.
        UnavailableError: no base has it.
    """
    problems = []
    for base in source.bases:
        try:
            text = _signed_text(fetcher, f"{base}/dists/{source.suite}", keyring)
        except UnavailableError as error:
            problems.append(str(error))
            continue
        return _parse_release(text, base, source, now or datetime.now(UTC))
    raise UnavailableError(f"the suite {source.suite} cannot be had: {'; '.join(problems)}")


def _signed_text(fetcher: Fetcher, directory: str, keyring: Keyring) -> bytes:
    with fetcher.store.scratch() as scratch:
        if signature.have_gpgv():
            url = f"{directory}/InRelease"
            signed = scratch / "InRelease"
            signed.write_bytes(fetcher.read(url))
            return signature.clear_text(
                signed, keyring, what=fetcher.mirrored(url), scratch=scratch
            )
        # sqv before 1.3 knows detached signatures only
        url = f"{directory}/Release"
        text, detached = scratch / "Release", scratch / "Release.gpg"
        text.write_bytes(fetcher.read(url))
        detached.write_bytes(fetcher.read(f"{url}.gpg"))
        signature.check_detached(detached, text, keyring, what=fetcher.mirrored(url))
        return text.read_bytes()


def _parse_release(text: bytes, base: str, source: AptSource, now: datetime) -> Release:
    where = f"{base}/dists/{source.suite}"
    try:
        fields = deb822.Release(text)
        files = {
            item["name"]: Expected(sha256=item["sha256"], size=int(item["size"]))
            for item in fields.get("SHA256", [])
        }
    except (ValueError, KeyError, TypeError) as error:
        raise VerificationError(f"{where}: the release file cannot be read: {error}") from error
    names = {fields.get("Suite"), fields.get("Codename")}
    plain = source.suite.rstrip("/")
    if plain not in names and fields.get("Codename") != plain.partition("/")[0]:
        raise VerificationError(
            f"{where}: the release file is of {fields.get('Codename') or 'no suite'}, "
            f"not of {source.suite}; nothing of it was used"
        )
    until = fields.get("Valid-Until")
    if until and not source.accept_expired and _expired(until, now):
        raise VerificationError(
            f"{where}: the release file was valid until {until} only, so the mirror may be "
            "stale; where that is meant, say `accept_expired: true` in the source of the "
            "catalog entry"
        )
    if not files:
        raise VerificationError(f"{where}: the release file has no SHA256 section")
    return Release(
        base=base,
        suite=source.suite,
        by_hash=fields.get("Acquire-By-Hash", "").lower() == "yes",
        files=files,
    )


def _expired(until: str, now: datetime) -> bool:
    """Whether a date has passed; one that cannot be read has."""
    try:
        date = email.utils.parsedate_to_datetime(until)
    except (ValueError, TypeError, OverflowError):
        return True
    return (date if date.tzinfo else date.replace(tzinfo=UTC)) < now


def open_index(
    release: Release, source: AptSource, architecture: str, *, fetcher: Fetcher
) -> Index:
    """Fetch and verify the package index of one architecture.

    Raises:
        VerificationError: it is not what the release file promises.
        UnavailableError: the suite has none, or it cannot be had.
    """
    texts = []
    for component in source.components:
        name = f"{component}/binary-{architecture}/Packages"
        for suffix in (".xz", ".gz", ""):
            expected = release.files.get(name + suffix)
            if expected is not None:
                break
        else:
            raise UnavailableError(f"{release.base}: the suite {release.suite} has no index {name}")
        path = _index_blob(release, name + suffix, expected, fetcher)
        texts.append(_expanded(path, suffix))
    return Index(b"\n\n".join(texts), f"{release.base} {release.suite} {architecture}")


def _index_blob(release: Release, name: str, expected: Expected, fetcher: Fetcher) -> Path:
    directory = f"{release.base}/dists/{release.suite}"
    plain = f"{directory}/{name}"
    by_hash = f"{directory}/{name.rpartition('/')[0]}/by-hash/SHA256/{expected.sha256}"
    urls = [by_hash, plain] if release.by_hash else [plain]
    return fetcher.blob(urls, expected, name=f"{release.suite} {name}")


def _expanded(path: Path, suffix: str) -> bytes:
    data = path.read_bytes()
    if not suffix:
        return data
    expander = lzma.LZMADecompressor() if suffix == ".xz" else zlib.decompressobj(_GZIP)
    try:
        text = expander.decompress(data, _INDEX_EXPANDED_LIMIT)
    except (lzma.LZMAError, zlib.error) as error:
        raise VerificationError(f"{path}: the package index is corrupt: {error}") from error
    if not expander.eof:
        raise VerificationError(f"{path}: the package index is cut short or beyond all measure")
    return text


def fetch_package(
    source: AptSource, package: LockedPackage, *, fetcher: Fetcher, relock: str
) -> Path:
    """Return a locked package's file, from the first base that has it.

    Raises:
        VerificationError: a base has another file in its place.
        UnavailableError: no base has it: archives drop superseded versions. The text names
            ``relock``, the command that locks anew.
    """
    return fetcher.blob(
        [f"{base}/{package.path}" for base in source.bases],
        Expected(sha256=package.sha256, size=package.size),
        name=f"{package.name} {package.version} ({package.architecture})",
        remedy=f"mirrors drop superseded packages: lock anew with `{relock}`",
    )


class Suites:
    """The indexes that one run of resolving needs, each fetched, verified and parsed once."""

    def __init__(self, fetcher: Fetcher, keyrings: Mapping[str, Keyring]) -> None:
        self._fetcher = fetcher
        self._keyrings = keyrings
        self._releases: dict[AptSource, Release] = {}
        self._indexes: dict[tuple[AptSource, str], Index] = {}

    def index(self, source: AptSource, architecture: str = "amd64") -> Index:
        """Return the index of a suite, verified.

        Raises:
            UsageError: there is no keyring of the name that the source gives.
            VerificationError: a signature or checksum does not hold, or the suite is expired.
            UnavailableError: no base has it.
        """
        key = (source, architecture)
        if key not in self._indexes:
            release = self._releases.get(source)
            if release is None:
                release = open_release(
                    source, fetcher=self._fetcher, keyring=self._keyring(source.keyring)
                )
                self._releases[source] = release
            self._indexes[key] = open_index(release, source, architecture, fetcher=self._fetcher)
        return self._indexes[key]

    def _keyring(self, name: str) -> Keyring:
        if name not in self._keyrings:
            hint = did_you_mean(name, list(self._keyrings))
            raise UsageError(f"there is no keyring {name!r} in keys.yaml; {hint}")
        return self._keyrings[name]
