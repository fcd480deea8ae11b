from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from harness.cli import app
from harness.cli.inifile import ini_options
from harness.oci_limits import Limits, limits

INI = """\
[pytest]
addopts = --no-such-option
kernels_dir = own/kernels
images_dir = own/images
scenario_dirs = checks more
causes = own/causes.yaml
image_limits = layers=7
"""


def asked(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "store"))
    (tmp_path / "pytest.ini").write_text(INI)
    (tmp_path / "conftest.py").write_text("raise SystemExit('of no use to a command')\n")
    for name in ("own/kernels", "own/images", "checks", "more", "below"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "below")
    return tmp_path


def test_catalogs_are_read_from_where_the_ini_file_has_them(repository: Path) -> None:
    (repository / "own/images/catalog.yaml").write_text("images: {mine: {ref: 'oci:/srv/mine'}}\n")
    (repository / "own/kernels/catalog.yaml").write_text(
        "kernels: {mine: {source: {type: local, image: /boot/x}}}\n"
    )
    for group in ("images", "kernels"):
        done = asked(group, "list")
        assert done.exit_code == 0, done.stderr
        assert any(line.startswith("mine ") for line in done.stdout.splitlines())


def test_scenarios_are_those_of_all_its_directories(repository: Path) -> None:
    for name in ("checks", "more"):
        text = f"scenarios: {{of-{name}: {{image: redis, run: 'true'}}}}\n"
        (repository / name / "one.yaml").write_text(text)
    for name in ("checks", "more"):
        done = asked("upgrade", "--from=5.10", "--to=6.1", f"--scenario=on-{name}")
        assert f"did you mean 'of-{name}'?" in done.stderr


def test_a_mistake_in_its_causes_is_named_by_whatever_reads_them(repository: Path) -> None:
    (repository / "own/causes.yaml").write_text("reasons: {}\n")
    done = asked("compare", "last", "last")
    assert done.exit_code != 0
    assert f"{repository}/own/causes.yaml:1: no key 'causes'" in str(done.exception or done.stderr)


def test_its_limits_hold_until_others_are_given(repository: Path) -> None:
    found = ini_options().image_limits
    assert found == Limits(layers=7)
    assert limits(["files=3"], found) == Limits(layers=7, files=3)
    assert ini_options().rootdir == repository


def test_an_ini_file_that_is_wrong_is_said_to_be(repository: Path) -> None:
    (repository / "pytest.ini").write_text("[pytest]\nimage_limits = layers=many\n")
    done = asked("images", "list")
    assert done.exit_code != 0
    assert "pytest cannot read its ini file" in str(done.exception or done.stderr)


def test_without_one_the_working_directory_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ini_options()
    assert (options.rootdir, options.scenarios) == (tmp_path, (tmp_path / "scenarios",))
