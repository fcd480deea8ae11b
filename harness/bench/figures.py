"""What is measured, as numbers: spreads, and ratios of what was measured in turn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Figures = dict[str, Any]
"""Figures as they are written to a file: nothing but JSON's types."""


def spread(values: Sequence[float]) -> Figures:
    """Return median, least and most."""
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
    }


def ratio(values: Sequence[float], bases: Sequence[float]) -> Figures:
    """Return the spread of the pairs' ratios, which is not the ratio of two medians."""
    return spread([value / base for value, base in zip(values, bases, strict=True)])
