from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def harness(tmp_path: Path, preloaded: tuple[str, ...]) -> Command:
    """Run the command in a process and a directory of its own, with a store of its own."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"HARNESS_STORE": str(tmp_path / "store"), "COLUMNS": "100", "NO_COLOR": "1"}
        return subprocess.run(
            [*preloaded, "harness", *words],
            cwd=tmp_path,
            env={**os.environ, **own, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run
