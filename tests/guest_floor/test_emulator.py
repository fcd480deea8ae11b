from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import ToolError
from harness.guest import emulator
from harness.guest.emulator import Features


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A QEMU of other versions and builds than this machine's."""
    program = tmp_path / "bin" / emulator.PROGRAM
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


def test_without_qemu_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolError, match=r"is not installed: install the package qemu-system-x86$"):
        emulator.version()


def test_a_qemu_that_names_no_version_is_an_error(program: Path) -> None:
    program.write_text("#!/bin/sh\necho QEMU emulator version 10.0.2 '(Debian 1:10.0.2)'\n")
    assert emulator.version() == "10.0.2"
    program.write_text("#!/bin/sh\necho something else\n")
    with pytest.raises(ToolError, match="which names no version"):
        emulator.version()


def test_a_qemu_built_without_seccomp_is_noticed(program: Path) -> None:
    told = "-sandbox support is not enabled in this QEMU binary"
    program.write_text(
        f"#!/bin/sh\ncase \"$*\" in *-sandbox*) echo '{told}' >&2; exit 1;; esac\n"
        "echo '  rom=<OnOffAuto>'\n"
    )
    assert emulator.features() == Features(sandbox=False, read_only_memory=True)
    assert told in emulator.sandbox_problem()


def test_this_machines_qemu_takes_its_sandbox() -> None:
    assert emulator.features().sandbox
    assert emulator.sandbox_problem() == ""
