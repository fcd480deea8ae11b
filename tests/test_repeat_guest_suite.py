from __future__ import annotations

import json
from pathlib import Path

import pytest
from repeat_guest_suite import main

SOMETIMES = """
import pathlib

def test_steady(): ...

def test_sometimes():
    file = pathlib.Path(__file__).with_suffix(".seen")
    seen = file.exists()
    file.touch()
    assert seen
"""


def test_each_run_is_noted_and_a_flaky_test_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(SOMETIMES)
    log = tmp_path / "log"
    words = [f"--log={log}", "-p", "no:cacheprovider", "-n0", str(file)]
    assert main(["--times", "2", *words]) == 1
    assert main(["--times", "1", *words]) == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["status"] for record in records] == [1, 0, 0]
    assert {record["tests"] for record in records} == {2}
    assert all(record["commit"] for record in records)
    capfd.readouterr()
    assert main(["--times", "0", *words]) == 0
    said = capfd.readouterr().out
    assert "2 of 3 runs passed, the last 2 in a row" in said
    assert "failed in 1 of 3: " in said
    assert "test_sometimes" in said
