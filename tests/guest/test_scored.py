"""Documented breakages on a real kernel: found, and put down to their causes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.guest

ROOT = Path(__file__).parents[2]


def test_documented_breakages_are_found_and_put_down_to_their_causes(tmp_path: Path) -> None:
    file = tmp_path / "score.json"
    harness = str(Path(sys.executable).with_name("harness"))
    words = ["score", "fchmodat2-tar", "landlock-setpriv", "--host=5.10", f"--json={file}"]
    done = subprocess.run(
        [harness, *words, f"--results={tmp_path / 'results'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells = json.loads(file.read_text())["cells"]
    assert {(cell["case"], cell["mark"], cell["named"]) for cell in cells} == {
        ("fchmodat2-tar", "right", "no-fchmodat2"),
        ("landlock-setpriv", "right", "landlock-required"),
    }
