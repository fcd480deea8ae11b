"""Reading tars that come from outside: damaged ones, and such as were made to do harm."""

from __future__ import annotations

import errno
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, Self

from harness.errors import VerificationError

DAMAGED = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    ValueError,
    OverflowError,
    RecursionError,
)
"""What reading a damaged tar ends with; the last three of sizes and names that cannot be."""

_IMPOSSIBLE = {
    errno.EEXIST,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
}
"""A directory where a file is, a name of 5,000 letters: the package's fault, not the disk's."""

_DESCRIBING = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}
_LONGEST = 1 << 20
"""Bytes; a path has 4,096 at most, an extended attribute 65,536."""
_LONGEST_OF_ALL = 1 << 12
"""Bytes, of a header about all members that follow; git writes one of 52."""


class Header(tarfile.TarInfo):
    """A member's header; the ``tarinfo`` of every tar that comes from outside.

    What describes the next member (a long name, a pax header) is read into memory as a whole,
    whatever size it claims, and so is a map of a sparse file; a tar keeps all that it has read.
    """

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Read a member's headers, and keep nothing of them but what is the member's."""
        member = super().fromtarfile(tarfile)
        member.pax_headers = {}
        tarfile.pax_headers = {}  # what was said of all members is said of the next one only
        return member

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header.

        Raises:
            tarfile.ReadError: it announces more words about the next member than any has, or a
                sparse file.
        """
        header = super().frombuf(buf, encoding, errors)
        if header.type in _DESCRIBING and header.size > _LONGEST:
            raise tarfile.ReadError(f"{header.size} bytes about one member")
        if header.type == tarfile.XGLTYPE and header.size > _LONGEST_OF_ALL:
            raise tarfile.ReadError(f"{header.size} bytes about all members")
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("a sparse file")
        return header

    def _proc_gnusparse_10(self, *_: object) -> NoReturn:
        """Refuse a map that lies in the file (tarfile's own hook, in all of its versions)."""
        raise tarfile.ReadError("a sparse file")


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield a tar's members as it does, but end as :data:`DAMAGED` has it at a size below zero."""
    try:
        yield from archive
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise tarfile.ReadError("a member begins before the file") from error


@contextmanager
def blamed(member: tarfile.TarInfo) -> Iterator[None]:
    """Blame a member of a tar for what the file system refuses on its account.

    Raises:
        VerificationError: it says what no file system can hold; the text names it.
        OSError: it is not the member's fault: the disk is full, for one.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _IMPOSSIBLE:
            raise
        raise VerificationError(f"{member.name!r}: {error.strerror}") from error
