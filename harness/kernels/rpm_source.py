"""Kernels of an rpm repository, as RHEL and its rebuilds package them.

el7 has everything in ``kernel``; from el8 on the image is in ``kernel-core`` and the modules are
spread over it, ``kernel-modules-core`` (from 9.2) and ``kernel-modules``, all of one version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from harness.errors import UnavailableError, UsageError
from harness.kernels import tools
from harness.kernels.lock import read_locks
from harness.kernels.pick import Picker
from harness.model.hosts import HostEntry, Lock, RpmSource
from harness.packages import pubkeys, rpm, rpmrepo
from harness.packages.download import Expected, Fetcher
from harness.packages.pubkeys import PublicKeys
from harness.packages.signature import Keyring
from harness.yamlfile import did_you_mean


def resolve(
    entry: HostEntry, source: RpmSource, fetcher: Fetcher, keyrings: Mapping[str, Keyring]
) -> Lock:
    """Return the lock of an entry as its repository stands now, from the first base that has it.

    Raises:
        UnavailableError: no base can be had, or has the packages; the text has the remedy.
        VerificationError: a signature or checksum does not hold.
        UsageError: there is no keyring of a name that the source gives.
        ToolError: signatures cannot be checked on this machine.
    """
    rings = _keyrings(entry, source, keyrings)
    bases, problems = _reachable(source.bases, fetcher)
    if bases:
        with fetcher.store.scratch() as scratch:
            keys = _extracted(rings, fetcher, scratch) if source.signed_metadata else None
            for base in bases:
                try:
                    return _resolve(base, source, fetcher, keys)
                except UnavailableError as error:
                    problems.append(str(error))
    raise UnavailableError(
        f"the kernel {entry.name} cannot be had: {'; '.join(problems)}; {_remedy(source)}"
    )


def _resolve(base: str, source: RpmSource, fetcher: Fetcher, keys: PublicKeys | None) -> Lock:
    packages = rpmrepo.open_repository(
        base, source.packages, fetcher=fetcher, keyring=keys.keyring if keys else None
    )
    chosen = rpmrepo.together(packages, source.packages, fetcher.mirrored(base))
    ordered = sorted((package.locked for package in chosen), key=lambda locked: locked.name)
    return Lock(release=chosen[0].release, packages=tuple(ordered))


def _reachable(bases: Sequence[str], fetcher: Fetcher) -> tuple[list[str], list[str]]:
    """Return the bases whose hosts answer, and what is wrong with the others.

    Side by side, so that several dead mirrors cost the time of one.
    """

    def problem(base: str) -> str:
        try:
            fetcher.greet(base)
        except UnavailableError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(bases)) as pool:
        found = list(pool.map(problem, bases))
    alive = [base for base, wrong in zip(bases, found, strict=True) if not wrong]
    return alive, list(dict.fromkeys(filter(None, found)))


def _remedy(source: RpmSource) -> str:
    base = source.bases[0]
    return (
        f"name a mirror of it ({base}: URL in kernels/mirrors.yaml, or "
        f"HARNESS_MIRRORS={base}=URL), or bring the kernel from another machine "
        "(`harness store export` there, "
        "`harness store import` here)"
    )


def unpack(
    entry: HostEntry,
    source: RpmSource,
    lock: Lock,
    into: Path,
    fetcher: Fetcher,
    keyrings: Mapping[str, Keyring],
) -> None:
    """Fetch the locked packages, check their signatures, and unpack them into ``into``.

    Raises:
        UnavailableError: a package cannot be had.
        VerificationError: a package is not what the lock promises, its signature does not hold,
            or there is no kernel in them.
        ToolError: rpm is missing.
    """
    rings = _keyrings(entry, source, keyrings)
    relock = f"harness kernels lock {entry.name}"
    files = {
        package.name: fetcher.blob(
            [f"{base}/{package.path}" for base in source.bases],
            Expected(sha256=package.sha256, size=package.size),
            name=f"{package.name} {package.version} ({package.architecture})",
            remedy=f"repositories drop superseded packages: lock anew with `{relock}`, or "
            f"{_remedy(source)}",
        )
        for package in lock.packages
    }
    picker = Picker(lock.release)
    with fetcher.store.scratch() as scratch:
        verifier = rpm.Verifier(_extracted(rings, fetcher, scratch), scratch)
        for package in lock.packages:
            verifier.check(files[package.name], f"{package.name} {package.version}")
        for file in files.values():
            rpm.unpack(file, into, move=picker.move, keep=picker.keep, scratch=scratch)
    picker.check(into, f"{', '.join(files)}: `{relock}`")


def _keyrings(
    entry: HostEntry, source: RpmSource, keyrings: Mapping[str, Keyring]
) -> list[Keyring]:
    for name in source.keys:
        if name not in keyrings:
            hint = did_you_mean(name, list(keyrings))
            raise UsageError(f"{entry.where}: there is no keyring {name!r} in keys.yaml; {hint}")
    return [keyrings[name] for name in source.keys]


def _extracted(rings: Sequence[Keyring], fetcher: Fetcher, scratch: Path) -> PublicKeys:
    into = scratch / "keys"
    into.mkdir()
    return pubkeys.extract([_located(ring, fetcher) for ring in rings], into)


def _located(ring: Keyring, fetcher: Fetcher) -> Keyring:
    """Return the keyring with the path of its file, taken from a tool set if it lies in one."""
    if not ring.set:
        return ring
    found = tools.tool_set(
        ring.set,
        store=fetcher.store,
        fetcher=fetcher,
        specs=tools.load_tools(),
        locks=read_locks([tools.tools_lock_file()]),
    )
    return replace(ring, file=found.root / ring.file, set="")
