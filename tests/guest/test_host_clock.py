"""A host whose clock is set while guests run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.guest

DAY = 86_400
PATIENCE = 300.0
SCENARIOS = """scenarios:
  first: {image: debian-trixie, run: "true"}
  second: {image: debian-trixie, run: [sleep, "4"]}
  third: {image: debian-trixie, run: [sleep, "4"]}
  fourth: {image: debian-trixie, run: "true"}
"""
WORDS = [sys.executable, "-m", "pytest", "-q", "scenarios", "--kernels=5.10", "--guests=1"]


def set_clock(file: Path, seconds: int) -> None:
    with file.open("r+b") as clock:
        clock.write(seconds.to_bytes(8, "little", signed=True))


def cells(root: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in root.glob("results/*/cells/*.json"):
        cell = json.loads(path.read_text())
        found[cell["scenario"]] = cell
    return found


def test_a_clock_that_is_set_back_and_forth_costs_no_cell_and_no_later_run(tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "some.yaml").write_text(SCENARIOS)
    clock, shim = tmp_path / "clock", tmp_path / "clock.so"
    clock.write_bytes(bytes(8))
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["tcc", "-shared", "-o", shim, source], check=True)
    env = os.environ | {"LD_PRELOAD": str(shim), "HARNESS_CLOCK": str(clock)}
    with subprocess.Popen(WORDS, cwd=tmp_path, env=env, stdout=subprocess.PIPE) as session:
        deadline = time.monotonic() + PATIENCE
        for ended, jump in (("first", 3 * DAY), ("second", -5 * DAY)):
            while ended not in cells(tmp_path):
                assert time.monotonic() < deadline and session.poll() is None, ended
                time.sleep(0.05)
            set_clock(clock, jump)
        said, _ = session.communicate(timeout=PATIENCE)
    assert session.returncode == 0, said.decode()
    seen = cells(tmp_path)
    assert {cell["verdict"] for cell in seen.values()} == {"passed"}
    dates = [datetime.fromisoformat(seen[name]["started"]) for name in ("first", "fourth")]
    assert (dates[0] - dates[1]).days >= 4, "the session did not see its clock set"
    for cell in seen.values():
        assert 0 <= cell["steps"][0]["seconds"] <= sum(cell["durations"].values()) < PATIENCE
    again = subprocess.run(WORDS, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout
    assert len(list(tmp_path.glob("results/*/run.json"))) == 3  # one is `latest`
    assert "4 passed" in again.stdout
