"""What pytest's ini file says of directories and limits: commands follow it, as pytest does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError
from harness.model.causes import KnownCause
from harness.plugin import settings
from harness.scenarios import causes

if TYPE_CHECKING:
    from harness.assembly import Options

_FILES = (
    *("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"),
    *("pyproject.toml", "tox.ini", "setup.cfg", "setup.py"),
)
"""What pytest's documentation of its rootdir names."""
# Neither what ini files add to pytest's own command line, nor conftest.py, is of use to a command.
_ARGUMENTS = ("-p", "kernels", "--noconftest", "-o", "addopts=", "-s", "--assert=plain")


class _Reader:
    """A plugin that takes pytest's place once that has read its ini file."""

    options: Options | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        self.options = settings.ini_options(config)
        return 0


def ini_options() -> Options:
    """Return what the ini file says that pytest would find from the working directory.

    Where there is none pytest is not asked, which takes some third of a second.

    Raises:
        UsageError: pytest cannot read it, and has said why.
    """
    from harness.assembly import Options

    here = Path.cwd()
    if not any((above / name).exists() for above in (here, *here.parents) for name in _FILES):
        return Options(rootdir=here)
    reader = _Reader()
    pytest.main([*_ARGUMENTS], plugins=[reader])
    if reader.options is None:
        raise UsageError("pytest cannot read its ini file here: see above")
    return reader.options


def known_causes() -> tuple[KnownCause, ...]:
    """Return the packaged causes and the user's own.

    Raises:
        HarnessError: pytest's ini file or one of causes is wrong.
    """
    options = ini_options()
    return causes.load_for(options.rootdir, options.causes)
