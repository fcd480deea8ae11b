"""What holds a QEMU while its guest runs, told by the kernel of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.test_lost_guests import qemu_of

from harness.guest.guest import Guest
from harness.laboratory import Laboratory

pytestmark = pytest.mark.guest

NOBODY = 65534


@pytest.fixture(scope="module")
def guest(laboratory: Laboratory) -> Iterator[Guest]:
    ready = laboratory.ready(laboratory.assembly.entry("latest"))
    with laboratory.assembly.apparatus.booted(ready.machine) as running:
        yield running


@pytest.fixture(scope="module")
def process(guest: Guest) -> Path:
    return Path(f"/proc/{qemu_of(guest.pid)}")


def status(process: Path) -> dict[str, str]:
    lines = (process / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_its_seccomp_filter_is_in_force_and_no_privilege_is_left(process: Path) -> None:
    facts = status(process)
    assert facts["Seccomp"] == "2"
    assert facts["NoNewPrivs"] == "1"
    assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0
    if os.geteuid() == 0:
        assert facts["Uid"].split() == [str(NOBODY)] * 4
        assert facts["Groups"] == ""
    assert "unlimited" not in limit(process, "Max data size")
    assert limit(process, "Max core file size").split()[:2] == ["0", "0"]


def limit(process: Path, name: str) -> str:
    lines = (process / "limits").read_text().splitlines()
    return next(line.removeprefix(name) for line in lines if line.startswith(name))


def options(process: Path) -> bytes:
    """Return the command line without files' names, whose random letters may spell anything."""
    return re.sub(rb"/[^\0,]*", b"/", (process / "cmdline").read_bytes())


def test_neither_qemu_nor_its_guest_has_a_network(process: Path, guest: Guest) -> None:
    words = options(process).split(b"\0")
    assert not {b"-nic", b"-netdev", b"-net"} & set(words)
    assert not any(b"-net" in word or b"e1000" in word for word in words)
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "packet"):
        assert len((process / "net" / table).read_text().splitlines()) <= 1
    devices = (process / "net" / "dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    assert guest.run("ls /sys/class/net").stdout.split() == [b"lo"]


def test_no_directory_of_this_machine_is_shared_with_it(process: Path, guest: Guest) -> None:
    words = options(process)
    assert not any(way in words for way in (b"virtfs", b"fsdev", b"9p", b"vhost-user", b"fat:"))
    kinds = guest.run("cut -d' ' -f3 /proc/mounts | sort -u").stdout.split()
    assert not {b"9p", b"virtiofs"} & set(kinds)


def test_what_it_may_write_is_one_directory_of_its_own(process: Path) -> None:
    words = (process / "cmdline").read_bytes().split(b"\0")
    monitor = next(word for word in words if word.startswith(b"unix:")).decode()
    directory = Path(monitor.removeprefix("unix:").partition(",")[0]).parent
    facts = directory.stat()
    assert facts.st_mode & 0o777 == 0o700
    assert facts.st_uid == (NOBODY if os.geteuid() == 0 else os.geteuid())
    kept = {
        name
        for number, name in descriptors(process)
        if name.startswith("/") and writable(process, number) and "(deleted)" not in name
    }
    assert kept == set()


def descriptors(process: Path) -> Iterator[tuple[int, str]]:
    for file in (process / "fd").iterdir():
        yield int(file.name), str(file.readlink())


def writable(process: Path, number: int) -> bool:
    flags = (process / "fdinfo" / str(number)).read_text().split("flags:")[1].split()[0]
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
