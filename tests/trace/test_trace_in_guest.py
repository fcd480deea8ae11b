"""The tracer, the census and the ELF look-up on real kernels.

5.10 lacks much of today; the newest has the tracer's programs attached by perf events.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness import defaults
from harness.guest import emulator
from harness.guest.apparatus import Apparatus
from harness.guest.guest import Guest
from harness.guest.qemu import Machine
from harness.kernels import catalog, hosts, sources, tools
from harness.kernels.lock import KERNELS_LOCK, read_locks
from harness.model.hosts import Accelerator
from harness.model.observations import Failure, Origin, ProcessEnd
from harness.packages.download import Fetcher
from harness.store import Store, default_root
from harness.trace import recorder
from harness.trace.census import Census, CensusTaker
from harness.trace.elf import elf_classes
from harness.trace.judge import Evidence, Judge
from harness.trace.operations import Operations
from harness.trace.plan import plan_for
from harness.trace.recorder import recording
from harness.trace.syscalls import Syscalls

pytestmark = pytest.mark.guest

GETPPID, GETUID, UNSHARE = 110, 102, 272

# A filter that answers one number with one action (seccomp(2)), then that call.
REFUSED = """
my ($action, $number) = @ARGV;
sub st { pack("SCCL", @_) }
my $filter = st(0x20, 0, 0, 0) . st(0x15, 0, 1, $number) . st(6, 0, 0, hex $action)
    . st(6, 0, 0, 0x7fff0000);
my $program = pack("Sx6P", 4, $filter);
syscall(157, 38, 1, 0, 0, 0) == 0 && syscall(157, 22, 2, $program) == 0 or die "seccomp: $!";
syscall(int $number);
exit 5;
"""
PERL = "tool perl perl"
COMMANDS = (
    f"{PERL} -e 'syscall(72, 0, 1033, 0); syscall(72, 99, 3, 0); "
    "syscall(600, 1..6); syscall(452, -1, 0, 7); syscall(236, -1); exit 7'",
    f"{PERL} /tmp/refused.pl 00050026 {GETPPID}",  # errno 38
    f"{PERL} /tmp/refused.pl 00050001 {UNSHARE}",  # errno 1
    f"{PERL} /tmp/refused.pl 80000000 {GETUID}",  # kill the process
    f"{PERL} -e 'kill 15, $$'",
    "tool perl-i386 perl -e 'syscall(601, 1..6); exit 3'",
    "sh -c 'ls /nonexistent; exit 4'",
)


@pytest.fixture(scope="module")
def syscalls() -> Syscalls:
    return Syscalls()


on_5_10 = pytest.mark.parametrize("kernel", ["5.10"], indirect=True)


@pytest.fixture(scope="module", params=["5.10", "latest"])
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def guest(kernel: str) -> Iterator[Guest]:
    directory = defaults.directory("kernels")
    entries = catalog.load_catalog([directory / catalog.CATALOG_FILE])
    (entry,) = (one for one in entries if one.name == kernel)
    with Fetcher(Store(default_root())) as fetcher:
        lock = read_locks([directory / KERNELS_LOCK])[kernel]
        obtained = sources.obtain(entry, lock, store=fetcher.store, fetcher=fetcher)
        apparatus = Apparatus(
            store=fetcher.store,
            fetcher=fetcher,
            specs=tools.load_tools(),
            locks=read_locks([tools.tools_lock_file()]),
            qemu_version=emulator.version(),
            resident=recorder.resident(),
        )
        host = hosts.host_of(entry, obtained)
        machine = Machine(
            host=host,
            accelerator=Accelerator.TCG,
            initramfs=apparatus.initramfs(host),
            disks=(apparatus.tools_disk("perl", "perl-i386"),),
        )
        with apparatus.booted(machine) as running:
            running.run("harness-tools perl perl-i386", limit=300)
            yield running


@pytest.fixture(scope="module")
def census(guest: Guest, syscalls: Syscalls) -> Census:
    return CensusTaker(syscalls).take(guest)


Recorded = tuple[tuple[Failure, ...], tuple[ProcessEnd, ...]]


@contextmanager
def traced_by(guest: Guest, way: str) -> Iterator[None]:
    """Hide the loaded BPF programs where they are not wanted, as if the kernel had none."""
    if way == "bpf":
        yield
        return
    guest.run("mv /run/harness/bpf /tmp/bpf")
    try:
        yield
    finally:
        guest.run("mv /tmp/bpf /run/harness/bpf")


@pytest.fixture(scope="module", params=["bpf", "tracefs"])
def recorded(
    guest: Guest, census: Census, syscalls: Syscalls, request: pytest.FixtureRequest
) -> Recorded:
    """Each command of the list above is a step, its shell's process marked after it ended."""
    plan = plan_for(
        census.implemented, syscalls.end(), refusable=(GETPPID, GETUID, UNSHARE), ia32=True
    )
    guest.put({"/tmp/refused.pl": REFUSED.encode()})
    with traced_by(guest, request.param), recording(guest, plan) as under_way:
        assert under_way.armed.notes == ()
        assert under_way.armed.ways is not None
        assert under_way.armed.ways["trace calls"].startswith(request.param)
        for number, command in enumerate(COMMANDS):
            guest.put({"/tmp/command": f"exec {command}\n".encode()})
            mark = under_way.mark_command(f"step {number} pid $(cat /tmp/pid)")
            start = "sh -c 'echo $$ > /tmp/pid; exec sh /tmp/command'"
            guest.run(f"{start}; {mark}", check=False)
        trace, _ = under_way.finish()
    assert trace.complete
    assert (trace.lost, trace.dropped, trace.unparsed) == (0, 0, 0)
    assert trace.containers == len(COMMANDS)
    assert trace.apparatus > 0
    evidence = Evidence(
        plan=plan,
        armed=under_way.armed,
        implemented={abi: frozenset(there) for abi, there in census.implemented.items()},
        abis=elf_classes(guest, "/", trace.paths()),
    )
    judge = Judge(syscalls, Operations())
    return judge.failures(trace, evidence), judge.ends(trace, evidence)


def test_the_censuss_two_ways_agree_on_both_tables(census: Census) -> None:
    assert census.ways == {"x86_64": "raw and kallsyms", "i386": "raw and kallsyms"}
    assert census.disagreements == ()


@on_5_10
def test_5_10_has_close_range_and_futex_and_lacks_epoll_pwait2(
    census: Census, syscalls: Syscalls
) -> None:
    names = {syscalls.name(number) for number in census.implemented["x86_64"]}
    assert {"close_range", "futex", "modify_ldt", "pause", "exit_group"} <= names
    assert not {"epoll_pwait2", "fchmodat2", "memfd_secret", "set_thread_area"} & names
    names = {syscalls.name(number, "i386") for number in census.implemented["i386"]}
    assert {"futex_time64", "ipc", "set_thread_area", "close_range"} <= names


@pytest.mark.parametrize(
    ("name", "errno", "abi", "origin", "reached", "step"),
    [
        ("syscall_600", "ENOSYS", "x86_64", Origin.KERNEL, True, 0),
        ("syscall_236", "ENOSYS", "x86_64", Origin.KERNEL, True, 0),
        ("getppid", "ENOSYS", "x86_64", Origin.SECCOMP, False, 1),
        ("unshare", "EPERM", "x86_64", Origin.SECCOMP, False, 2),
        ("syscall_601", "ENOSYS", "i386", Origin.KERNEL, True, 5),
    ],
)
def test_who_refused_a_call_is_told_apart(
    recorded: Recorded, name: str, errno: str, abi: str, origin: Origin, reached: bool, step: int
) -> None:
    (found,) = (one for one in recorded[0] if (one.name, one.errno) == (name, errno))
    assert (found.abi, found.origin, found.reached) == (abi, origin, reached)
    assert found.steps == (step,)


@on_5_10
def test_a_call_that_came_later_is_named_and_the_kernels_refusal(recorded: Recorded) -> None:
    (found,) = (one for one in recorded[0] if (one.name, one.errno) == ("fchmodat2", "ENOSYS"))
    assert (found.abi, found.origin, found.reached) == ("x86_64", Origin.KERNEL, True)
    assert found.steps == (0,)


@pytest.mark.parametrize("number", [600, 601])
def test_arguments_are_those_of_the_call(recorded: Recorded, number: int) -> None:
    (found,) = (one for one in recorded[0] if one.name == f"syscall_{number}")
    assert found.arguments == (1, 2, 3, 4, 5, 6)


def test_old_commands_of_fcntl_are_not_told_apart_and_no_call_is_taken_for_reached(
    recorded: Recorded,
) -> None:
    (found,) = (one for one in recorded[0] if (one.name, one.errno) == ("fcntl", "EBADF"))
    assert (found.operation, found.reached, found.arguments) == ("", None, None)


def test_operations_of_multiplexed_calls_are_named(recorded: Recorded) -> None:
    named = {(one.name, one.operation) for one in recorded[0]}
    assert {("ioctl", "TCGETS"), ("fcntl", "F_ADD_SEALS")} <= named


@on_5_10
def test_a_flood_of_failures_is_counted_whole_and_so_is_what_is_recorded_next(guest: Guest) -> None:
    # The first is a third more than the buffer holds, so that it has to be read meanwhile.
    for calls in (400_000, 1000):
        with recording(guest, plan_for({}, 471)) as under_way:
            guest.run(
                f"{under_way.mark_command('container pid $$')}; exec {PERL} -e "
                f"'for (1..{calls}) {{ -e q(/nonexistent) }}'",
                limit=120,
            )
            trace, _ = under_way.finish()
        assert (trace.complete, trace.lost, trace.dropped, trace.unparsed) == (True, 0, 0, 0)
        assert calls <= max(call.count for call in trace.calls) < calls + 100  # perl's own start


def test_ends_have_their_status_or_signal_and_the_last_failure(recorded: Recorded) -> None:
    perl = [one for one in recorded[1] if "perl" in one.path or "ld-linux" in one.path]
    assert [(one.exit, one.signal) for one in perl] == [
        (7, None),
        (5, None),
        (5, None),
        (None, "SYS"),
        (None, "TERM"),
        (3, None),
    ]
    assert perl[0].last_failure == "syscall_236 ENOSYS"
    assert perl[1].last_failure == "getppid ENOSYS"


@on_5_10
def test_without_what_loaded_the_programs_filters_are_used_and_it_is_said(guest: Guest) -> None:
    guest.run("read -r loader rest < /run/harness/bpf; kill -KILL $loader")
    try:
        with recording(guest, plan_for({}, 471)) as under_way:
            under_way.finish()
    finally:
        guest.run("perl /etc/trace.pl")
    assert under_way.armed.ways is not None
    assert under_way.armed.ways["trace calls"] == "tracefs (bpf: what loaded it is gone)"


@on_5_10
def test_a_guest_without_tracefs_records_nothing_and_says_so(guest: Guest) -> None:
    guest.run("mv /run/harness/tracefs /tmp/tracefs && : > /run/harness/tracefs")
    try:
        with recording(guest, plan_for({}, 471)) as under_way:
            trace, _ = under_way.finish()
    finally:
        guest.run("mv /tmp/tracefs /run/harness/tracefs")
    assert not under_way.armed.traced
    assert trace.calls == ()


@on_5_10
def test_scripts_and_links_of_an_image_count_as_their_interpreters(guest: Guest) -> None:
    guest.run(
        "mkdir -p /tmp/root/bin /tmp/root/opt && cd /tmp/root && cp /bin/busybox bin/sh && "
        "cp /tools/perl-i386/usr/lib/ld-linux.so.2 opt/old && ln -s /opt/old bin/link && "
        "printf '#!/bin/link -x\\n' > opt/script && printf '#! /opt/script\\n' > 'opt/a b'"
    )
    found = elf_classes(
        guest, "/tmp/root", ["/bin/sh", "/bin/link", "/opt/script", "/opt/a b", "/gone", "relative"]
    )
    assert found == {
        "/bin/sh": "x86_64",
        "/bin/link": "i386",
        "/opt/script": "i386",
        "/opt/a b": "i386",
    }
    assert guest.run("ls /tmp/root").stdout.split() == [b"bin", b"opt"]
