from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.guest import accelerator, qemu
from harness.guest.accelerator import Choice
from harness.guest.qemu import Keeper, Machine
from harness.model import Accelerator, Host, Kernel
from harness.store import Store

VERSION = "9.9"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    kernel = Kernel(
        release="5.0", vmlinuz=tmp_path / "vmlinuz", modules=None, digest="d", origin="o"
    )
    host = Host(name="mine", kernel=kernel)
    return Machine(host=host, accelerator=Accelerator.TCG, initramfs=tmp_path / "initramfs")


@pytest.fixture
def tries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A QEMU that notes that it was started and ends; returns the note."""
    note = tmp_path / "tries"
    program = tmp_path / "bin" / qemu.PROGRAM
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >>{note}\necho no virtualisation >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accelerator, "DEVICE", device)
    monkeypatch.setattr(accelerator.obstacle, "__defaults__", (device,))
    return note


@pytest.fixture
def boots(tries: Path) -> Path:
    """A QEMU whose guest comes up at once."""
    program = tries.parent / "bin" / qemu.PROGRAM
    program.write_text(
        f"#!/bin/sh\necho \"$*\" >>{tries}\necho 'harness: ready'\nexec sleep 1000\n"
    )
    return tries


def choose(wanted: str, machine: Machine, store: Store, version: str = VERSION) -> Choice:
    return accelerator.choose(wanted, machine, Keeper(), store=store, qemu_version=version)


def test_tcg_is_taken_without_a_look_at_kvm(machine: Machine, store: Store, tries: Path) -> None:
    assert choose("tcg", machine, store).accelerator is Accelerator.TCG
    assert not tries.exists()


def test_an_unknown_word_is_refused(machine: Machine, store: Store) -> None:
    with pytest.raises(UsageError, match=r"unknown accelerator 'fast': give auto, kvm or tcg"):
        choose("fast", machine, store)


def test_a_missing_device_is_named(tmp_path: Path) -> None:
    assert accelerator.obstacle(tmp_path / "kvm").startswith(f"{tmp_path}/kvm does not exist")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_device_without_permission_is_named_with_the_remedy(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch(mode=0)
    assert accelerator.obstacle(device) == (
        f"no permission on {device}: add yourself to the group that owns it (kvm)"
    )


def test_a_device_that_opens_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    assert accelerator.obstacle(tmp_path / "kvm") == ""


def test_without_a_device_auto_is_tcg_and_kvm_is_an_error(
    machine: Machine, store: Store, tries: Path
) -> None:
    accelerator.DEVICE.unlink()
    found = choose("auto", machine, store)
    assert found.accelerator is Accelerator.TCG
    assert "does not exist" in found.why
    with pytest.raises(UsageError, match="KVM was asked for but does not work: .*does not exist"):
        choose("kvm", machine, store)
    assert not tries.exists()


def test_kvm_that_does_not_boot_is_tried_once_a_boot_of_the_machine(
    machine: Machine, store: Store, tries: Path
) -> None:
    found = choose("auto", machine, store)
    assert found.accelerator is Accelerator.TCG
    assert "no virtualisation" in found.why
    assert "-accel kvm" in tries.read_text()
    assert choose("auto", machine, Store(store.root)) == found
    with pytest.raises(UsageError, match="does not work"):
        choose("kvm", machine, store)
    assert len(tries.read_text().splitlines()) == 1


def test_another_qemu_is_tried_anew(machine: Machine, store: Store, tries: Path) -> None:
    choose("auto", machine, store)
    choose("auto", machine, store, "10.0")
    assert len(tries.read_text().splitlines()) == 2


def test_kvm_whose_guest_comes_up_is_taken_and_remembered(
    machine: Machine, store: Store, boots: Path
) -> None:
    assert choose("auto", machine, store) == Choice(Accelerator.KVM, "")
    assert choose("kvm", machine, store) == Choice(Accelerator.KVM, "")
    assert len(boots.read_text().splitlines()) == 1
