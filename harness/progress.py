"""Progress of long work: who does it says so, who shows it decides how."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives progress; implementations are safe to call from any thread."""

    def say(self, text: str) -> None:
        """Show a line that stays."""

    def update(self, what: str, done: int, total: int | None) -> None:
        """Show that ``done`` bytes of ``total`` of ``what`` are there; may be dropped."""


class Silent:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Drop the line."""

    def update(self, what: str, done: int, total: int | None) -> None:
        """Drop the update."""
