from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.kernels import catalog, drill, hosts
from harness.kernels.drill import RELEASES
from harness.model.hosts import Cgroup, HostEntry, Kernel, LocalSource
from harness.trace.syscalls import Syscalls

X86_64, I386, ARM64 = 0xC000003E, 0x40000003, 0xC00000B7
ALLOWED, ENOSYS, EINVAL = 0x7FFF0000, 0x00050026, 0x00050016
LOAD, EQUAL, AT_LEAST, ANSWER = 0x20, 0x15, 0x35, 0x06


def answer(program: bytes, arch: int, number: int, second: int = 0) -> int:
    """Run a filter as the kernel does (classic BPF, as far as it is used here)."""
    data = struct.pack("<IIQQQ", number, arch, 0, 0, second)
    accumulator = place = 0
    steps = list(struct.iter_unpack("<HBBI", program))
    while True:
        code, then, otherwise, value = steps[place]
        place += 1
        if code == LOAD:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == ANSWER:
            return int(value)
        else:
            assert code in (EQUAL, AT_LEAST)
            holds = accumulator == value if code == EQUAL else accumulator >= value
            place += then if holds else otherwise


@pytest.mark.parametrize("name", RELEASES)
def test_what_is_refused_begins_behind_the_releases_last_call(name: str) -> None:
    release, table = RELEASES[name], Syscalls()
    assert release.drill.like == name
    for abi, first in release.drill.refused.items():
        assert table.by_name(abi)[release.last_call] == first - 1


@pytest.mark.parametrize("name", RELEASES)
def test_the_filter_refuses_newer_calls_of_both_tables_and_nothing_else(name: str) -> None:
    wanted = RELEASES[name].drill
    program = drill.program(wanted)
    for arch, abi in ((X86_64, "x86_64"), (I386, "i386")):
        first = wanted.refused[abi]
        for number in (0, 1, first - 1):
            assert answer(program, arch, number) == ALLOWED
        for number in (first, first + 1, 511, 0x40000000 | first):
            assert answer(program, arch, number) == ENOSYS
    assert answer(program, ARM64, 500) == ALLOWED


@pytest.mark.parametrize(("arch", "number"), [(X86_64, 72), (I386, 55), (I386, 221)])
def test_fcntl_knows_no_seals_under_the_drill_of_3_10_alone(arch: int, number: int) -> None:
    dupfd, add_seals, get_seals = 0, 1033, 1034
    old, newer = (drill.program(RELEASES[name].drill) for name in ("3.10", "4.18"))
    for command in (add_seals, get_seals):
        assert answer(old, arch, number, command) == EINVAL
        assert answer(newer, arch, number, command) == ALLOWED
        assert answer(old, arch, number + 1, command) == ALLOWED
    assert answer(old, arch, number, dupfd) == ALLOWED


def test_the_packaged_drills_are_the_hosts_of_those_kernels_and_outside_all() -> None:
    files = [path / catalog.CATALOG_FILE for path in catalog.directories()]
    entries = {entry.name: entry for entry in catalog.load_catalog(files)}
    for name in RELEASES:
        practice, real = entries[f"drill-{name}"], entries[name]
        assert practice.drill == name
        assert real.drill == ""
        same = (practice.cgroup, practice.engine, practice.seccomp)
        assert same == (real.cgroup, real.engine, real.seccomp)
        assert {"alternative", "drill"} <= set(practice.tags)


@pytest.fixture
def host_of_a_drill(tmp_path: Path) -> HostEntry:
    return HostEntry(
        name="mine",
        source=LocalSource(image=tmp_path / "bzImage"),
        cgroup=Cgroup.V1,
        drill="3.10",
        where="catalog.yaml:7",
    )


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    image = tmp_path / "bzImage"
    return Kernel(release="5.10.0-32", vmlinuz=image, modules=None, digest="d", origin="a test")


def test_a_drill_says_what_it_is_and_what_it_is_not(
    host_of_a_drill: HostEntry, kernel: Kernel
) -> None:
    host = hosts.host_of(host_of_a_drill, kernel)
    assert host.without == ("cgroup2", "overlay", "tracefs")
    said = drill.describe(host)
    assert said.startswith("not a 3.10: a 5.10.0-32 whose guest refuses every system call")
    assert "has no cgroup2, overlay, tracefs" in said
    real = hosts.host_of(replace(host_of_a_drill, drill=""), kernel)
    assert drill.describe(real) == ""


def test_what_a_drill_refuses_is_part_of_the_hosts_identity(
    host_of_a_drill: HostEntry, kernel: Kernel
) -> None:
    entries = (replace(host_of_a_drill, drill=name) for name in ("", *RELEASES))
    keys = {hosts.identity(hosts.host_of(entry, kernel)) for entry in entries}
    assert len(keys) == 1 + len(RELEASES)


def test_an_unknown_release_names_the_known_ones(
    host_of_a_drill: HostEntry, kernel: Kernel
) -> None:
    with pytest.raises(UsageError, match=r"catalog.yaml:7: there is no drill of '2.6'; known: 3"):
        hosts.host_of(replace(host_of_a_drill, drill="2.6"), kernel)
