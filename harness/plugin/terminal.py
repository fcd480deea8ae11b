"""Progress on pytest's terminal, from any thread."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.capture import CaptureManager
    from _pytest.terminal import TerminalReporter

_EVERY = 5.0
"""Seconds between two lines about one download."""


class TerminalProgress:
    """Writes lines between pytest's own; a download gets one every few seconds."""

    def __init__(self, config: pytest.Config) -> None:
        reporter: TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
        self._reporter = reporter
        self._capture: CaptureManager | None = config.pluginmanager.get_plugin("capturemanager")
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Write a line."""
        if self._reporter is None or self._reporter.verbosity < -1:
            return
        # A running test's output is captured; this is the session's, as live logging is.
        shown = self._capture.global_and_fixture_disabled() if self._capture else nullcontext()
        with self._lock, shown:
            self._reporter.ensure_newline()
            self._reporter.write_line(f"kernels: {text}")

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
