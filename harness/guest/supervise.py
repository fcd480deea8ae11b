"""Run a program, confined, as a child that does not outlive whoever holds the other end of stdin.

A byte there ends it as well, and so does its parent's end, for a process that the parent forked
holds the other end, too.

Started as ``python -I -S supervise.py DIRECTORY JAIL PROGRAM ARGS``; JAIL is of
:func:`jail.words`. The directory is the program's own and is removed after it, always by this
process: whoever holds the other end may be killed at any time, also between the program's end and
the removal. A parent-death signal of the harness would follow the thread that forked, not the
process, and a guest started by a pool's thread would die with that thread; a pipe has no such
trap, and it also notices SIGKILL of the harness. This process has one thread, so the program dies
with it by that signal (prctl(2)).
"""

import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_GROUPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


def main(directory: str, argv: list[str]) -> int:
    """Return the child's exit status, 128 more than its signal when one ended it."""
    # What the harness's group is sent (Ctrl-C) is the harness's to act on.
    for number in _GROUPS:
        signal.signal(number, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        _become(argv)
    _hold(directory)
    process = os.pidfd_open(child)
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    poll.register(process, select.POLLIN)
    with contextlib.suppress(OSError):  # it lies in another pid namespace
        poll.register(os.pidfd_open(os.getppid()), select.POLLIN)
    ready = [descriptor for descriptor, _ in poll.poll()]
    if process not in ready:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    shutil.rmtree(directory, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _hold(directory: str) -> None:
    """Show, for as long as this process lives, that somebody looks after the directory."""
    with contextlib.suppress(OSError):  # it is gone, or its file system has no locks
        fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_SH)


def _become(argv: list[str]) -> "NoReturn":
    """Turn this process into the program; end it with 127 where that cannot be."""
    from harness.guest import jail  # known once the path is set, below

    words = argv
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        words = jail.enter(argv)
        for number in _GROUPS:
            signal.signal(number, signal.SIG_DFL)
        # Last, for a change of user takes it away.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.execve(words[0], words, os.environ)  # noqa: S606 - a list of words, of the harness
    except OSError as error:
        os.write(2, f"cannot start {words[0]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    # Which -I leaves out; pathlib would take longer to load than all of this.
    sys.path.append(__file__.removesuffix("harness/guest/supervise.py"))
    sys.exit(main(sys.argv[1], sys.argv[2:]))
