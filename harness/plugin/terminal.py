"""Progress on pytest's terminal, from any thread, and the sentences that are said there."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from harness.model.observations import PARTS

if TYPE_CHECKING:
    from _pytest.capture import CaptureManager
    from _pytest.terminal import TerminalReporter

_EVERY = 5.0
"""Seconds between two lines about one download."""


class TerminalProgress:
    """Writes lines between pytest's own; a download gets one every few seconds.

    Only the thread that made it writes: to write past pytest's capture means to switch it off
    and on again, and doing so behind the back of a running test would swallow pytest's output.
    What other threads say waits until that thread calls :meth:`flush`.
    """

    def __init__(self, config: pytest.Config) -> None:
        reporter: TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
        self._reporter = reporter
        self._capture: CaptureManager | None = config.pluginmanager.get_plugin("capturemanager")
        self._writer = threading.get_ident()
        self._waiting: deque[str] = deque()
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Write a line, now or soon."""
        if self._reporter is None or self._reporter.verbosity < -1:
            return
        self._waiting.append(text)
        if threading.get_ident() == self._writer:
            self.flush()

    def flush(self) -> None:
        """Write what waits; for the thread that made this alone."""
        if self._reporter is None or not self._waiting:
            return
        # A running test's output is captured; this is the session's, as live logging is.
        shown = self._capture.global_and_fixture_disabled() if self._capture else nullcontext()
        with shown:
            while self._waiting:
                write(self._reporter, self._waiting.popleft())

    def update(self, what: str, done: int, total: int | None) -> None:
        """Write how far a download is, from time to time."""
        now = time.monotonic()
        with self._lock:
            if what not in self._said:  # what takes less than a second needs no line
                self._said[what] = now - _EVERY + 1.0
                return
            if now - self._said[what] < _EVERY and done != total:
                return
            if done == total and now - self._said[what] < _EVERY - 1.0:
                return
            self._said[what] = now
        of = f" of {total / 1e6:.1f}" if total else ""
        self.say(f"{what}: {done / 1e6:.1f}{of} MB")


def write(reporter: TerminalReporter, text: str) -> None:
    """Write a line of the harness, on a line of its own."""
    reporter.ensure_newline()
    if reporter._tw.width_of_current_line:  # under xdist the reporter does not keep track
        reporter._tw.line()
    reporter.write_line(f"kernels: {text}")
    reporter.flush()  # into a pipe as well, where CI shows it


def accelerator_line(accelerator: str, why: str) -> str:
    """Return the line that is said once, so that slow emulation is never silent."""
    if accelerator == "tcg":
        return f"accelerator: TCG, software emulation, slow ({why})"
    return f"accelerator: {accelerator.upper() or 'none used'}"


def seconds_line(durations: Mapping[str, float]) -> str:
    """Return where a cell's seconds went."""
    parts = [f"{part} {durations[part]:.2f}" for part in PARTS if part in durations]
    return f"seconds: {', '.join(parts)}" if parts else ""


def places_line(places: int) -> str:
    """Return how many guests run at once, and what changes it."""
    return f"{places} guest{'' if places == 1 else 's'} at once; --guests sets it"
