"""How an unpacked kernel lies in the store, and what its content's digest is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from harness.model.hosts import Kernel
from harness.store import sha256_of

KIND = "kernels"
VMLINUZ = "vmlinuz"
MODULES = "lib/modules"
DIGEST = "digest"


def content_digest(tree: Path) -> str:
    """Return one sha256 of every file's path and content below ``tree``."""
    files = (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    return digest_of_sums({str(path.relative_to(tree)): sha256_of(path) for path in files})


def digest_of_sums(sums: Mapping[str, str]) -> str:
    """Return the same of what each file's sha256 is, by path."""
    total = hashlib.sha256()
    for path in sorted(sums, key=PurePosixPath):
        total.update(f"{sums[path]} {path}\n".encode())
    return total.hexdigest()


def seal(tree: Path) -> None:
    """Note the digest of a freshly unpacked kernel in it."""
    digest = content_digest(tree)
    (tree / DIGEST).write_text(digest)


def kernel_at(tree: Path, release: str, origin: str) -> Kernel:
    """Return the kernel that lies at ``tree``."""
    modules = tree / MODULES / release
    return Kernel(
        release=release,
        vmlinuz=tree / VMLINUZ,
        modules=modules if modules.is_dir() else None,
        digest=(tree / DIGEST).read_text(),
        origin=origin,
    )
