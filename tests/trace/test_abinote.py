import struct
from pathlib import Path

import pytest

from harness.trace.abinote import HEAD, asked_for

TAG = b"\x04\0\0\0\x10\0\0\0\x01\0\0\0GNU\0"
"""The head of the note: sizes of name and content, kind, name."""


@pytest.fixture(scope="module")
def libc() -> bytes:
    """The beginning of this machine's own C library, as its linker wrote it."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    path = next(line.split()[-1] for line in maps if "/libc.so.6" in line)
    return Path(path).read_bytes()[:HEAD]


def test_glibc_asks_for_the_linux_that_it_was_configured_for(libc: bytes) -> None:
    asked = asked_for(libc)
    assert asked is not None
    assert (2, 6, 0) <= asked <= (5, 0, 0)


def test_the_version_is_what_the_note_says(libc: bytes) -> None:
    place = libc.index(TAG) + len(TAG)
    other = libc[: place + 4] + struct.pack("<3I", 3, 17, 0) + libc[place + 16 :]
    assert asked_for(other) == (3, 17, 0)


def test_a_note_of_another_system_asks_for_no_linux(libc: bytes) -> None:
    place = libc.index(TAG) + len(TAG)
    hurd = libc[:place] + struct.pack("<I", 1) + libc[place + 4 :]
    assert asked_for(hurd) is None


def test_what_is_cut_off_or_no_elf_file_asks_for_nothing(libc: bytes) -> None:
    for head in (b"", b"#!/bin/sh\n", b"\x7fELF", bytes(HEAD), b"\x7fELF\x02" + b"\xff" * 100):
        assert asked_for(head) is None
    for size in range(0, len(libc), 37):
        assert asked_for(libc[:size]) in (None, asked_for(libc))
