import sys
from pathlib import Path

from harness.trace.elf import elf_class


def header(machine: int) -> bytes:
    return (
        b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\x00" + machine.to_bytes(2, "little") + bytes(40)
    )


def test_the_class_is_the_machine_of_the_header() -> None:
    assert elf_class(header(3)) == "i386"
    assert elf_class(header(62)) == "x86_64"
    assert elf_class(header(183)) is None


def test_what_is_no_program_has_no_class() -> None:
    for head in (b"", b"#!/bin/sh\n", b"\x7fELF", b"MZ" + bytes(60)):
        assert elf_class(head) is None


def test_this_python_is_of_its_machine() -> None:
    with Path(sys.executable).resolve().open("rb") as file:
        assert elf_class(file.read(64)) in ("x86_64", None)
