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
    assert found.pax_headers.get("SCHILY.xattr.user.x") == member.pax_headers.get(
        "SCHILY.xattr.user.x"
    )
