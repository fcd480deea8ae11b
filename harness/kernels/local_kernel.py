"""Kernels at hand: a bzImage that somebody built, and its modules if it has any."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UsageError
from harness.kernels import bzimage
from harness.kernels.layout import MODULES, VMLINUZ
from harness.model.hosts import LocalSource, Lock
from harness.store import digest_of, sha256_of

_KEPT = re.compile(r".*\.ko(\.xz|\.zst|\.gz)?|modules\.[^/]+")
_UNNAMED = "unknown"


def resolve(source: LocalSource) -> Lock:
    """Return what the file says of itself; there is nothing to lock.

    Raises:
        UsageError: it is not a kernel.
    """
    return Lock(release=bzimage.release_of(source.image) or _UNNAMED, packages=())


def key(source: LocalSource, lock: Lock) -> str:
    """Return a key of the kernel's content.

    Raises:
        UsageError: the kernel or its modules cannot be read.
    """
    bzimage.release_of(source.image)
    return digest_of(
        lock.release,
        sha256_of(source.image),
        [(str(name), sha256_of(path)) for name, path in _modules(source, lock.release)],
    )


def unpack(source: LocalSource, lock: Lock, into: Path) -> None:
    """Copy kernel and modules into ``into``.

    Raises:
        UsageError: the kernel or its modules cannot be read.
    """
    shutil.copyfile(source.image, into / VMLINUZ)
    for name, path in _modules(source, lock.release):
        target = into / MODULES / lock.release / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _modules(source: LocalSource, release: str) -> Iterator[tuple[Path, Path]]:
    """Yield each file of the modules: its path below lib/modules/RELEASE, and where it is."""
    if source.modules is None:
        return
    root = _root(source.modules, release)
    for path in sorted(root.rglob("*")):
        if _KEPT.fullmatch(path.name) and path.is_file():
            yield path.relative_to(root), path


def _root(given: Path, release: str) -> Path:
    """Return the directory of this kernel's modules at or below the one that was given.

    ``make modules_install INSTALL_MOD_PATH=DIR`` puts them into DIR/lib/modules/RELEASE.
    """
    inside = [given / part / release for part in (MODULES, f"usr/{MODULES}", ".")]
    for root in (*inside, given):
        if (root / "kernel").is_dir() or any(root.glob("modules.*")) or any(root.glob("*.ko*")):
            others = [path.name for path in root.glob("*/kernel")]
            if not others:
                return root
    below = sorted({path.parent.name for path in given.glob("**/modules.order")})
    remark = f"; there are modules of {', '.join(below)}" if below else ""
    raise UsageError(f"{given} has no modules of the kernel {release}{remark}")
