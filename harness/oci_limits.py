"""What an image may hold at most, and how a user allows more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from harness.errors import UsageError

_FORM = re.compile(r"(?P<name>[a-z]+)=(?P<number>[0-9]{1,15})(?P<unit>[KMGT]?)(?:iB)?")
_UNITS = " KMGT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an image may hold at most. Counts of files and depths are checked in the guest."""

    unpacked: int = 64 << 30
    """Bytes of all layers together, unpacked; reached early by a decompression bomb."""
    layers: int = 500
    files: int = 2_000_000
    depth: int = 256
    """Directories in each other."""


def limits(words: Sequence[str], others: Limits | None = None) -> Limits:
    """Return the limits of ``NAME=NUMBER``; a unit may follow: K, M, G, T.

    Those that are not named are those of ``others``, or what is allowed unless said otherwise.

    Raises:
        UsageError: one is unknown, or no number.
    """
    known = asdict(Limits())
    given: dict[str, int] = {}
    for word in words:
        found = _FORM.fullmatch(word)
        if found is None or found["name"] not in known or not int(found["number"]):
            example = "unpacked=8G"
            raise UsageError(
                f"image limit {word!r}: give NAME=NUMBER such as {example}, NAME one of "
                f"{', '.join(known)}"
            )
        given[found["name"]] = int(found["number"]) << (10 * _UNITS.index(found["unit"] or " "))
    return replace(others or Limits(), **given)


def remedy(name: str) -> str:
    """Return how a user who trusts an image allows it more of what ``name`` limits."""
    return (
        f"where that is meant, allow more: image_limits = {name}=N in pytest's ini file, or "
        f"`harness images fetch --limit {name}=N`"
    )
