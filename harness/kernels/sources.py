"""Where kernels come from: one pair of functions, resolve and unpack, for each kind of source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness import defaults
from harness.kernels import apt_kernel, local_kernel, oci_source, rpm_source
from harness.kernels.layout import KIND, kernel_at, seal
from harness.kernels.lock import LockResult
from harness.kernels.schema import describe
from harness.model.hosts import (
    AptSource,
    HostEntry,
    Kernel,
    LocalSource,
    Lock,
    OciSource,
    RpmSource,
)
from harness.packages.apt import Suites
from harness.packages.download import Fetcher
from harness.packages.signature import Keyring, load_keyrings
from harness.progress import Progress, Silent
from harness.store import Store, digest_of

KEYS = "keys"
"""Directory of keyrings beside a catalog."""

_FORMAT = 1
"""Raised when the same packages are unpacked in another way than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """What resolving needs; one for a run, so that each index is fetched and read once."""

    fetcher: Fetcher
    keyrings: Mapping[str, Keyring]
    suites: Suites

    @classmethod
    def of(cls, fetcher: Fetcher, keyrings: Mapping[str, Keyring]) -> Resolver:
        """Return a resolver that has read nothing yet."""
        return cls(fetcher=fetcher, keyrings=keyrings, suites=Suites(fetcher, keyrings))


def resolve(entry: HostEntry, resolver: Resolver) -> Lock:
    """Return the lock of an entry as its source stands now.

    Raises:
        UnavailableError: the source cannot be had, or has no such kernel.
        VerificationError: a signature or checksum does not hold.
        UsageError: a local kernel is not a kernel.
    """
    match entry.source:
        case AptSource() as source:
            lock = apt_kernel.resolve(entry, source, resolver.suites)
        case LocalSource() as source:
            lock = local_kernel.resolve(source)
        case RpmSource() as source:
            lock = rpm_source.resolve(entry, source, resolver.fetcher, resolver.keyrings)
        case OciSource() as source:
            lock = oci_source.resolve(source, resolver.fetcher.store)
    return replace(lock, source=describe(entry.source, entry.flavour))


def lock_of(entry: HostEntry, locks: Mapping[str, Lock], resolver: Resolver) -> LockResult:
    """Return an entry's lock, resolved now when no lock file has one for its source.

    A fresh one belongs into the run's record, never silently into a lock file.

    Raises:
        HarnessError: as :func:`resolve`.
    """
    lock = locks.get(entry.name)
    if lock is not None and lock.source == describe(entry.source, entry.flavour):
        return LockResult(lock, fresh=False)
    return LockResult(resolve(entry, resolver), fresh=not isinstance(entry.source, LocalSource))


def shared(locks: Mapping[str, Lock], entries: Iterable[HostEntry]) -> dict[str, Lock]:
    """Return the locks, with those of entries that have none but name another one's source.

    So hosts that differ in their settings alone run the same packages, locked once.
    """
    by_source = {lock.source: lock for lock in locks.values()}
    described = {entry.name: describe(entry.source, entry.flavour) for entry in entries}
    also = {name: by_source[source] for name, source in described.items() if source in by_source}
    return {**also, **locks}


def obtain(
    entry: HostEntry,
    lock: Lock,
    *,
    store: Store,
    fetcher: Fetcher,
    progress: Progress | None = None,
    keyrings: Mapping[str, Keyring] | None = None,
) -> Kernel:
    """Return an entry's kernel from the store, fetched and unpacked when it is not there.

    ``keyrings`` say who may sign rpm packages: those that travel with the harness, unless given.

    Raises:
        UnavailableError: a package or image cannot be had.
        VerificationError: a package is not what the lock promises, or its signature fails.
        ImageError: an image is not what the lock promises.
        UsageError: a local kernel is not a kernel.
    """

    def build(into: Path) -> None:
        (progress or Silent()).update(f"kernel {entry.name}", 0, None)
        _unpack(entry, lock, into, fetcher, packaged_keyrings() if keyrings is None else keyrings)
        seal(into)

    tree = store.make(KIND, _key(entry, lock), f"kernel {lock.release} ({entry.name})", build)
    return kernel_at(tree, lock.release, _origin(entry, lock))


def packaged_keyrings() -> Mapping[str, Keyring]:
    """Return the keyrings that travel with the harness."""
    return load_keyrings([defaults.directory("kernels") / KEYS])


def _unpack(
    entry: HostEntry, lock: Lock, into: Path, fetcher: Fetcher, keyrings: Mapping[str, Keyring]
) -> None:
    match entry.source:
        case AptSource() as source:
            apt_kernel.unpack(entry, source, lock, into, fetcher)
        case LocalSource() as source:
            local_kernel.unpack(source, lock, into)
        case RpmSource() as source:
            rpm_source.unpack(entry, source, lock, into, fetcher, keyrings)
        case OciSource():
            oci_source.unpack(lock, into, fetcher.store)


def _key(entry: HostEntry, lock: Lock) -> str:
    if isinstance(entry.source, LocalSource):
        return local_kernel.key(entry.source, lock)
    return digest_of(_FORMAT, lock.release, [package.sha256 for package in lock.packages])


def _origin(entry: HostEntry, lock: Lock) -> str:
    """Return one line: the source, and the version of the largest package."""
    source = describe(entry.source, entry.flavour)
    if not lock.packages:
        return source
    largest = max(lock.packages, key=lambda package: package.size)
    return f"{source}: {largest.name} {largest.version}"
