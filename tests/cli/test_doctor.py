from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli.conftest import Command

from harness.assembly import Assembly, Options
from harness.doctor import examine
from harness.guest import accelerator
from harness.guest.accelerator import Choice
from harness.model.hosts import Accelerator

Doctor = Callable[[], tuple[int, dict[str, str]]]
NEEDED = ("qemu-system-x86_64", "gpgv")
USEFUL = ("skopeo", "mmdebstrap", "rpmkeys", "gpg", "unshare")


def stand_in(directory: Path, name: str) -> None:
    program = directory / name
    program.write_text("#!/bin/sh\necho QEMU emulator version 10.0.2\n")
    program.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH on which every program is there."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in (*NEEDED, *USEFUL):
        stand_in(directory, name)
    return directory


@pytest.fixture
def doctor(path: Path, harness: Command) -> Doctor:
    """Run the command with that PATH; return its status and the line about each thing."""

    def run() -> tuple[int, dict[str, str]]:
        done = harness("doctor", PATH=str(path))
        assert done.stderr == ""
        header, *lines = done.stdout.splitlines()
        column = header.index("what")
        told = [line for line in lines if line[:column].strip()]
        return done.returncode, {line[column:].split("  ")[0]: line.strip() for line in told}

    return run


def test_with_every_program_the_machine_is_fit(path: Path, doctor: Doctor) -> None:
    status, lines = doctor()
    assert status == 0
    assert lines["QEMU"].split()[:3] == ["ok", "QEMU", "10.0.2"]
    assert all(lines[name].startswith("ok") for name in ("gpgv", "skopeo", "mmdebstrap"))
    assert "0 entries" in lines["store"]
    assert not (path.parent / "store").exists()


@pytest.mark.parametrize(
    ("program", "what", "remedy"),
    [
        ("qemu-system-x86_64", "QEMU", "install qemu-system-x86"),
        ("gpgv", "gpgv", "install gpgv"),
    ],
)
def test_without_a_program_that_every_cell_needs_the_status_is_1(
    path: Path, doctor: Doctor, program: str, what: str, remedy: str
) -> None:
    (path / program).unlink()
    status, lines = doctor()
    assert status == 1
    assert lines[what].startswith("MISSING")
    assert lines[what].endswith(remedy)


def test_a_qemu_without_its_sandbox_is_said_to_be(path: Path, doctor: Doctor) -> None:
    (path / "qemu-system-x86_64").write_text(
        '#!/bin/sh\ncase "$*" in *-sandbox*) echo not enabled in this QEMU >&2; exit 1;; esac\n'
        "echo QEMU emulator version 10.0.2\n"
    )
    status, lines = doctor()
    assert status == 0
    assert lines["QEMU's sandbox"].startswith("without")
    assert "not enabled in this QEMU" in lines["QEMU's sandbox"]
    assert lines["QEMU's sandbox"].endswith("a QEMU built with seccomp, as distributions build it")


@pytest.mark.parametrize(
    ("program", "remedy"),
    [
        ("skopeo", "install skopeo"),
        ("mmdebstrap", "install mmdebstrap"),
        ("rpmkeys", "install rpm"),
        ("gpg", "install gpg"),
    ],
)
def test_without_a_program_that_some_cells_need_the_remedy_is_told(
    path: Path, doctor: Doctor, program: str, remedy: str
) -> None:
    (path / program).unlink()
    status, lines = doctor()
    assert status == 0
    assert lines[program].startswith("without")
    assert lines[program].endswith(remedy)


def test_a_qemu_that_does_not_run_is_missing(path: Path, doctor: Doctor) -> None:
    (path / "qemu-system-x86_64").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    status, lines = doctor()
    assert status == 1
    assert "ended with status 1: broken" in lines["QEMU"]


@pytest.mark.parametrize(
    ("choice", "found", "mark"),
    [
        (None, "the first session proves that a guest boots", "ok"),
        (Choice(Accelerator.KVM, ""), "a guest booted with it", "ok"),
        (Choice(Accelerator.TCG, "KVM does not work here: it hung"), "it hung", "without"),
    ],
)
def test_kvm_is_told_as_it_was_proven(
    choice: Choice | None, found: str, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "recalled", lambda *_: choice)
    assembly = Assembly(Options(rootdir=tmp_path, store=tmp_path / "store"))
    findings = {finding.what: finding for finding in examine(assembly)}
    assert findings["KVM"].found.endswith(found)
    assert findings["KVM"].mark == mark
