"""Plain data of explanations: what a cell met, and which known causes match.

As in :mod:`harness.model`, every class is frozen, without behaviour and made of JSON's types.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Certainty(StrEnum):
    """How far a cause is known to be that of a cell; the order is from most to least."""

    CONFIRMED = "confirmed"
    """A run with exactly that answer as the only change failed in the same way."""
    STATED = "stated"
    """The kernel's message, or the file that asks for a newer kernel, says so itself."""
    SUSPECTED = "suspected"
    """What is known of it was seen in what failed."""
    UNCLEAR = "unclear"
    """It was met; nothing ties it to the failure, or it is not known what became of it."""
    COPED = "coped"
    """It was met by programs that went on and ended well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCause:
    """A known cause that matches a cell."""

    name: str
    certainty: Certainty
    text: str
    help: str
    references: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    """What in the cell matches, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known of one cell."""

    cell: str
    """Its pytest node id."""
    causes: tuple[NamedCause, ...] = ()
    """The known causes that match, the surest first."""
