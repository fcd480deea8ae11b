"""How an unpacked kernel lies in the store, and what its content's digest is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.model.hosts import Kernel
from harness.store import sha256_of

KIND = "kernels"
VMLINUZ = "vmlinuz"
MODULES = "lib/modules"
_DIGEST = "digest"


def content_digest(tree: Path) -> str:
    """Return one sha256 of every file's path and content below ``tree``."""
    total = hashlib.sha256()
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            total.update(f"{sha256_of(path)} {path.relative_to(tree)}\n".encode())
    return total.hexdigest()


def seal(tree: Path) -> None:
    """Note the digest of a freshly unpacked kernel in it."""
    digest = content_digest(tree)
    (tree / _DIGEST).write_text(digest)


def kernel_at(tree: Path, release: str, origin: str) -> Kernel:
    """Return the kernel that lies at ``tree``."""
    modules = tree / MODULES / release
    return Kernel(
        release=release,
        vmlinuz=tree / VMLINUZ,
        modules=modules if modules.is_dir() else None,
        digest=(tree / _DIGEST).read_text(),
        origin=origin,
    )
