"""One recording: arm a guest's tracer, read it while a cell runs, take its result."""

from __future__ import annotations

import re
import secrets
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
from typing import Protocol

from harness.answers import understood
from harness.errors import GuestError
from harness.trace import bpf, elf
from harness.trace.elf import Shell
from harness.trace.parser import TraceParser
from harness.trace.plan import (
    FCNTL_FILTER,
    Armed,
    Plan,
    Range,
    enter_filter,
    enter_ranges,
    exit_filters,
)
from harness.trace.records import Trace

ARM_LIMIT = 60.0
IDLE_LIMIT = 5.0
"""Seconds without a byte of the trace, after which its end is given up."""
DRAIN_LIMIT = 120.0
"""Seconds for the whole rest of a trace once the cell has ended."""

_ARM = ". /dev/stdin"
_FINISH = """(
read -r t < /run/harness/tracefs && cd "$t" || exit 1
echo {end} > trace_marker
echo 0 > tracing_on
programs=
read -r waiting rest < /run/harness/bpf && [ "$waiting" != 0 ] && programs="/proc/$waiting/fdinfo/*"
cat per_cpu/cpu*/stats $programs
)
printf '\\0'
{then}
"""
_DISARM = """read -r t < /run/harness/tracefs && echo 0 > "$t/events/enable"
read -r loader rest 2>/dev/null < /run/harness/bpf && [ "$loader" != 0 ] || exit 0
kill -KILL "$loader"
rm /run/harness/bpf
perl /etc/trace.pl"""
_REPORT = re.compile(rb"[\s\S]*?^traced=\w+\n", re.MULTILINE)
_DROPS = ("overrun", "dropped events", "recursion_misses")


def resident() -> Mapping[str, bytes]:
    """Return what the tracer needs in the initramfs, by path: init.sh runs it."""
    setup = (files(__package__) / "setup.sh").read_bytes()
    return {"etc/trace.sh": setup, **bpf.resident(), **elf.resident()}


class Stream(Protocol):
    """A command whose output is handed on."""

    def wait(self, limit: float) -> bool:
        """Wait for its end; tell whether it came within ``limit`` seconds."""


class Guest(Shell, Protocol):
    """What is asked of a guest here."""

    def stream(
        self, command: str, sink: Callable[[bytes], None], stdin: bytes = b""
    ) -> AbstractContextManager[Stream]:
        """Start a command on ``stdin`` and hand its output to ``sink``."""


class Recording:
    """A recording under way; made by :func:`recording`."""

    def __init__(self, guest: Guest, token: str) -> None:
        self.armed = Armed(traced=False)
        self._guest = guest
        self._token = token
        self._parser = TraceParser(token)
        self._said = b""
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._bytes = 0

    def take(self, data: bytes) -> None:
        """Take the stream's next bytes: the arming's report, then the trace.

        Called by the stream's thread alone.
        """
        if not self._ready.is_set():
            self._said += data
            report = _REPORT.match(self._said)
            if report is None:
                return
            data = self._said[report.end() :]
            self._said = report[0]
            self._ready.set()
        self._bytes += len(data)
        self._parser.feed(data)
        if self._parser.ended:
            self._ended.set()

    def await_armed(self, stream: Stream, ranges: tuple[Range, ...]) -> None:
        """Wait for the arming's report and read it.

        Raises:
            GuestError: it did not come.
        """
        waited = 0.0
        while not self._ready.wait(0.05):
            waited += 0.05
            gone = stream.wait(0)
            if waited > ARM_LIMIT or (gone and not self._ready.is_set()):
                raise GuestError(f"the tracer could not be armed: {self._said[-500:]!r}")
        self.armed = read_report(self._said.decode(errors="replace"), ranges)

    def arming(self, plan: Plan, ranges: tuple[Range, ...]) -> bytes:
        """Return what the guest's shell reads: its settings and its program."""
        wanted, plain = exit_filters(plan)
        settings = {
            "token": self._token,
            "table": bpf.table(ranges),
            "enter": enter_filter(ranges),
            "fcntl": FCNTL_FILTER,
            "exit": wanted,
            "exit_plain": plain,
        }
        lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
        return "\n".join([*lines, (files(__package__) / "arm.sh").read_text()]).encode()

    def mark_command(self, words: str) -> str:
        """Return the shell command that writes a mark, to be joined with others of the guest.

        It never fails: without a tracer it does nothing. WORDS may hold shell expansions, such
        as ``container pid $pid``.
        """
        if not self.armed.traced:
            return ":"
        return (
            "{ read -r harness_t < /run/harness/tracefs && "
            f'echo "harness {self._token} {words}" > "$harness_t/trace_marker"; }} 2>/dev/null || :'
        )

    def mark(self, words: str) -> None:
        """Write a mark: ``step N``, ``step N pid PID``, ``step N end``, ``container pid PID``."""
        if self.armed.traced:
            self._guest.run(self.mark_command(words))

    @classmethod
    def idle(cls, guest: Guest) -> Recording:
        """Return a recording that records nothing, for a cell that runs untraced."""
        one = cls(guest, "")
        one.armed = Armed(traced=False, ways={"trace": "off"})
        return one

    def partial(self) -> Trace:
        """Return what came so far of a guest that was lost."""
        return self._parser.finish()

    def finish(self, then: str = ":") -> tuple[Trace, bytes]:
        """End the recording; return what it holds, and what the shell command ``then`` writes.

        The command is run after the trace's end, in the same round trip. A trace that does not
        come to its end in time is returned as far as it came, with ``complete`` false.
        """
        if not self.armed.traced:
            return self._parser.finish(), self._guest.run(then, check=False).stdout
        end = shlex.quote(f"harness {self._token} end")
        reply = self._guest.run(_FINISH.format(end=end, then=then), check=False)
        statistics, _, said = reply.stdout.partition(b"\0")
        self._await_end()
        with understood("how many events were lost"):
            dropped = dropped_events(statistics.decode(errors="replace"))
        return self._parser.finish(dropped=dropped), said

    def _await_end(self) -> None:
        waited = 0.0
        while waited < DRAIN_LIMIT:
            before = self._bytes
            if self._ended.wait(IDLE_LIMIT) or self._bytes == before:
                return
            waited += IDLE_LIMIT


@contextmanager
def recording(guest: Guest, plan: Plan) -> Iterator[Recording]:
    """Arm the tracer of ``guest`` and record until :meth:`Recording.finish`.

    Where the kernel has no tracer, the recording is empty and its ``armed.notes`` say why.
    """
    one = Recording(guest, secrets.token_hex(4))
    ranges = enter_ranges(plan)
    with guest.stream(_ARM, one.take, one.arming(plan, ranges)) as stream:
        one.await_armed(stream, ranges)
        yield one


def disarm(guest: Guest) -> None:
    """Take away what recordings left armed in a guest: nothing of it costs its calls any more.

    Another recording can follow.
    """
    guest.run(_DISARM)


def read_report(said: str, ranges: tuple[Range, ...]) -> Armed:
    """Read what arm.sh said that it did."""
    done = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if done.pop("traced", "no") != "yes":
        note = "this kernel has no tracer (tracefs): failing system calls were not recorded"
        return Armed(traced=False, ways={"trace": "none"}, notes=(note,))
    notes = [sentence for (name, value), sentence in _NOTES.items() if done.get(name) == value]
    return Armed(
        traced=True,
        enters=ranges if done.get("enter") == "yes" else (),
        ways={f"trace {name}": value for name, value in done.items()},
        notes=tuple(notes),
    )


def dropped_events(stats: str) -> int:
    """Return how many events were lost, by the per-CPU statistics and the programs' own.

    A program that is not run because another task of its processor is in it has missed a call
    (``recursion_misses`` of its fdinfo, Linux 5.12).
    """
    total = 0
    for line in stats.splitlines():
        name, _, value = line.partition(":")
        if name in _DROPS and value.strip().isdecimal():
            total += int(value)
    return total


_NOTES = {
    ("exit_filter", "none"): "this kernel's tracer took no filter for sys_exit: every call was "
    "recorded, so events may be lost",
    ("enter", "no"): "this kernel's tracer took no sys_enter: who refused a call is not known",
    ("forks", "no"): "this kernel's tracer has no event for new processes: only the calls of the "
    "container's first process were recorded",
    ("execs", "no"): "this kernel's tracer has no event for exec: nothing could be recorded",
    ("ends", "no"): "this kernel's tracer has no event for the end of processes",
    ("signals", "no"): "this kernel's tracer has no signal events: which signal ended a process "
    "is not known",
    ("names", "on"): "this kernel's tracer shows processes by name",
}
