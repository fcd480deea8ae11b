from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.scenarios.detect import HEAD_BYTES, is_scenario_file


@pytest.mark.parametrize(
    "text",
    [
        b"scenarios:\n  a: {}\n",
        b"\xef\xbb\xbfscenarios:\n",
        b"# about\n---\nx-base: &b {}\nscenarios:\r\n  a: {}\r\n",
        b"scenarios:",
        b'"scenarios": {a: {}}\n',
        b"scenarios : {}\n",
        b"#" * 16_380 + b"\nscenarios:\n",
        b"#" * 50_000 + b"\nscenarios:\n",
    ],
)
def test_the_key_at_the_start_of_a_line_makes_a_scenario_file(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(text)
    assert is_scenario_file(file)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"kernels:\n  scenarios: 1\n",
        b"# scenarios:\n",
        b"scenarios_dir: x\n",
        b"scenarios:x\n",
        b"\x00\xff" * 9000,
        b"a" * 16_384 + b"scenarios:\n",
        b"a" * 40_000 + b"scenarios:\n",
        b"a: [unfinished\n",
        b"a: 1\n" * (HEAD_BYTES // 5 + 1) + b"scenarios:\n",
    ],
)
def test_other_files_are_none_and_cause_no_complaint(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(text)
    assert not is_scenario_file(file)


def test_what_cannot_be_read_is_no_scenario_file(tmp_path: Path) -> None:
    assert not is_scenario_file(tmp_path)
    assert not is_scenario_file(tmp_path / "none.yaml")


def test_telling_the_files_apart_imports_neither_pydantic_nor_ruamel() -> None:
    code = (
        "import sys, harness.scenarios.detect\n"
        "print([name for name in ('pydantic', 'ruamel.yaml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
