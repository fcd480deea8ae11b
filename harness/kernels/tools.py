"""Guest tools: sets of locked Debian packages, each one tree, the same on every host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from harness import defaults, yamlfile
from harness.errors import UnavailableError, UsageError
from harness.kernels.lock import TOOLS_LOCK
from harness.kernels.schema import ToolsForm
from harness.model.hosts import AptSource, Lock, LockedPackage
from harness.packages import apt, closure, deb
from harness.packages.download import Fetcher
from harness.store import Store, digest_of

TOOLS_FILE = "tools.yaml"
_FORMAT = 2
"""Raised when the same packages are unpacked in another way than before."""
_ROOT = "root"
_DROPPED = (
    "etc/cron*",
    "usr/include/*",
    "usr/lib/*/gconv/*",  # character sets: 8 MB that no tool here converts
    "usr/share/bash-completion/*",
    "usr/share/doc-base/*",
    "usr/share/doc/*",
    "usr/share/gcc/*",
    "usr/share/info/*",
    "usr/share/initramfs-tools/*",
    "usr/share/lintian/*",
    "usr/share/locale/*",
    "usr/share/man/*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSetSpec:
    """A set as ``tools.yaml`` describes it. ``only`` holds shell patterns; empty: everything."""

    name: str
    source: AptSource
    packages: tuple[str, ...]
    architecture: str
    depends: bool
    without: frozenset[str]
    only: tuple[str, ...]

    def describe(self) -> str:
        """Return what the set is resolved from, in a line; a lock of something else is stale."""
        without = f" without {' '.join(sorted(self.without))}" if self.without else ""
        packages = " ".join(self.packages) + ("" if self.depends else " alone")
        return f"apt {self.source.suite} {self.architecture}: {packages}{without}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSet:
    """A set in the store: ``root`` holds ``usr/`` (merged) and perhaps ``etc/`` and ``var/``."""

    name: str
    root: Path
    digest: str
    packages: tuple[LockedPackage, ...]


def load_tools(file: Path | None = None) -> dict[str, ToolSetSpec]:
    """Read ``tools.yaml``, the packaged one by default.

    Raises:
        ConfigError: it is not as it should be.
    """
    document = yamlfile.load(file or defaults.directory("kernels") / TOOLS_FILE)
    form = yamlfile.validate(document, ToolsForm)
    sets = {}
    for name, entry in form.sets.items():
        if entry.source not in form.sources:
            hint = yamlfile.did_you_mean(entry.source, list(form.sources))
            raise document.error(
                ("sets", name, "source"), f"there is no source {entry.source!r}; {hint}"
            )
        sets[name] = ToolSetSpec(
            name=name,
            source=form.sources[entry.source].source(document.path.parent),
            packages=entry.packages,
            architecture=entry.architecture,
            depends=entry.depends,
            without=frozenset(entry.without),
            only=entry.only,
        )
    return sets


def tools_lock_file() -> Path:
    """Return the packaged lock of the tools."""
    return defaults.directory("kernels") / TOOLS_LOCK


def tool_set(
    name: str,
    *,
    store: Store,
    fetcher: Fetcher,
    specs: Mapping[str, ToolSetSpec],
    locks: Mapping[str, Lock],
) -> ToolSet:
    """Return a set from the store, fetched and unpacked when it is not there.

    Args:
        name: A set of ``specs``.
        store: Where packages and tree are kept.
        fetcher: Fetches what the store lacks.
        specs: From :func:`load_tools`.
        locks: From :func:`harness.kernels.lock.read_locks` of :func:`tools_lock_file`.

    Raises:
        UsageError: there is no such set.
        UnavailableError: a package cannot be had, or the set is not locked.
        VerificationError: a package is not what the lock promises.
    """
    spec = _spec(name, specs)
    lock = locks.get(name)
    if lock is None or lock.source != spec.describe():
        state = "not locked" if lock is None else f"locked for {lock.source}, not as it is now"
        raise UnavailableError(f"the tool set {name} is {state}: run `harness kernels lock {name}`")
    digest = digest_of(_FORMAT, [package.sha256 for package in lock.packages], spec.only)

    def build(into: Path) -> None:
        root = into / _ROOT
        root.mkdir()
        for package in lock.packages:
            file = apt.fetch_package(
                spec.source, package, fetcher=fetcher, relock=f"harness kernels lock {name}"
            )
            deb.unpack(file, root, move=deb.merged_usr, keep=lambda path: _keep(path, spec.only))
        _drop_empty(root)

    entry = store.make("tools", digest, f"tool set {name}", build)
    return ToolSet(name=name, root=entry / _ROOT, digest=digest, packages=lock.packages)


def resolve_set(spec: ToolSetSpec, suites: apt.Suites) -> Lock:
    """Return the lock of a set as its suite stands now.

    Raises:
        HarnessError: as :meth:`harness.packages.apt.Suites.index`.
    """
    index = suites.index(spec.source, spec.architecture)
    packages = (
        closure.depends(index, spec.packages, spec.without)
        if spec.depends
        else [index.get(name) for name in spec.packages]
    )
    return Lock(
        release="",
        source=spec.describe(),
        packages=tuple(package.locked for package in packages),
    )


def _spec(name: str, specs: Mapping[str, ToolSetSpec]) -> ToolSetSpec:
    if name not in specs:
        hint = yamlfile.did_you_mean(name, list(specs))
        raise UsageError(f"there is no tool set {name!r}; {hint}")
    return specs[name]


def _keep(path: PurePosixPath, only: tuple[str, ...]) -> bool:
    if only:
        return any(fnmatchcase(str(path), pattern) for pattern in only)
    return not any(fnmatchcase(str(path), pattern) for pattern in _DROPPED)


def _drop_empty(root: Path) -> None:
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
