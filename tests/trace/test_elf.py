import sys
from dataclasses import dataclass
from pathlib import Path

from harness.trace.elf import elf_class, elf_classes


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


@dataclass
class Answer:
    stdout: bytes
    stderr: bytes = b""
    status: int = 0


class Image:
    """A guest that answers as heads.pl does."""

    def __init__(self, heads: dict[bytes, bytes]) -> None:
        self._heads = heads

    def run(
        self, command: str, *, stdin: bytes = b"", limit: float = 60.0, check: bool = True
    ) -> Answer:
        asked = stdin.split(b"\0")[:-1]
        return Answer("".join(f"{self._heads.get(name, b'').hex()}\n" for name in asked).encode())


def test_an_interpreters_name_ends_at_a_nul_and_takes_no_other_files_place() -> None:
    image = Image(
        {
            b"/bin/a": b"#!/bin/old\0/bin/odd\n",
            b"/bin/b": b"#!/bin/sh\n",
            b"/bin/old": header(3),
            b"/bin/sh": header(62),
        }
    )
    found = elf_classes(image, "/root", ["/bin/a", "/bin/b"])
    assert found == {"/bin/a": "i386", "/bin/b": "x86_64"}
