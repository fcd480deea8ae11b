"""Versions of rpm packages and their order (rpm-version(7))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from itertools import zip_longest

_PARTS = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")


@total_ordering
@dataclass(frozen=True, slots=True)
class Evr:
    """Epoch, version and release."""

    epoch: int
    version: str
    release: str

    def __str__(self) -> str:
        plain = f"{self.version}-{self.release}"
        return f"{self.epoch}:{plain}" if self.epoch else plain

    def __lt__(self, other: Evr) -> bool:
        if self.epoch != other.epoch:
            return self.epoch < other.epoch
        order = compare(self.version, other.version) or compare(self.release, other.release)
        return order < 0


def compare(one: str, other: str) -> int:
    """Return -1, 0 or 1 as ``one`` is older than, as old as or newer than ``other``.

    Parts are compared one by one: a number is newer than a word and a longer version newer than
    its beginning, but for ``~`` (older than the end) and ``^`` (newer than the end, older than
    anything else).
    """
    for left, right in zip_longest(_PARTS.findall(one), _PARTS.findall(other), fillvalue=""):
        ranks = _rank(left), _rank(right)
        if ranks[0] != ranks[1]:
            return 1 if ranks[0] > ranks[1] else -1
    return 0


def _rank(part: str) -> tuple[int, int, str]:
    """Return what parts are ordered by: their kind, and within it numbers by size, words as text.

    Numbers stay text, since Python makes no int of more than 4,300 digits.
    """
    if part.isdigit():
        digits = part.lstrip("0")
        return 4, len(digits), digits
    return {"~": 0, "": 1, "^": 2}.get(part, 3), 0, part
