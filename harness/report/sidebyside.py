"""Two texts side by side, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import NamedTuple

_CONTEXT = 3
"""Equal lines shown above and below a difference."""


class Pair(NamedTuple):
    """A line of each text; None where one has none. Both None: lines that are equal, left out."""

    before: str | None
    after: str | None

    @property
    def same(self) -> bool:
        """Whether both texts have the line."""
        return self.before == self.after


def pairs(before: str, after: str) -> Iterator[Pair]:
    """Yield the lines in which two texts differ, with a few around them.

    Lines compare by their whole content: a line that changed stands beside what it became.
    """
    one, two = _lines(before), _lines(after)
    end = (0, 0)
    for group in SequenceMatcher(None, one, two, autojunk=False).get_grouped_opcodes(_CONTEXT):
        if group[0][1] > end[0]:
            yield Pair(None, None)
        for _, left, left_end, right, right_end in group:
            yield from map(Pair._make, zip_longest(one[left:left_end], two[right:right_end]))
            end = (left_end, right_end)
    if end != (0, 0) and end[0] < len(one):
        yield Pair(None, None)


def _lines(text: str) -> list[str]:
    """Split at line ends alone: an empty last line says that the text ends with one."""
    return text.split("\n") if text else []
