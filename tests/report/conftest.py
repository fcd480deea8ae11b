from __future__ import annotations

from pathlib import Path

import pytest
from recorded import many, record

from harness.report import contents, files
from harness.report.files import Format


@pytest.fixture(scope="session")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 1,000 cells with its report.html."""
    path = record(tmp_path_factory.mktemp("thousand"), many(1000))
    files.write(contents.load(path), Format.HTML)
    return path
