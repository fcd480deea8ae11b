"""Who is who in a trace: processes, the families they belong to, and what failed in each.

The container's processes are known only once the runtime says its first one's pid, which may be
after the events. So every process belongs to a family, and a family's failures are kept until
the recording ends. A process starts in its parent's family; with its first exec it founds one of
its own, because the calls between fork and exec are the runtime's set-up and not the image's.
A mark makes a family, and all that descend from it, the container's.

Memory is bounded whatever a container does: dead families fold into their parents, and there are
limits on kinds of calls, on ends and on processes, beyond which things are counted, not kept.
"""

from __future__ import annotations

from harness.trace.families import (
    Family,
    Hot,
    Process,
    collect,
    failures,
    is_member,
    unfolded,
)
from harness.trace.noise import is_quiet
from harness.trace.operations import OPERATION_WORDS, operation_arguments
from harness.trace.records import CallKey, End, Tally, Trace

MAX_TALLIES = 20_000
MAX_ENDS = 5_000
MAX_FAMILIES = 4_000
MAX_TASKS = 200_000
MAX_SHORTCUTS = 100_000

CLONE_THREAD = 0x10000  # include/uapi/linux/sched.h

_ITSELF = b"/proc/self/exe"  # busybox's applets and runc start themselves again under this name

_EXIT, _EXIT_GROUP = b"60", b"231"
_EXIT32, _EXIT_GROUP32 = b"1", b"252"
_SIGKILL = 9
_RESTARTS = range(-516, -511)  # include/linux/errno.h: never seen by a program
_LOWEST_ERRNO = -4095  # include/linux/err.h, MAX_ERRNO


class Ledger:
    """Takes events in the order of the trace; every argument is as the trace prints it."""

    def __init__(self) -> None:
        self.hot: dict[bytes, Hot] = {}
        self.entered: dict[bytes, tuple[bytes, bytes]] = {}
        self.dropped = 0
        self._root = Family(None)
        self._families: list[Family] = []
        self._founders: dict[int, Family] = {}
        self._awaited: dict[int, int | None] = {}
        self._tasks: dict[bytes, Process] = {}
        self._tallies = 0
        self._ends = 0
        self._shortcuts = 0
        self._step: int | None = None
        self._ignored = 0

    # --- processes ----------------------------------------------------------------------

    def fork(self, parent: bytes, child: bytes, thread: bool) -> None:
        """A task was made."""
        maker = self._process(parent)
        self._forget(child)
        if thread:
            maker.threads += 1
            self._tasks[child] = maker
            return
        process = Process(int(child), maker.pid, maker.path, maker.family)
        process.family.live += 1
        self._add(child, process)

    def exec(self, pid: bytes, old: bytes, path: bytes) -> None:
        """A process became another program; ``old`` is the thread that called exec."""
        process = self._process(old)
        if old != pid:  # the other threads are gone, the caller took the leader's pid
            self._tasks.pop(old, None)
            self._tasks[pid] = process
            self.hot.pop(old, None)
        process.threads = 1
        process.leader_gone = False
        process.signal = 0  # SIGKILL ended its other threads, not itself
        if path != _ITSELF or not process.path:
            process.path = path
        process.last = None
        self.hot.pop(pid, None)
        if process.founded or is_member(process.family):
            return
        process.founded = True
        family = Family(process.family, live=1)
        process.family.live -= 1
        process.family = family
        self._families.append(family)
        self._founders[process.pid] = family
        if process.pid in self._awaited:
            family.marked, family.step = True, self._awaited.pop(process.pid)
        if len(self._families) > MAX_FAMILIES:
            self._fold()

    def exit(self, tid: bytes, seconds: float) -> None:
        """A task ended; its process ends with its last one."""
        self.hot.pop(tid, None)
        self.entered.pop(tid, None)
        process = self._tasks.pop(tid, None)
        if process is None:
            return
        process.threads -= 1
        if process.threads > 0:
            if int(tid) == process.pid:
                process.leader_gone = True
            return
        self._end(process, seconds)

    def generated(self, tid: bytes, signal: int) -> None:
        """A signal was sent to a task and will be delivered."""
        process = self._tasks.get(tid)
        if process is not None:
            process.generated[:] = [*process.generated[-15:], signal]

    def delivered(self, tid: bytes, signal: int, handled: bool) -> None:
        """A signal reached a task; without a handler the default action follows.

        A fatal signal that dumps no core reaches the threads as SIGKILL (kernel/signal.c,
        complete_signal), so the one that was sent says more.
        """
        process = self._process(tid)
        sent = process.generated
        if signal in sent:
            sent.remove(signal)
        elif signal == _SIGKILL and sent:
            signal = sent.pop()
        if not handled and not process.signal:
            process.signal = signal

    # --- calls --------------------------------------------------------------------------

    def enter(self, tid: bytes, number: bytes, arguments: bytes) -> None:
        """An armed call began."""
        self.entered[tid] = (number, arguments)
        if number in (_EXIT, _EXIT_GROUP, _EXIT32, _EXIT_GROUP32):
            self._exits(self._process(tid), tid, number, arguments)

    def more(self, tid: bytes, arguments: bytes) -> None:
        """More arguments of the armed call that began last."""
        call = self.entered.get(tid)
        if call is not None:
            self.entered[tid] = (call[0], call[1] + b", " + arguments)

    def leave(self, tid: bytes, number: bytes, result: bytes, seconds: float) -> None:
        """A call returned; only failures are kept."""
        call = self.entered.pop(tid, None)
        error = int(result)
        if not _LOWEST_ERRNO <= error < 0 or error in _RESTARTS or number.startswith(b"-"):
            return
        arguments = call[1] if call is not None and call[0] == number else None
        hot = self.hot.get(tid)
        if hot is None:
            hot = self.hot[tid] = Hot(self._process(tid))
        process = hot.process
        values = None if arguments is None else _numbers(arguments)
        operation = operation_arguments(int(number), values)
        key = CallKey(process.path, int(number), -error, values is not None, operation)
        tally = self._tally(process, key, seconds, values)
        if tally is None:
            return
        if not tally.quiet:
            process.last = tally
        # An entered call's key has its operation in it, which a plain repeat does not show.
        if arguments is None:
            hot.calls[(number, result)] = tally
        else:
            wanted = OPERATION_WORDS.get(number)
            words = () if wanted is None else tuple(arguments.split(b", ")[wanted])
            hot.calls[(number, result, words)] = tally
        self._shortcuts += 1
        if self._shortcuts > MAX_SHORTCUTS:
            self._shortcuts = 0
            self.hot.clear()

    def again(self, tid: bytes, number: bytes, result: bytes, arguments: bytes) -> bool:
        """Count a repeat of an entered call; False when it is no repeat."""
        hot = self.hot.get(tid)
        if hot is None:
            return False
        wanted = OPERATION_WORDS.get(number)
        words = () if wanted is None else tuple(arguments.split(b", ")[wanted])
        tally = hot.calls.get((number, result, words))
        if tally is None:
            return False
        del self.entered[tid]
        tally.count += 1
        if not tally.quiet:
            hot.process.last = tally
        return True

    # --- marks --------------------------------------------------------------------------

    def step(self, number: int | None) -> None:
        """A step began, or with None ended: failures from here on are counted to it."""
        self._step = number
        self.hot.clear()

    def claim(self, pid: int, step: int | None) -> None:
        """Say that ``pid`` is a first process of the container, or of one step in it."""
        family = self._founders.get(pid)
        if family is None:
            self._awaited[pid] = step
            return
        family.marked, family.step = True, step

    # --- the end ------------------------------------------------------------------------

    def finish(
        self, *, start: float, lost: int, unparsed: int, complete: bool, seconds: float
    ) -> Trace:
        """Return what is known, offsets counted from ``start``."""
        for process in {id(one): one for one in self._tasks.values()}.values():
            if process.leader_gone or process.group_exit:
                self._end(process, seconds)
        calls: dict[CallKey, Tally] = {}
        ends: list[End] = []
        apparatus = self._ignored + failures(self._root)
        for family in self._families:
            if family.folded:
                continue
            if not is_member(family):
                apparatus += failures(family)
                continue
            apparatus += collect(family, calls, ends)
        for tally in calls.values():
            tally.seconds = max(0.0, tally.seconds - start)
        for end in ends:
            end.seconds = max(0.0, end.seconds - start)
        return Trace(
            calls=tuple(sorted(calls.values(), key=lambda tally: (tally.seconds, tally.key))),
            ends=tuple(sorted(ends, key=lambda end: (end.seconds, end.pid))),
            apparatus=apparatus,
            lost=lost,
            dropped=self.dropped,
            unparsed=unparsed,
            complete=complete,
            containers=sum(family.marked for family in self._families),
        )

    # --- helpers ------------------------------------------------------------------------

    def _process(self, tid: bytes) -> Process:
        process = self._tasks.get(tid)
        if process is None:  # alive before the recording, or its fork event was lost
            process = Process(int(tid), 0, b"", self._root)
            self._root.live += 1
            self._add(tid, process)
        return process

    def _add(self, tid: bytes, process: Process) -> None:
        if len(self._tasks) >= MAX_TASKS:  # exits were lost: the oldest is the likeliest dead
            self._forget(next(iter(self._tasks)))
        self._tasks[tid] = process

    def _forget(self, tid: bytes) -> None:
        self.hot.pop(tid, None)
        self.entered.pop(tid, None)
        stale = self._tasks.pop(tid, None)
        if stale is None:
            return
        stale.threads -= 1
        if stale.threads <= 0:
            stale.family.live -= 1

    def _tally(
        self, process: Process, key: CallKey, seconds: float, arguments: tuple[int, ...] | None
    ) -> Tally | None:
        tallies = process.family.tallies
        tally = tallies.get(key)
        if tally is not None:
            tally.count += 1
        elif self._tallies >= MAX_TALLIES:
            self.dropped += 1
            return None
        else:
            self._tallies += 1
            quiet = is_quiet(key.number, key.error)
            tally = tallies[key] = Tally(key, process.pid, seconds, arguments, quiet)
        if self._step is not None:
            tally.steps.add(self._step)
        return tally

    def _exits(self, process: Process, tid: bytes, number: bytes, arguments: bytes) -> None:
        status = int(arguments.partition(b",")[0] or b"0", 16) & 0xFF
        if number == _EXIT_GROUP:
            process.exit, process.group_exit = status, True
        elif number == _EXIT and not process.group_exit:
            if process.threads <= 1 or int(tid) == process.pid:
                process.exit = status
        elif number == _EXIT_GROUP32 or process.threads <= 1:
            process.exit32 = status

    def _end(self, process: Process, seconds: float) -> None:
        family = process.family
        family.live -= 1
        last = process.last
        end = End(
            pid=process.pid,
            parent=process.parent,
            path=process.path,
            seconds=seconds,
            exit=process.exit,
            exit32=process.exit32,
            signal=process.signal,
            last=None if last is None else (last.key.number, last.key.error),
        )
        self._ends += 1
        well = end.signal == 0 and end.exit == 0
        if self._ends > (MAX_ENDS if well else 2 * MAX_ENDS):
            self.dropped += 1
            return
        family.ends.append(end)

    def _fold(self) -> None:
        """Give what dead families hold to their parents, the older half of them first."""
        half = len(self._families) // 2
        kept: list[Family] = []
        for family in self._families[:half]:
            if family.live > 0 or family.marked:
                kept.append(family)
                continue
            family.folded = True
            into = unfolded(family.parent) or self._root
            self._ignored += collect(family, into.tallies, into.ends, keep=True)
            family.tallies.clear()
            family.ends.clear()
        self._families = kept + self._families[half:]
        self._tallies = sum(len(one.tallies) for one in (self._root, *self._families))
        self._founders = {
            pid: family for pid, family in self._founders.items() if not family.folded
        }


def _numbers(arguments: bytes) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in arguments.split(b", ") if word)
