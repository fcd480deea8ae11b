"""What fuzzing found, each with the error that it ends in now."""

from __future__ import annotations

import io
import tarfile

import pytest
import zstandard
from fuzz.targets import FILE, INSPECT, MODULE, PACKAGES, PRIMARY, RELEASE, TARGETS, a_tar, an_ar
from ociimages import Member, long_names, tar_of

from harness.errors import HarnessError, VerificationError
from harness.homes import expanded
from harness.scenarios.imports.from_inspect import from_inspect
from harness.trace.abinote import HEAD, asked_for

NEGATIVE = tar_of(Member(name="a", headers=(("size", "-5000"),)))
FINDS = {
    "a version that is none": ("apt-index", PACKAGES.replace(b"6.1.2-1", b"6 1/2")),
    "a size that is no number": ("apt-index", PACKAGES.replace(b"Size: 100", b"Size: a lot")),
    "a checksum line of one word": ("apt-release", RELEASE.replace(b" 10 main", b"\n main")),
    "a release file of noise": ("apt-release", b"\xff\xfe"),
    "metadata that is not UTF-8": ("rpm-primary", b"<\xc0" + PRIMARY[1:]),
    "a package of no name": ("rpm-primary", PRIMARY.replace(b"sha256", b"")),
    "a torn xz": ("module-xz", b"\xfd7zXZ\0\0"),
    "no zstd at all": ("module-zst", b"noise"),
    "a torn zstd": ("module-zst", b"(\xb5/\xfd"),
    "an ar of a wrong magic": ("deb", an_ar(a_tar()).replace(b"`\n", b"??")),
    "an ar that is cut in its header": ("deb", an_ar(a_tar())[:30]),
    "a size below zero": ("deb", an_ar(zstandard.compress(NEGATIVE), b"data.tar.zst")),
    "long names in each other": ("tar", long_names(1000)),
}


@pytest.mark.parametrize("name", FINDS)
def test_a_find_ends_in_an_error_of_the_projects_own(name: str) -> None:
    target, data = FINDS[name]
    with pytest.raises(HarnessError):
        TARGETS[target].read(data)


def test_a_name_longer_than_any_file_system_takes_is_the_packages_fault() -> None:
    with pytest.raises(VerificationError, match="File name too long"):
        TARGETS["tar"].read(long_named())


def long_named() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(tarfile.TarInfo("x" * 5000))
    return out.getvalue()


@pytest.mark.parametrize("size", ["0", "9" * 19, "9" * 5000])
def test_a_tmpfs_of_an_impossible_size_is_left_out_and_said_to_be(size: str) -> None:
    data = INSPECT.replace(b"size=1k", f"size={size}".encode())
    draft = from_inspect(data, FILE)
    assert f"option size={size} of the tmpfs at /t" in draft.left_out


def test_a_module_whose_words_are_not_utf_8_is_read() -> None:
    TARGETS["module"].read(MODULE.replace(b"pci", b"\xff\xfe\xfd"))


def test_the_home_of_nobody_is_a_path_like_any_other() -> None:
    assert str(expanded("~nobody-of-this-name/x")) == "~nobody-of-this-name/x"


def test_a_file_full_of_note_segments_keeps_nobody_busy() -> None:
    head = bytearray(HEAD)
    head[:5] = b"\x7fELF\x02"
    head[54:58] = b"\x01\0\xff\xff"
    assert asked_for(bytes(head)) is None
