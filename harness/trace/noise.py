"""Failures that are part of how programs normally work.

They are recorded like any other; they are only never named as a process's last failure, which
is meant to point at a cause.
"""

from __future__ import annotations

import errno

_ANY_CALL = frozenset(
    {
        errno.EAGAIN,  # a non-blocking descriptor had nothing yet, or a futex had changed
        errno.EINTR,  # a signal came first; the caller tries again
        errno.EINPROGRESS,  # a non-blocking connect is under way
    }
)

_ONE_CALL = frozenset(
    {
        (16, errno.ENOTTY),  # ioctl(TCGETS): isatty() on a file or pipe
        (8, errno.ESPIPE),  # lseek: stdio asks whether it writes to a pipe
        (21, errno.ENOENT),  # access: the loader looks for /etc/ld.so.preload
        (158, errno.EINVAL),  # arch_prctl: glibc asks for CET or LAM, which few CPUs have
        (202, errno.ETIMEDOUT),  # futex: a timed wait ran out
        (61, errno.ECHILD),  # wait4: a shell has collected all children
        (247, errno.ECHILD),  # waitid: as above
    }
)


def is_quiet(number: int, error: int) -> bool:
    """Return whether this failure is too usual to explain anything (x86_64 numbers)."""
    return error in _ANY_CALL or (number, error) in _ONE_CALL
