"""createrepo_c, imported without the host's configuration of rpm.

Its wheel brings an rpm library of its own, which reads the host's macros when it is loaded and
prints errors about those that a newer rpm wrote: rpm 4.20's of Debian 13, for one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DIRECTORY = "RPM_CONFIGDIR"


@contextmanager
def _bare_configuration() -> Iterator[None]:
    before = os.environ.get(_DIRECTORY)
    with tempfile.TemporaryDirectory(prefix="harness-rpm-") as name:
        for file in ("rpmrc", "macros"):
            (Path(name) / file).touch()
        os.environ[_DIRECTORY] = name
        try:
            yield
        finally:
            if before is None:
                del os.environ[_DIRECTORY]
            else:
                os.environ[_DIRECTORY] = before


with _bare_configuration():
    import createrepo_c

__all__ = ["createrepo_c"]
