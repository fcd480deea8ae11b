"""The way to a guest under stress, in small; `harness bench --channel` does it at full length."""

from __future__ import annotations

import re

import pytest

from harness.bench.channel import Load, channel, lines
from harness.guest import guest as guests
from harness.laboratory import Laboratory

pytestmark = pytest.mark.guest

SMALL = Load(commands=200, transfer=5_000_000, sessions=8, cuts=3)


@pytest.mark.parametrize("kernel", ["5.10", "latest"])
def test_nothing_is_lost_on_the_way_to_a_restored_guest_under_stress(
    laboratory: Laboratory, kernel: str
) -> None:
    ready = laboratory.ready(laboratory.assembly.entry(kernel))
    figures = channel(laboratory, ready, SMALL)
    assert figures["commands"]["number"] == SMALL.commands
    assert figures["sessions"]["at once"] == SMALL.sessions
    assert figures["in"]["MB"] == figures["out"]["MB"] == 5.0
    assert figures["cuts"]["number"] == SMALL.cuts
    assert len(lines(kernel, figures)) == len(figures)


def test_a_server_that_ends_while_it_waits_for_a_host_is_replaced(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guests, "HANG_UP", 7.0)
    ready = laboratory.ready(laboratory.assembly.entry("5.10"))
    with laboratory.assembly.apparatus.booted(ready.machine) as guest:
        before = guest.run("pidof dropbear").stdout.split()
        guest.run("{ sleep 2; pidof dropbear >/tmp/killed; kill -9 $(pidof dropbear); } >&- 2>&- &")
        guest.reconnect(30)
        killed = guest.run("cat /tmp/killed").stdout.split()
        assert set(killed) - set(before)  # the one that waited for the next host
        assert not set(killed) & set(guest.run("pidof dropbear").stdout.split())


ASKED_OF_THE_GENERATOR = """
cd /sys/kernel/tracing
echo 'p:asked random_ioctl request=%si:x32' >kprobe_events
echo 'r:answered random_ioctl status=$retval:x32' >>kprobe_events
echo 1 >events/kprobes/enable
echo 1 >tracing_on
"""


def test_the_seed_that_a_host_brings_counts_as_entropy(laboratory: Laboratory) -> None:
    ready = laboratory.ready(laboratory.assembly.entry("5.10"))
    with laboratory.assembly.apparatus.booted(ready.machine) as guest:
        guest.run(ASKED_OF_THE_GENERATOR)
        guest.reconnect(30)
        said = guest.run("cat /sys/kernel/tracing/trace").stdout.decode()
    events = re.findall(r"-(\d+) +\[.*(?:request|status)=(\w+)", said)
    relay = next(pid for pid, value in events if value == "0x40085203")
    asked = [value for pid, value in events if pid == relay]
    assert asked[-4:] == ["0x40085203", "0x0", "0x5207", "0x0"]


SLOW_WORKERS = r"""
perl -e '
    sub uptime { open my $in, "<", "/proc/uptime"; (split " ", <$in>)[0] }
    sub fifo { syscall 144, $_[0], 1, pack "l", $_[1] }    # sched_setscheduler(2), SCHED_FIFO
    fifo($_ + 0, 2) == 0 or die "fifo: $!\n" for @ARGV;
    exit if fork;
    open STDIN, "<", "/dev/null"; close STDOUT; close STDERR;
    fifo(0, 1);
    while (1) {
        $end = uptime() + 0.45;
        1 while uptime() < $end;
        select undef, undef, undef, 0.05;
    }
' $(pidof perl)
"""
"""Holds the kernel's workers up, half a second each time, and not the relay."""


def test_a_host_that_is_heard_before_its_port_is_known_to_be_open_is_served(
    laboratory: Laboratory,
) -> None:
    ready = laboratory.ready(laboratory.assembly.entry("5.10"))
    with laboratory.assembly.apparatus.booted(ready.machine) as guest:
        guest.run(SLOW_WORKERS)
        for _ in range(4):
            guest.reconnect(60)
            assert len(guest.run("pidof perl").stdout.split()) == 3  # the workers are still held up
