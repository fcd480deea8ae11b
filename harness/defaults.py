"""Where the catalogs, locks, keys and causes lie that travel with the package.

In a checkout they are the top-level ``kernels/``, ``images/`` and ``scenarios/causes.yaml``; the
wheel carries them below ``harness/data``.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def directory(kind: str) -> Path:
    """Return the directory of the packaged ``kernels``, ``images`` or ``scenarios`` data."""
    packaged = _PACKAGE / "data" / kind
    return packaged if packaged.is_dir() else _PACKAGE.parent / kind
