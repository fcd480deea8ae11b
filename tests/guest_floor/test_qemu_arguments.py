from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest

from harness.guest import emulator, qemu
from harness.guest.emulator import Features
from harness.guest.handover import Handover
from harness.guest.qemu import Disk, Machine
from harness.model.hosts import Accelerator, Cgroup, Engine, Host, Kernel

KERNEL = Kernel(release="5.0", vmlinuz=Path("/k/vmlinuz"), modules=None, digest="d", origin="o")
MACHINE = Machine(
    host=Host(
        name="mine",
        kernel=KERNEL,
        memory=512,
        cpus=2,
        cpu="Nehalem",
        cmdline="quiet=1",
        cgroup=Cgroup.V2,
        engine=Engine.PODMAN,
        seccomp="",
        sysctl={},
    ),
    accelerator=Accelerator.TCG,
    initramfs=Path("/i/initramfs"),
)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A QEMU by name: what it would be told is the same on a machine that has none."""
    program = tmp_path / "bin" / emulator.PROGRAM
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@dataclass(slots=True, kw_only=True)
class Named(Handover):
    """Hands files over by name, so that a test reads which went where."""

    def again(self, path: Path, *, writable: bool = False) -> str:
        return f"again:{path}:{'rw' if writable else 'r'}"

    def held(self, path: Path, *, writable: bool) -> str:
        return f"held:{path}:{'rw' if writable else 'r'}"


def words(machine: Machine, directory: str = "/d") -> list[str]:
    with ExitStack() as stack:
        return qemu.arguments(machine, Path(directory), Named(stack=stack))


def option(given: list[str], name: str) -> list[str]:
    return [value for key, value in pairwise(given) if key == name]


def test_the_guest_is_the_host_that_was_asked_for() -> None:
    given = words(MACHINE)
    assert option(given, "-cpu") == ["Nehalem,enforce"]
    assert option(given, "-smp") == ["2"]
    assert option(given, "-m") == ["512M"]
    assert option(given, "-kernel") == ["again:/k/vmlinuz:r"]
    assert option(given, "-initrd") == ["again:/i/initramfs:r"]
    assert option(given, "-accel") == ["tcg,thread=multi"]
    assert option(words(replace(MACHINE, accelerator=Accelerator.KVM)), "-accel") == ["kvm"]
    counted = words(replace(MACHINE, counted=True))
    assert option(counted, "-accel") == ["tcg"]  # QEMU counts on one thread only
    assert option(counted, "-icount") == ["shift=0,sleep=on"]


def test_the_guest_has_no_network_no_screen_and_no_config_of_the_user() -> None:
    given = words(MACHINE)
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(given)
    assert option(given, "-display") == ["none"]
    assert not {"-nic", "-netdev", "-net"} & set(given)
    assert not any("net" in device for device in option(given, "-device"))


def test_the_command_line_is_the_harness_s_then_the_hosts_then_the_callers() -> None:
    line = qemu.command_line(replace(MACHINE, append="last"))
    assert line.endswith(" quiet=1 last")
    assert "panic=-1" in line.split()
    plain = replace(MACHINE, host=replace(MACHINE.host, cmdline=""))
    assert qemu.command_line(plain) == qemu.command_line(plain).strip()


def test_sockets_lie_in_the_guests_directory_and_commas_are_quoted() -> None:
    given = words(MACHINE, "/a,b")
    assert option(given, "-qmp") == ["unix:/a,,b/qmp,server=on,wait=off"]
    assert "socket,id=ssh,path=/a,,b/ssh,server=on,wait=off" in given


def test_disks_are_found_by_serial_and_written_only_where_allowed() -> None:
    disks = (
        Disk(serial="tools", path=Path("/t"), format="raw", read_only=True),
        Disk(serial="image", path=Path("/i"), format="qcow2", throw_away=True),
        Disk(serial="out", path=Path("/o"), format="raw"),
    )
    given = words(replace(MACHINE, disks=disks))
    tools, image, out = option(given, "-drive")
    assert "file=held:/t:r" in tools
    assert "file=held:/i:r" in image
    assert "file=held:/o:rw" in out
    assert "read-only=on" in tools.split(",")
    assert "snapshot=on" in image.split(",")
    assert not {"read-only=on", "snapshot=on"} & set(out.split(","))
    devices = [word for word in option(given, "-device") if word.startswith("virtio-blk")]
    assert [device.rpartition("serial=")[2] for device in devices] == ["tools", "image", "out"]


def test_a_snapshot_is_written_shared_and_read_privately() -> None:
    file = Path("/s/memory")
    made = option(words(replace(MACHINE, memory_file=file, memory_shared=True)), "-object")
    path = "mem-path=again:/s/memory"
    assert made == [f"memory-backend-file,id=ram,size=512M,{path}:rw,share=on"]
    clone = words(replace(MACHINE, memory_file=file, incoming=True))
    assert option(clone, "-object")[0].endswith("share=off")
    assert option(clone, "-incoming") == ["defer"]
    assert option(words(MACHINE), "-object") == ["memory-backend-ram,id=ram,size=512M"]
    assert "-incoming" not in words(MACHINE)


def test_a_qemu_that_can_gets_a_snapshots_memory_read_only() -> None:
    machine = replace(
        MACHINE, memory_file=Path("/s/memory"), features=Features(read_only_memory=True)
    )
    assert option(words(replace(machine, incoming=True)), "-object") == [
        "memory-backend-file,id=ram,size=512M,mem-path=again:/s/memory:r,share=off,"
        "readonly=on,rom=off"
    ]
    made = option(words(replace(machine, memory_shared=True)), "-object")
    assert made[0].endswith(":rw,share=on")


def test_qemu_may_start_no_program_of_its_own() -> None:
    assert "spawn=deny" in option(words(MACHINE), "-sandbox")[0]
    assert "-sandbox" not in words(replace(MACHINE, features=Features(sandbox=False)))
