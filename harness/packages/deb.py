"""Unpacking binary Debian packages (deb(5)) without dpkg and without root.

Owners, devices and set-id bits are not kept: what is unpacked is read, or packed anew for a
guest whose only user is root.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, cast

from debian.arfile import ArError, ArFile
from zstandard import ZstdDecompressor, ZstdError

from harness import tars
from harness.errors import VerificationError

Move = Callable[[PurePosixPath], PurePosixPath]
Keep = Callable[[PurePosixPath], bool]

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")


def merged_usr(path: PurePosixPath) -> PurePosixPath:
    """Return where a path lies on a system with merged /usr (``/lib`` is ``/usr/lib``)."""
    return PurePosixPath("usr") / path if path.parts and path.parts[0] in _MERGED else path


def unpack(deb: Path, into: Path, *, move: Move, keep: Keep) -> None:
    """Unpack a package's files into ``into``.

    Args:
        deb: The package; ``data.tar`` may be plain, or compressed with gzip, xz or zstd.
        into: An existing directory.
        move: Where a path of the package (relative, ``usr/bin/x``) comes to lie.
        keep: Whether a moved path is wanted.

    Symbolic links become relative ones to where their target came to lie, inside ``into``.

    Raises:
        VerificationError: not a Debian package, or one that reaches outside of ``into``.
    """
    try:
        with _data(deb) as archive:
            unpack_tar(archive, into, move=move, keep=keep)
    except (*tars.DAMAGED, ArError, LZMAError, ZstdError) as error:
        raise VerificationError(f"{deb}: not a Debian package: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise VerificationError(f"{deb}: not a Debian package: {error}") from error


def unpack_tar(archive: tarfile.TarFile, into: Path, *, move: Move, keep: Keep) -> None:
    """Unpack an open tar as :func:`unpack` does.

    Raises:
        VerificationError: it reaches outside of ``into``, or says what no file system can hold.
    """
    for member in tars.members(archive):
        with tars.blamed(member):
            _unpack_member(archive, member, into, move, keep)


@contextmanager
def _data(deb: Path) -> Iterator[tarfile.TarFile]:
    """Open a package's ``data.tar``; tarfile itself knows no zstd before Python 3.14."""
    container = ArFile(str(deb))
    names = [name for name in container.getnames() if name.startswith("data.tar")]
    if len(names) != 1:
        raise ArError("it has no data.tar")
    with closing(container.getmember(names[0])) as member:
        stream = cast(IO[bytes], member)
        if not names[0].endswith(".zst"):
            with tarfile.open(fileobj=stream, mode="r:*", tarinfo=tars.Header) as archive:
                yield archive
            return
        with tempfile.TemporaryFile() as plain:
            ZstdDecompressor().copy_stream(stream, plain)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r:", tarinfo=tars.Header) as archive:
                yield archive


def _unpack_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path, move: Move, keep: Keep
) -> None:
    source = _inside(member.name)
    target = move(source)
    if target == PurePosixPath() or not keep(target):
        return
    path = into / target
    if any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(into)):
        raise VerificationError(f"{member.name} lies beyond a symbolic link of the same package")
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if member.issym():
        path.symlink_to(_link(source, target, member.linkname, move))
    elif member.islnk() and (into / move(_inside(member.linkname))).is_file():
        path.hardlink_to(into / move(_inside(member.linkname)))
    elif member.isfile() or member.islnk():
        reader = archive.extractfile(member)
        if reader is None:
            raise VerificationError(f"{member.name} links to a file that is not there")
        with reader, path.open("wb") as writer:
            shutil.copyfileobj(reader, writer)
        path.chmod(0o755 if member.mode & 0o111 else 0o644)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(posixpath.normpath(name.lstrip("/")))
    if ".." in path.parts:
        raise VerificationError(f"{name} reaches outside of the package")
    return PurePosixPath() if path == PurePosixPath(".") else path


def _link(source: PurePosixPath, target: PurePosixPath, text: str, move: Move) -> str:
    """Return the text of a link that lay at ``source`` and lies at ``target``.

    Joined to the root, so that ``..`` ends there as it does for the kernel.
    """
    absolute = posixpath.normpath(posixpath.join("/", str(source.parent), text))
    moved = move(PurePosixPath(absolute.lstrip("/")))
    return os.path.relpath(f"/{moved}", f"/{target.parent}")
