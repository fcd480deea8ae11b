"""Text of unknown origin made safe to show on a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

# Controls, invisible and direction-changing characters, lone surrogates, separators other than
# the space: what could move a cursor, hide text or turn it round.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def clean(text: str) -> str:
    r"""Return ``text`` on one line; what is no visible character becomes an escape, as \\x1b."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def clean_lines(text: str) -> list[str]:
    """Return the lines of ``text``, each made safe; tabs become spaces, line ends are dropped."""
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return [clean(line.expandtabs(8)) for line in lines]


def shortened(text: str, width: int) -> str:
    """Return ``text``, its end cut off if it is longer than ``width`` characters."""
    return text if len(text) <= width else f"{text[: max(width - 3, 0)]}..."


def listed(names: Iterable[str]) -> str:
    """Return names in one phrase: ``a, b``."""
    return ", ".join(clean(name) for name in names)


def plural(number: int, noun: str) -> str:
    """Return ``1 cell`` or ``2 cells``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _escaped(character: str) -> str:
    if character == " " or unicodedata.category(character) not in _UNSAFE:
        return character
    return character.encode("unicode_escape").decode("ascii")
