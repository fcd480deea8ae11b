"""Kernels of an apt suite, as Debian packages them.

Up to 6.x ``linux-image-V`` holds everything; from 7.x on it is empty and depends on
``linux-binary-V``, ``linux-modules-V`` and ``linux-base-V``. Both are what the metapackage
depends on in exactly one version.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from harness.errors import UnavailableError, VerificationError
from harness.kernels.layout import MODULES, VMLINUZ
from harness.model.hosts import AptSource, HostEntry, Lock
from harness.packages import apt, closure, deb
from harness.packages.download import Fetcher

_IMAGE = re.compile(r"linux-image-(\d.*)")
_BOOT = re.compile(r"boot/vmlinuz-[^/]+|usr/lib/modules/[^/]+/vmlinuz")
_KEPT = re.compile(r".*\.ko(\.xz|\.zst|\.gz)?|modules\.[^/]+")


def metapackage(flavour: str, architecture: str = "amd64") -> str:
    """Return the package that depends on the suite's newest kernel of a flavour."""
    middle = "" if flavour in ("", "generic") else f"{flavour}-"
    return f"linux-image-{middle}{architecture}"


def resolve(entry: HostEntry, source: AptSource, suites: apt.Suites) -> Lock:
    """Return the lock of an entry as its suite stands now.

    Raises:
        UnavailableError: the suite cannot be had, or has no kernel of the flavour.
        VerificationError: a signature or checksum does not hold.
    """
    index = suites.index(source)
    packages = closure.exact(index, metapackage(entry.flavour))
    releases = {
        match[1] for package in packages if (match := _IMAGE.fullmatch(package.locked.name))
    }
    if len(releases) != 1:
        raise UnavailableError(
            f"{index.where}: {metapackage(entry.flavour)} depends on "
            f"{len(releases)} kernels instead of one"
        )
    ordered = sorted((package.locked for package in packages), key=lambda locked: locked.name)
    return Lock(release=releases.pop(), packages=tuple(ordered))


def unpack(entry: HostEntry, source: AptSource, lock: Lock, into: Path, fetcher: Fetcher) -> None:
    """Fetch the locked packages and unpack kernel and modules into ``into``.

    Raises:
        UnavailableError: a package cannot be had.
        VerificationError: a package is not what the lock promises, or no kernel is in them.
    """
    relock = f"harness kernels lock {entry.name}"
    for package in lock.packages:
        file = apt.fetch_package(source, package, fetcher=fetcher, relock=relock)
        deb.unpack(file, into, move=_move, keep=lambda path: _keep(path, lock.release))
    if not (into / VMLINUZ).is_file():
        names = ", ".join(package.name for package in lock.packages)
        raise VerificationError(f"there is no kernel {lock.release} in {names}: `{relock}`")


def _move(path: PurePosixPath) -> PurePosixPath:
    text = str(path)
    if _BOOT.fullmatch(text):
        return PurePosixPath(VMLINUZ)
    return PurePosixPath(text.removeprefix("usr/")) if text.startswith("usr/lib/") else path


def _keep(path: PurePosixPath, release: str) -> bool:
    inside = path.is_relative_to(f"{MODULES}/{release}")
    return str(path) == VMLINUZ or (inside and _KEPT.fullmatch(path.name) is not None)
