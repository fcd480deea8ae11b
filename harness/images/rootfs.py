"""The layer of a recipe: mmdebstrap's tar, made the same every time, with the recipe's files."""

from __future__ import annotations

import fnmatch
import io
import re
import tarfile
from pathlib import Path, PurePosixPath

from harness.images.catalog import Recipe, RecipeFile

_EMPTIED = (
    "/dev/*",  # the runtime's
    "/proc/*",
    "/sys/*",
    "/run/*",
    "/tmp/*",  # noqa: S108 - a pattern
    "/var/cache/apt/*.bin",
    "/var/cache/debconf/*-old",
    "/var/cache/ldconfig/aux-cache",
    "/var/lib/apt/lists/*",
    "/var/lib/dpkg/*-old",
    "/var/log/*.log",
    "/var/log/apt/*",
)
"""What differs from build to build, or is nothing of an image's."""

_KEPT = re.compile(r"/run/(lock|[a-z0-9-]+)|/var/lib/apt/lists/partial")
"""Directories among them that packages expect."""


def rewrite(source: Path, target: Path, *, recipe: Recipe, sources: str, epoch: int) -> None:
    """Write the tar at ``source`` anew as a layer.

    Paths that ``recipe`` excludes are left out, its files and ``sources`` (the text of
    /etc/apt/sources.list) are put in, and no time is later than ``epoch``.
    """
    added = {file.path: file for file in recipe.files}
    apt = RecipeFile(path="/etc/apt/sources.list", content=sources)
    added.setdefault(apt.path, apt)
    left_out = re.compile(
        "|".join(fnmatch.translate(pattern) for pattern in (*_EMPTIED, *recipe.exclude))
    )
    seen: set[str] = set()
    with (
        tarfile.open(source, "r|") as old,
        tarfile.open(target, "w|", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in old:
            path = "/" + member.name.removeprefix(".").strip("/")
            kept = member.isdir() and _KEPT.fullmatch(path)
            if path in added or (left_out.fullmatch(path) and not kept):
                continue
            seen.add(path)
            member.name = path.lstrip("/") or "./"
            member.mtime = min(int(member.mtime), epoch)
            member.uname = member.gname = ""
            member.pax_headers = {
                name: value
                for name, value in member.pax_headers.items()
                if name.startswith("SCHILY.xattr.")
            }
            if member.islnk():
                member.linkname = member.linkname.removeprefix("./")
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
        for file in added.values():
            _add(new, file, seen, epoch)


def _add(tar: tarfile.TarFile, file: RecipeFile, seen: set[str], epoch: int) -> None:
    for parent in reversed(PurePosixPath(file.path).parents):
        if str(parent) not in seen and str(parent) != "/":
            seen.add(str(parent))
            directory = tarfile.TarInfo(str(parent).lstrip("/"))
            directory.type, directory.mode, directory.mtime = tarfile.DIRTYPE, 0o755, epoch
            tar.addfile(directory)
    data = file.content.encode()
    info = tarfile.TarInfo(file.path.lstrip("/"))
    info.size, info.mode, info.mtime = len(data), file.mode, epoch
    tar.addfile(info, io.BytesIO(data))
