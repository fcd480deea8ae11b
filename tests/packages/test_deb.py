from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
import zstandard
from aptarchive import Archive

from harness.errors import VerificationError
from harness.packages import deb


def everything(_path: PurePosixPath) -> bool:
    return True


def same(path: PurePosixPath) -> PurePosixPath:
    return path


def hostile(path: Path, fill: Callable[[tarfile.TarFile], None]) -> Path:
    """Write a package whose data.tar.zst ``fill`` makes, which dpkg-deb would not."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        fill(archive)
    members = {
        "debian-binary": b"2.0\n",
        "data.tar.zst": zstandard.compress(data.getvalue()),
    }
    raw = b"!<arch>\n"
    for name, content in members.items():
        raw += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        raw += content + b"\n" * (len(content) % 2)
    path.write_bytes(raw)
    return path


def member(archive: tarfile.TarFile, name: str, content: bytes = b"x", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("compression", ["xz", "gzip", "zstd", "none"])
def test_every_compression_is_unpacked(archive: Archive, tmp_path: Path, compression: str) -> None:
    package = archive.add("a", files={"usr/bin/a": b"content"}, compression=compression)
    into = tmp_path / "into"
    into.mkdir()
    deb.unpack(package, into, move=same, keep=everything)
    assert (into / "usr/bin/a").read_bytes() == b"content"


def test_a_tree_with_merged_usr_comes_of_packages_of_any_age(
    archive: Archive, tmp_path: Path
) -> None:
    old = archive.add(
        "old",
        files={
            "lib/x86_64-linux-gnu/ld-2.31.so": b"loader",
            "lib64/ld-linux-x86-64.so.2": "/lib/x86_64-linux-gnu/ld-2.31.so",
            "bin/sh": "dash",
            "bin/dash": b"shell",
            "usr/lib/x86_64-linux-gnu/libz.so": "../../../lib/x86_64-linux-gnu/libz.so.1",
        },
    )
    new = archive.add("new", files={"usr/lib/x86_64-linux-gnu/libz.so.1": b"library"})
    into = tmp_path / "into"
    into.mkdir()
    for package in (old, new):
        deb.unpack(package, into, move=deb.merged_usr, keep=everything)
    assert [path.name for path in into.iterdir()] == ["usr"]
    assert (into / "usr/lib64/ld-linux-x86-64.so.2").read_bytes() == b"loader"
    assert (into / "usr/bin/sh").read_bytes() == b"shell"
    assert (into / "usr/lib/x86_64-linux-gnu/libz.so").read_bytes() == b"library"


def test_unwanted_files_are_left_out_and_modes_kept(archive: Archive, tmp_path: Path) -> None:
    package = archive.add("a", files={"usr/bin/a": b"", "usr/share/doc/a/b": b""})
    into = tmp_path / "into"
    into.mkdir()
    deb.unpack(package, into, move=same, keep=lambda path: "doc" not in path.parts)
    assert [path.name for path in into.rglob("*") if path.is_file()] == ["a"]
    assert (into / "usr/bin/a").stat().st_mode & 0o777 == 0o644


def test_hard_links_stay_and_set_id_bits_do_not(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        member(archive, "./bin/perl", b"perl", mode=0o4755)
        member(archive, "./bin/perl5", b"", type=tarfile.LNKTYPE, linkname="./bin/perl")

    deb.unpack(hostile(tmp_path / "a.deb", fill), tmp_path, move=deb.merged_usr, keep=everything)
    first, second = tmp_path / "usr/bin/perl", tmp_path / "usr/bin/perl5"
    assert first.samefile(second)
    assert first.stat().st_mode & 0o7777 == 0o755


def test_a_path_with_dots_is_refused(tmp_path: Path) -> None:
    package = hostile(tmp_path / "a.deb", lambda archive: member(archive, "../../evil"))
    (tmp_path / "a/b").mkdir(parents=True)
    with pytest.raises(VerificationError, match="reaches outside"):
        deb.unpack(package, tmp_path / "a/b", move=same, keep=everything)
    assert not (tmp_path / "evil").exists()


def test_an_absolute_path_stays_inside(tmp_path: Path) -> None:
    package = hostile(tmp_path / "a.deb", lambda archive: member(archive, "/etc/evil"))
    (tmp_path / "into").mkdir()
    deb.unpack(package, tmp_path / "into", move=same, keep=everything)
    assert (tmp_path / "into/etc/evil").is_file()


def test_a_file_beyond_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def fill(archive: tarfile.TarFile) -> None:
        member(archive, "link", b"", type=tarfile.SYMTYPE, linkname=str(outside))
        member(archive, "link/evil")

    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(VerificationError, match="beyond a symbolic link"):
        deb.unpack(hostile(tmp_path / "a.deb", fill), into, move=same, keep=everything)
    assert not list(outside.iterdir())


def test_symbolic_links_end_inside(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        member(archive, "up", b"", type=tarfile.SYMTYPE, linkname="../../../../etc/passwd")
        member(archive, "root", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")

    into = tmp_path / "into"
    into.mkdir()
    deb.unpack(hostile(tmp_path / "a.deb", fill), into, move=same, keep=everything)
    assert str((into / "up").readlink()) == "etc/passwd"
    assert str((into / "root").readlink()) == "etc/passwd"


@pytest.mark.parametrize("content", [b"", b"text", b"!<arch>\n"], ids=["empty", "text", "no data"])
def test_what_is_not_a_package_is_refused(tmp_path: Path, content: bytes) -> None:
    package = tmp_path / "a.deb"
    package.write_bytes(content)
    with pytest.raises(VerificationError, match=r"a\.deb: not a Debian package"):
        deb.unpack(package, tmp_path, move=same, keep=everything)


def test_a_package_cut_short_is_refused(archive: Archive, tmp_path: Path) -> None:
    package = archive.add("a", files={"usr/bin/a": bytes(1 << 20) + b"x" * 1000})
    package.write_bytes(package.read_bytes()[:-100])
    with pytest.raises(VerificationError, match="not a Debian package"):
        deb.unpack(package, tmp_path, move=same, keep=everything)
