"""Which kernel introduced a system call, for whoever explains a failure; never a decision.

What a kernel really has is for the census to say: vendors backport.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("since.toml")


def load() -> Mapping[str, str]:
    """Return the version by the call's name; a call that is not in it is not known."""
    return tomllib.loads(FILE.read_text())
