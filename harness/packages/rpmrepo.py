"""Rpm repositories: signed metadata, and which packages of it belong together.

What is trusted follows one chain: key, detached signature of ``repomd.xml``, sha256 of the
primary metadata in it, sha256 of the package in that. createrepo_c reads the formats.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UnavailableError, VerificationError
from harness.model.hosts import LockedPackage
from harness.packages import signature
from harness.packages.createrepo import createrepo_c
from harness.packages.download import Expected, Fetcher
from harness.packages.evr import Evr
from harness.packages.signature import Keyring

ARCHITECTURE = "x86_64"
_SHA256 = "sha256"
_UNAME = "-uname-r"


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmPackage:
    """A package of a repository. ``release`` is the ``uname -r`` of the kernel that it is of."""

    locked: LockedPackage
    evr: Evr
    release: str


def open_repository(
    base: str,
    names: Collection[str],
    *,
    fetcher: Fetcher,
    keyring: Keyring | None,
    architecture: str = ARCHITECTURE,
) -> list[RpmPackage]:
    """Return the packages of a repository that have one of ``names``, in every version.

    Args:
        base: The directory above ``repodata``.
        names: Packages wanted.
        fetcher: Fetches the metadata.
        keyring: Who signs ``repomd.xml``; None where the repository publishes no signature.
        architecture: Packages of another one are left out.

    Raises:
        VerificationError: a signature or checksum does not hold.
        UnavailableError: the metadata cannot be had.
        ToolError: signatures cannot be checked on this machine.
    """
    where = fetcher.mirrored(base)
    record = _primary_record(base, where, fetcher, keyring)
    expected = Expected(sha256=record.checksum, size=record.size)
    url = f"{base}/{record.location_href}"
    primary = fetcher.blob([url], expected, name=f"primary metadata of {where}")
    return _packages(primary, names, architecture, where)


def _primary_record(
    base: str, where: str, fetcher: Fetcher, keyring: Keyring | None
) -> createrepo_c.RepomdRecord:
    url = f"{base}/repodata/repomd.xml"
    with fetcher.store.scratch() as scratch:
        file = scratch / "repomd.xml"
        file.write_bytes(fetcher.read(url))
        if keyring is not None:
            detached = scratch / "repomd.xml.asc"
            detached.write_bytes(fetcher.read(f"{url}.asc"))
            signature.check_detached(detached, file, keyring, what=fetcher.mirrored(url))
        try:
            records = createrepo_c.Repomd(str(file)).records
        except _UNREADABLE as error:
            raise _unreadable(url, error) from error
    found = [record for record in records if record.type == "primary"]
    if len(found) != 1:
        raise VerificationError(f"{where}/repodata/repomd.xml names no primary metadata")
    record = found[0]
    _check_digest(record.checksum_type, record.checksum, f"the primary metadata of {where}")
    if not record.size or record.size < 0:
        raise VerificationError(f"{where}/repodata/repomd.xml gives its primary metadata no size")
    return record


def _packages(
    primary: Path, names: Collection[str], architecture: str, where: str
) -> list[RpmPackage]:
    found: list[createrepo_c.Package] = []

    def look(package: createrepo_c.Package) -> None:
        if package.name in names and package.arch == architecture:
            found.append(package)

    try:
        createrepo_c.xml_parse_primary(str(primary), pkgcb=look, warningcb=_ignored, do_files=False)
        return [_package(package, where) for package in found]
    except _UNREADABLE as error:
        raise _unreadable(f"the primary metadata of {where}", error) from error


_UNREADABLE = (createrepo_c.CreaterepoCError, ValueError, TypeError)
"""Of the second kind is what is not UTF-8 and an epoch that is no number, of the third None."""


def _unreadable(what: str, error: Exception) -> VerificationError:
    said = " ".join(str(error).split())
    return VerificationError(f"{what} cannot be read: {said}; nothing of it was used")


def _package(package: createrepo_c.Package, where: str) -> RpmPackage:
    _check_digest(package.checksum_type, package.pkgId, f"{package.name} in {where}")
    evr = Evr(int(package.epoch or 0), package.version, package.release)
    locked = LockedPackage(
        name=package.name,
        version=str(evr),
        path=package.location_href,
        sha256=package.pkgId,
        size=package.size_package,
        architecture=package.arch,
    )
    return RpmPackage(locked=locked, evr=evr, release=_release(package))


def _release(package: createrepo_c.Package) -> str:
    """Return what the package says under ``kernel[-core]-uname-r``, else its own version."""
    for name, _flags, _epoch, version, release, _pre in package.provides:
        if name == f"{package.name}{_UNAME}" and version and release:
            return f"{version}-{release}"
    return f"{package.version}-{package.release}.{package.arch}"


def _check_digest(kind: str, digest: str, what: str) -> None:
    if kind != _SHA256:
        raise VerificationError(f"{what}: its checksum is a {kind or 'missing one'}, not a sha256")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise VerificationError(f"{what}: {digest!r} is not a sha256")


def _ignored(_kind: int, _text: str) -> bool:
    return True


def together(packages: Sequence[RpmPackage], names: Sequence[str], where: str) -> list[RpmPackage]:
    """Return the named packages in the newest version that all of them have.

    Raises:
        UnavailableError: there is none.
    """
    versions: dict[str, dict[str, RpmPackage]] = {name: {} for name in names}
    for package in packages:
        if package.locked.name in versions:
            versions[package.locked.name][str(package.evr)] = package
    for name, found in versions.items():
        if not found:
            raise UnavailableError(f"{where}: there is no package {name}")
    shared = frozenset.intersection(*(frozenset(found) for found in versions.values()))
    every = [package for package in versions[names[0]].values() if str(package.evr) in shared]
    if not every:
        raise UnavailableError(f"{where}: {', '.join(names)} are there in no version alike")
    newest = max(every, key=_evr)
    return [versions[name][str(newest.evr)] for name in names]


def _evr(package: RpmPackage) -> Evr:
    return package.evr
