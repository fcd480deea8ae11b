"""Times, sizes and numbers as compose files and Kubernetes write them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

import durationpy
from pydantic import BeforeValidator

from harness.yamlvalues import source_text

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,2})|([KMGTPE]i|[numkMGTPE])?)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([bkmgtp]?)(?:i?b)?", re.IGNORECASE)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = "KMGTPE"


def duration(value: Any) -> Any:
    """Return the seconds of a compose duration, ``1m30s``; a number is seconds."""
    text = source_text(value)
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(durationpy.from_str(str(text)).total_seconds())
    except durationpy.DurationError as error:
        raise ValueError("expected a time such as 30s or 1m30s") from error


def quantity(value: Any) -> Any:
    """Return a Kubernetes quantity, ``100m`` or ``128Mi``, as a decimal number.

    The grammar is that of k8s.io/apimachinery's resource.Quantity.
    """
    found = _QUANTITY.fullmatch(str(source_text(value)))
    if found is None:
        raise ValueError("expected a quantity such as 100m, 1.5 or 128Mi")
    number, exponent, suffix = found.groups()
    if exponent is not None:
        return Decimal(number).scaleb(int(exponent))
    if suffix and suffix.endswith("i"):
        return Decimal(number) * 1024 ** (_BINARY.index(suffix[0]) + 1)
    return Decimal(number).scaleb(_DECIMAL[suffix or ""])


def size(value: Any) -> Any:
    """Return the bytes of a compose size, ``1.5gb``: units are powers of 1024."""
    found = _SIZE.fullmatch(str(source_text(value)))
    if found is None:
        raise ValueError("expected bytes, or a size such as 64k, 1.5g or 256mb")
    return int(Decimal(found[1]) * 1024 ** "bkmgtp".index(found[2].lower() or "b"))


def number(value: Any) -> Any:
    """Return a number that may be quoted, ``"0.50"``."""
    try:
        return float(str(source_text(value)))
    except ValueError as error:
        raise ValueError("expected a number") from error


Duration = Annotated[float, BeforeValidator(duration)]
Quantity = Annotated[Decimal, BeforeValidator(quantity)]
Number = Annotated[float, BeforeValidator(number)]
Bytes = Annotated[int, BeforeValidator(size)]
