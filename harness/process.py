"""Subprocesses: argument lists, a time limit on each, stderr in every error."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from harness import ending
from harness.errors import ToolError

TERMINATE_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL for a process that must end."""

_STDERR_TAIL = 2000
_running: set[subprocess.Popen[bytes]] = set()
"""What :func:`run` waits for: children are the whole process's, as its signal handlers are."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished process: its status (negative: the signal), its output and its seconds."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    seconds: float


def find(program: str, package: str) -> str:
    """Return the path of ``program``.

    Raises:
        ToolError: it is not installed; the text names the Debian package that has it.
    """
    path = shutil.which(program)
    if path is None:
        raise ToolError(f"{program} is not installed: install the package {package}")
    return path


def run(
    argv: Sequence[str | Path],
    *,
    limit: float,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> Completed:
    """Run a program to its end in its own process group.

    Whatever ends the wait early (the limit, Ctrl-C, an exception) ends the whole group first.

    Raises:
        EndedError: this thread was told to end; nothing is left running.
        ToolError: it could not be started, took longer than ``limit`` seconds or, with
            ``check``, ended with a status other than 0; the text has the tail of its stderr.
    """
    ending.heed()
    words = tuple(str(word) for word in argv)
    started = time.monotonic()
    child = None
    try:
        with interrupts_held_back():
            child = _started(words, stdin is not None, cwd, env)
            _running.add(child)
        ending.heed()  # once more: who ends what runs sees only what is counted
        stdout, stderr = child.communicate(stdin, timeout=limit)
    except BaseException as error:
        if child is None:
            raise
        with child:
            end_group(child)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        tail = _tail(error.stderr or b"")
        raise ToolError(f"{words[0]} took longer than {limit:g} s and was ended{tail}") from error
    finally:
        if child is not None:
            _running.discard(child)
    done = Completed(words, child.returncode, stdout, stderr, time.monotonic() - started)
    if check and done.status != 0:
        raise ToolError(f"{words[0]} ended with status {done.status}{_tail(stderr)}")
    return done


def _started(
    words: Sequence[str], fed: bool, cwd: Path | None, env: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot start {words[0]}: {error.strerror}") from error


def attend(argv: Sequence[str | Path], *, limit: float, grace: float) -> int:
    """Run a program that speaks to the user itself, on this one's output, to its end.

    Returns its status (negative: the signal). Whatever ends the wait early asks it to end as
    Ctrl-C does, and ends its whole process group when it has not within ``grace`` seconds.

    Raises:
        ToolError: it could not be started, or took longer than ``limit`` seconds.
    """
    words = tuple(str(word) for word in argv)
    child = None
    try:
        with interrupts_held_back():
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
        return child.wait(limit)
    except OSError as error:
        raise ToolError(f"cannot start {words[0]}: {error.strerror}") from error
    except BaseException as error:
        if child is None:
            raise
        _interrupt(child, grace)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise ToolError(f"{words[0]} took longer than {limit:g} s and was ended") from error


def _interrupt(child: subprocess.Popen[bytes], grace: float) -> None:
    """Let a program end as on Ctrl-C, and end its group where it does not or one is impatient."""
    try:
        child.send_signal(signal.SIGINT)
        child.wait(grace)
    except subprocess.TimeoutExpired:
        end_group(child)
    except BaseException:
        end_group(child)
        raise


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C, and SIGTERM where that is handled, wait for the block's end.

    A child that is half started, or not yet told to end, would be lost.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread is interrupted
        return
    held = (signal.SIGINT, signal.SIGTERM)
    before = {int(each): then for each in held if callable(then := signal.getsignal(each))}
    came: list[int] = []
    over = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if over.is_set():  # this one is left when another arrives while handlers are put back
            before[number](number, frame)
        came.append(number)

    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        over.set()
        for number, then in before.items():
            signal.signal(number, then)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)


def end_running() -> None:
    """End whatever :func:`run` waits for in other threads; each wait ends with its ToolError."""
    for child in tuple(_running):
        if child.poll() is None:
            end_group(child)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End the process group that ``child`` leads: TERM, then KILL after a grace."""
    for number, grace in ((signal.SIGTERM, TERMINATE_GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            continue
    child.wait()


def _tail(stderr: bytes) -> str:
    text = stderr.decode(errors="backslashreplace").strip()
    return f": {text[-_STDERR_TAIL:]}" if text else ""
