"""A guest's serial console: its last lines, and its log."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

LINES = 200
BYTES = 4 << 20
"""What a guest may write to its console log; a flood beyond it is dropped."""


@dataclass(slots=True)
class Console:
    """The last lines of a guest's serial console, and its log."""

    log: Path
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    changed: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False


def opened(log: Path) -> FileIO:
    """Open a console's log. A full disk costs the log, not the guest."""
    try:
        return FileIO(log, "ab")
    except OSError:
        return FileIO(os.devnull, "ab")


def read(child: subprocess.Popen[bytes], console: Console, log: FileIO) -> None:
    """Split the console into lines without ever waiting for a line's end to take it in."""
    rest = b""
    room = BYTES
    while child.stdout and (chunk := os.read(child.stdout.fileno(), 4096)):
        with suppress(OSError):  # a guest whose console nobody reads would stand still
            log.write(chunk[:room])
        room = max(0, room - len(chunk))
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[-4096:]
        if lines:
            with console.changed:
                console.lines.extend(clean(line) for line in lines)
                console.changed.notify_all()
    with console.changed:
        if rest:
            console.lines.append(clean(rest))
        console.ended = True
        console.changed.notify_all()


def clean(line: bytes) -> str:
    """Return a line as text that moves no cursor."""
    text = line.decode(errors="backslashreplace").rstrip("\r")
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)
