"""Run a program as a child that does not outlive whoever holds the other end of stdin.

Started as ``python -I -S supervise.py JAIL PROGRAM ARGS``; JAIL is of :func:`jail.words`. A
parent-death signal would follow the thread that forked, not the process, and a guest
started by a pool's thread would die with that thread; a pipe has no such trap, and it also notices
SIGKILL of the harness.
"""

import os
import select
import signal
import sys

_GROUPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: list[str]) -> int:
    """Return the child's exit status, 128 more than its signal when one ended it."""
    from harness.guest import jail  # known once the path is set, below

    # What the harness's group is sent (Ctrl-C) is the harness's to act on.
    for number in _GROUPS:
        signal.signal(number, signal.SIG_IGN)
    devnull = os.open(os.devnull, os.O_RDONLY)
    words = jail.enter(argv)
    try:
        child = os.posix_spawn(
            words[0],
            words,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, devnull, 0)],
            setsigdef=_GROUPS,
        )
    except OSError as error:
        os.write(2, f"cannot start {words[0]}: {error.strerror}\n".encode())
        return 127
    process = os.pidfd_open(child)
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    poll.register(process, select.POLLIN)
    ready = [descriptor for descriptor, _ in poll.poll()]
    if process not in ready:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    # Which -I leaves out; pathlib would take longer to load than all of this.
    sys.path.append(__file__.removesuffix("harness/guest/supervise.py"))
    sys.exit(main(sys.argv[1:]))
