"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path


def expanded(text: str | Path) -> Path:
    """Return a path with ``~`` or ``~user`` expanded, as it stands where there is no such user.

    Nothing lies there then, which whoever opens it says better.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
