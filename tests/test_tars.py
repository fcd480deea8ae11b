from __future__ import annotations

import io
import tarfile
from typing import Literal

import pytest

from harness import tars

DESCRIBING = [
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
]


def opened(content: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(content), mode="r|", tarinfo=tars.Header)


@pytest.mark.parametrize("kind", DESCRIBING)
def test_no_header_has_gigabytes_read_to_describe_a_member(kind: bytes) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 4 << 30
    with pytest.raises(tarfile.ReadError, match="4294967296 bytes about one member"):
        opened(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))


@pytest.mark.parametrize("layout", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_longest_name_and_attribute_are_read_and_so_is_a_file_of_any_size(
    layout: Literal[1, 2],
) -> None:
    member = tarfile.TarInfo("/".join(["d" * 200] * 20))
    member.size = 4 << 30
    if layout == tarfile.PAX_FORMAT:
        member.pax_headers = {"SCHILY.xattr.user.x": "x" * 65536}
    with opened(member.tobuf(layout)) as tar:
        found = tar.next()
    assert found is not None
    assert (found.name, found.size) == (member.name, member.size)


def described(kind: bytes, words: int) -> bytes:
    """Return a member that has a pax header with so many words before it."""
    text = b"".join(b"18 k%011d=1\n" % number for number in range(words))
    assert len(text) == 18 * words
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, len(text)
    padded = text + bytes(-len(text) % 512)
    return header.tobuf(tarfile.USTAR_FORMAT) + padded + tarfile.TarInfo("y").tobuf()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_what_was_said_of_members_is_not_kept(kind: bytes) -> None:
    with opened(3 * described(kind, 200)) as tar:
        assert [member.pax_headers for member in tar] == [{}, {}, {}]
        assert tar.pax_headers == {}


def test_a_long_header_about_all_members_is_refused() -> None:
    with pytest.raises(tarfile.ReadError, match="18000 bytes about all members"):
        opened(described(tarfile.XGLTYPE, 1000))


def sparse(kind: bytes, headers: dict[str, str]) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.pax_headers = kind, headers
    return member.tobuf(tarfile.PAX_FORMAT) + b"1\n0\n1\n".ljust(512, b"\0")


@pytest.mark.parametrize(
    "content",
    [
        sparse(tarfile.GNUTYPE_SPARSE, {}),
        sparse(tarfile.REGTYPE, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
    ],
    ids=["GNU", "pax"],
)
def test_a_sparse_file_whose_map_may_be_of_any_size_is_refused(content: bytes) -> None:
    with pytest.raises(tarfile.ReadError, match="a sparse file"):
        opened(content)
