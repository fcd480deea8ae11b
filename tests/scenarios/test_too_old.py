from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import process
from harness.process import Completed
from harness.scenarios.too_old import cause

FATAL = "FATAL: kernel too old\n"
MISSING = (
    "plainprog: error while loading shared libraries: libQt5Core.so.5: "
    "cannot open shared object file: No such file or directory\n"
)


@dataclass
class Shell:
    """The shell of this machine, on a kernel whose release is given."""

    release: str
    asked: list[str] = field(default_factory=list)

    def run(
        self, command: str, *, stdin: bytes = b"", limit: float = 60.0, check: bool = True
    ) -> Completed:
        self.asked.append(command)
        if command == "uname -r":
            return Completed((), 0, f"{self.release}\n".encode(), b"", 0.0)
        return process.run(["sh", "-c", command], limit=limit, check=check)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image whose C library is this machine's, and one library that asks for 3.17."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    libc = Path(next(line.split()[-1] for line in maps if "/libc.so.6" in line)).read_bytes()
    directory = tmp_path / "usr/lib/x86_64-linux-gnu"
    directory.mkdir(parents=True)
    (directory / "libc.so.6").write_bytes(libc)
    place = libc.index(b"\x04\0\0\0\x10\0\0\0\x01\0\0\0GNU\0") + 20
    qt = libc[:place] + struct.pack("<3I", 3, 17, 0) + libc[place + 12 :]
    (directory / "libQt5Core.so.5.15").write_bytes(qt)
    (directory / "libQt5Core.so.5").symlink_to("libQt5Core.so.5.15")
    return tmp_path


def test_a_c_library_that_takes_the_kernel_for_too_old_is_named(image: Path) -> None:
    said = cause(Shell("2.6.32-754.el6"), str(image), ["all is well\n", FATAL])
    assert said.startswith("the program's C library takes 2.6.32-754.el6 for too old (\"FATAL: ")
    assert "the image's C library asks for Linux " in said


def test_a_library_that_the_loader_passes_over_is_named_with_what_it_asks_for(image: Path) -> None:
    assert cause(Shell("3.10.0-1160.el7.x86_64"), str(image), [MISSING]) == (
        "/usr/lib/x86_64-linux-gnu/libQt5Core.so.5 asks for Linux 3.17.0 by its ELF note, so that "
        "the loader passes it over on 3.10.0-1160.el7.x86_64"
    )


def test_a_library_that_is_not_there_or_suits_the_kernel_is_no_cause(image: Path) -> None:
    assert cause(Shell("4.18.0-553.el8_10"), str(image), [MISSING]) == ""
    absent = MISSING.replace("libQt5Core", "libQt6Core")
    assert cause(Shell("3.10.0-1160.el7.x86_64"), str(image), [absent]) == ""


def test_other_failures_cost_no_question(image: Path) -> None:
    shell = Shell("3.10.0")
    assert cause(shell, str(image), ["Segmentation fault\n", ""]) == ""
    assert shell.asked == []


def test_what_an_image_calls_its_files_is_no_line_of_its_own(image: Path) -> None:
    odd = image / "lib" / "a\vb c\fd\x85e"
    odd.mkdir(parents=True)
    (image / "usr/lib/x86_64-linux-gnu/libQt5Core.so.5.15").rename(odd / "libQt5Core.so.5")
    said = cause(Shell("3.10.0"), str(image), [MISSING])
    assert said.startswith("/lib/a\vb c\fd\x85e/libQt5Core.so.5 asks for Linux 3.17.0")
