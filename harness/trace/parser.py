"""The text of trace_pipe, read as it comes.

Lines look like this on every kernel from 3.10 to 7.3, the flags aside (four characters before
5.12, five since; the name is always ``<...>`` because record-cmd is off)::

    <...>-92      [000] ....    13.747275: sys_exit: NR 600 = -38

and those of the programs of :mod:`harness.trace.bpf` say the same in other words::

    <...>-92      [000] ...2.    13.747275: bpf_trace_printk: x 600 -38

A process may call itself, or run a program called, what looks like lines of a trace. Names have
15 bytes, too few for a line, and a program's path is read up to the event's own end; so records
are matched over line ends, each with enough text behind it that how the text was cut into
chunks never matters. A path that holds such an end, with the pid that its process will have, does
pass for records: a container can falsify what is recorded of itself.
"""

from __future__ import annotations

import re

from harness.trace.ledger import CLONE_THREAD, Ledger
from harness.trace.operations import FCNTL
from harness.trace.records import Trace

LONGEST = 8192
"""No record is longer: a path has 4096 bytes at most (PATH_MAX)."""

_BATCH = 65_536

_COMM = rb"[\s\S]{0,16}?"
_HEX = rb"(?:0x)?([0-9a-f]{1,16})"
"""A number of a call's own event; 7.3 writes 0x before those above nine, 5.10 never."""
_RECORD = re.compile(
    rb"^(?: {0,16}<(?:\.\.\.|idle)>-(\d{1,10}) {1,8}\[\d{3,5}\] +(?:[^ \n:]{4,8} +)?"
    rb"(\d{1,12}\.\d{1,9}): (?:"
    rb"(?:sys_exit: NR |bpf_trace_printk: (?:x |c ([0-9a-f]{1,16}) ))(-?\d{1,20}) (?:= )?"
    rb"(-?\d{1,20})\n|"
    rb"(?:sys_enter: NR |bpf_trace_printk: e )(-?\d{1,20}) \(?"
    rb"([0-9a-f]{1,16}(?:, [0-9a-f]{1,16}){0,5})\)?\n|"
    rb"bpf_trace_printk: b ([0-9a-f]{1,16}(?:, [0-9a-f]{1,16}){2})\n|"
    rb"sys_fcntl\(fd: " + _HEX + rb", cmd: " + _HEX + rb", arg: " + _HEX + rb"\)\n|"
    rb"task_newtask: pid=(\d{1,10}) comm=" + _COMM + rb" clone_flags=([0-9a-f]{1,16})"
    rb" oom_score_adj=-?\d{1,6}\n|"
    rb"sched_process_fork: comm=" + _COMM + rb" pid=\d{1,10} child_comm=" + _COMM + rb" "
    rb"child_pid=(\d{1,10})\n|"
    rb"sched_process_exec: filename=([\s\S]{0,4200}?) pid=\1 old_pid=(\d{1,10})\n|"
    rb"sched_process_exit: comm=" + _COMM + rb" pid=(\d{1,10}) prio=-?\d{1,6}[^\n]{0,40}\n|"
    rb"signal_deliver: sig=(\d{1,3}) errno=-?\d{1,10} code=-?\d{1,10}"
    rb" sa_handler=([0-9a-f]{1,16}) sa_flags=[0-9a-f]{1,16}\n|"
    rb"signal_generate: sig=(\d{1,3}) errno=-?\d{1,10} code=-?\d{1,10} comm=" + _COMM + rb" "
    rb"pid=(\d{1,10}) grp=\d res=(\d)\n|"
    rb"[^\s:]{1,64}: harness (\w{0,64} ?[a-z0-9 ]{0,80})\n)"
    rb"|CPU:\d{1,5} \[LOST (\d{0,20}) ?EVENTS\]\n)",
    re.MULTILINE,
)
# Numbers of each alternative's last group, which Match.lastindex tells.
_LEAVE, _ENTER, _MORE, _FCNTL, _NEWTASK, _FORK, _EXEC, _EXIT = 5, 7, 8, 11, 13, 14, 16, 17
_DELIVER, _GENERATE, _MARK, _LOST = 19, 22, 23, 24
_FCNTL_NUMBER = str(FCNTL).encode()


class TraceParser:
    """Reads a trace in chunks of any size and keeps what matters of it, in bounded memory.

    Marks are lines that the harness writes into trace_marker, ``harness TOKEN WORDS``, where
    WORDS is ``start``, ``step N``, ``step N pid PID``, ``step N end``, ``container pid PID`` or
    ``end``. PIDs are the guest's own, of its initial pid namespace. A mark with a ``pid`` may
    come before or after that process's events. The token keeps a container from ending the
    recording by running a program with a clever name.
    """

    def __init__(self, token: str = "") -> None:
        self._prefix = f"{token} " if token else ""
        self._end = f": harness {self._prefix}end\n".encode()
        self._buffer = b"\n"
        self._ledger = Ledger()
        self._start: float | None = None
        self._latest = 0.0
        self._lost = 0
        self._unparsed = 0
        self._closed = False
        self.ended = False
        """Whether the end mark has come: nothing of interest follows."""

    def feed(self, data: bytes) -> None:
        """Take the next chunk."""
        before = len(self._buffer)
        if self._closed:
            return
        self._buffer += data
        if not self.ended:
            self.ended = self._buffer.find(self._end, max(0, before - len(self._end))) >= 0
        if len(self._buffer) >= _BATCH:
            self._consume(len(self._buffer) - LONGEST)

    def finish(self, *, dropped: int = 0) -> Trace:
        """Read the rest and return all that the trace says.

        Args:
            dropped: how many events the kernel's per-CPU statistics say it dropped; the trace's
                own lines about lost events tell of the same ones.
        """
        self._consume(len(self._buffer))
        return self._ledger.finish(
            start=self._start or 0.0,
            lost=max(self._lost, dropped),
            unparsed=self._unparsed,
            complete=self.ended,
            seconds=self._latest,
        )

    def _consume(self, limit: int) -> None:
        """Take every record that begins before ``limit``."""
        buffer, ledger = self._buffer, self._ledger
        hot, entered = ledger.hot, ledger.entered
        lines = 0
        latest: re.Match[bytes] | None = None
        for match in _RECORD.finditer(buffer, 1):
            if match.start() >= limit or self._closed:
                break
            latest = match
            kind = match.lastindex
            if kind == _LEAVE:
                lines += 1
                tid, last, number, result = match.group(1, 3, 4, 5)
                if last is not None:
                    ledger.more(tid, last)
                call = entered.get(tid)
                if call is None or call[0] != number:
                    known = hot.get(tid)
                    tally = None if known is None else known.calls.get((number, result))
                    if known is not None and tally is not None:
                        tally.count += 1
                        if not tally.quiet:
                            known.process.last = tally
                        if call is not None:
                            del entered[tid]
                        continue
                elif ledger.again(tid, number, result, call[1]):
                    continue
                ledger.leave(tid, number, result, self._seconds(match))
            elif kind == _ENTER:
                lines += 1
                ledger.enter(*match.group(1, 6, 7))
            elif kind == _MORE:
                lines += 1
                ledger.more(*match.group(1, 8))
            elif kind == _FCNTL:
                lines += 1
                ledger.enter(match[1], _FCNTL_NUMBER, b", ".join(match.group(9, 10, 11)))
            else:
                lines += match[0].count(b"\n")
                self._rare(kind or 0, match)
        end = 1 if latest is None else latest.end()
        keep = end if self._closed else max(end, min(limit, len(buffer)))
        self._unparsed += buffer.count(b"\n", 1, keep) - lines
        self._buffer = b"\n" if self._closed else buffer[keep - 1 :]

    def _rare(self, kind: int, match: re.Match[bytes]) -> None:
        ledger = self._ledger
        if kind == _NEWTASK:
            parent, child, flags = match.group(1, 12, 13)
            ledger.fork(parent, child, bool(int(flags, 16) & CLONE_THREAD))
        elif kind == _FORK:
            ledger.fork(match[1], match[14], thread=False)
        elif kind == _EXEC:
            ledger.exec(*match.group(1, 16, 15))
        elif kind == _EXIT:
            ledger.exit(match[1], self._seconds(match))
        elif kind == _DELIVER:
            ledger.delivered(match[1], int(match[18]), int(match[19], 16) != 0)
        elif kind == _GENERATE and match[22] == b"0":
            ledger.generated(match[21], int(match[20]))
        elif kind == _LOST:
            self._lost += int(match[24] or b"1")
        elif kind == _MARK:
            self._mark(match[23].decode(), self._seconds(match))

    def _seconds(self, match: re.Match[bytes]) -> float:
        self._latest = float(match[2])
        if self._start is None:
            self._start = self._latest
        return self._latest

    def _mark(self, mark: str, seconds: float) -> None:
        if not mark.startswith(self._prefix):
            return
        match mark.removeprefix(self._prefix).split():
            case ["start"]:
                self._start = seconds
            case ["end"]:
                self._closed = True
            case ["container", "pid", pid] if pid.isdigit():
                self._ledger.claim(int(pid), None)
            case ["step", number, "pid", pid] if number.isdigit() and pid.isdigit():
                self._ledger.claim(int(pid), int(number))
            case ["step", number, "end"] if number.isdigit():
                self._ledger.step(None)
            case ["step", number] if number.isdigit():
                self._ledger.step(int(number))
