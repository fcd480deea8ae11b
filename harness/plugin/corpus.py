"""Which cells of documented breakages a session was asked for; the others do not run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from harness.scenarios.load import KNOWN


def asked_for(file: Path, tags: Iterable[str], *, expression: str, paths: Iterable[Path]) -> bool:
    """Tell whether a case is asked for: by its file, its directory, a tag of its or its marker.

    Args:
        file: the case's.
        tags: of its scenario, its marker among them.
        expression: what ``-m`` was given; whether the tag is asked for or not is pytest's to say.
        paths: the files and directories that pytest was given. The directory that the file lies
            in asks for it, one above that does not.
    """
    words = set(re.findall(r"[^\s()]+", expression))
    return bool({KNOWN, *tags} & words) or any(path in (file, file.parent) for path in paths)
