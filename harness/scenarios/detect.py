"""Tell a scenario file from any other YAML, without parsing it.

Imports nothing but the standard library: it runs in every pytest session that has YAML files.
"""

from __future__ import annotations

import re
from pathlib import Path

HEAD_BYTES = 256 << 10
"""How far the key is looked for; a file that has it further down is not recognised."""

_CHUNK = 16 << 10
_KEY = re.compile(rb"""^(?:\xef\xbb\xbf)?(["']?)scenarios\1[ \t]*:(?=\s|$)""", re.MULTILINE)
_LONGEST_KEY = 64


def is_scenario_file(path: Path) -> bool:
    """Return whether a line of the file begins with the top-level key ``scenarios:``.

    Reads at most :data:`HEAD_BYTES`, in chunks, and complains of nothing: what cannot be read
    or is no YAML at all is no scenario file.
    """
    line_start = b""
    read = 0
    try:
        with path.open("rb") as file:
            while read < HEAD_BYTES and (chunk := file.read(_CHUNK)):
                read += len(chunk)
                text = line_start + chunk
                cut = text.rfind(b"\n") + 1
                if _KEY.search(text, 0, cut):
                    return True
                # The line may go on in the next chunk; a line this long is not the key's.
                line_start = text[cut:] if len(text) - cut < _CHUNK else b"\0"
    except OSError:
        return False
    return _KEY.match(line_start) is not None
