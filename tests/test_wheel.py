"""The wheel carries all that the harness works with, and works away from any checkout."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from harness import process

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    process.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], limit=120, cwd=ROOT
    )
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(out / "site")
    return out / "site"


def python(unpacked: Path, cwd: Path, *words: str) -> process.Completed:
    environment = {
        **os.environ,
        "PYTHONPATH": str(unpacked),
        "HARNESS_STORE": str(cwd / "store"),
        "COVERAGE_PROCESS_START": "",
    }
    return process.run([sys.executable, *words], limit=120, cwd=cwd, env=environment, check=False)


def test_catalogs_locks_keys_scripts_and_tables_travel_in_it(unpacked: Path) -> None:
    harness = unpacked / "harness"
    for name in (
        "data/kernels/catalog.yaml",
        "data/kernels/kernels.lock.yaml",
        "data/kernels/tools.lock.yaml",
        "data/kernels/seccomp.yaml",
        "data/kernels/keys/keys.yaml",
        "data/kernels/keys/debian-archive-keyring.pgp",
        "data/images/catalog.yaml",
        "data/scenarios/causes.yaml",
        "guest/init.sh",
        "trace/arm.sh",
        "trace/census_probe.pl",
        "container/step.pl",
        "images/unpack.sh",
        "report/templates/report.css",
        "report/templates/report.html",
        "report/templates/report.js",
    ):
        assert (harness / name).is_file(), name


def test_its_command_lists_the_packaged_kernels_in_an_empty_directory(
    unpacked: Path, tmp_path: Path
) -> None:
    done = python(
        unpacked, tmp_path, "-c", "from harness.cli import main; main()", "kernels", "list"
    )
    assert done.status == 0, done.stderr
    assert b"latest" in done.stdout


def test_one_scenario_file_named_on_the_command_line_is_collected_in_an_empty_directory(
    unpacked: Path, tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text(
        "scenarios:\n  hello:\n    image: debian-trixie\n    run: echo hello\n"
    )
    (tmp_path / "other.yaml").write_text("scenarios: [this, is, somebody, else's\n")
    words = ("-m", "pytest", "--collect-only", "-q", "--kernels=6.12", "my.yaml")
    done = python(unpacked, tmp_path, *words)
    assert b"my.yaml::hello[debian-trixie-6.12]" in done.stdout, done.stdout + done.stderr
    assert done.status == 0
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "results").exists()
