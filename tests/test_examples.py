"""The examples of docs/nightly.md before the linters of those who would run them."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import typer

from harness import process
from harness.cli import app

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = DOCS / "examples"
PROGRAM = Path(sys.executable).with_name("harness")
SCHEMAS = {
    "github-nightly.yml": ("--builtin-schema", "vendor.github-workflows"),
    "gitlab-nightly.yml": (
        *("--builtin-schema", "vendor.gitlab-ci"),
        *("--data-transform", "gitlab-ci"),
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_workflow_fits_the_schema_of_its_service(name: str) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    process.run([program, *SCHEMAS[name], EXAMPLES / name], limit=60)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_workflow_is_clean_yaml(name: str) -> None:
    program = Path(sys.executable).with_name("yamllint")
    process.run([program, "-s", "-c", EXAMPLES / ".yamllint", EXAMPLES / name], limit=60)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd's own linter")
def test_the_units_are_what_systemd_takes(tmp_path: Path) -> None:
    units = []
    for unit in sorted(EXAMPLES.glob("harness-nightly.*")):
        text = unit.read_text().replace("/srv/harness/.venv/bin/harness", str(PROGRAM))
        units.append(tmp_path / unit.name)
        units[-1].write_text(text)
    assert len(units) == 2
    done = process.run(["systemd-analyze", "verify", "--man=no", *units], limit=60, check=False)
    said = [line for line in done.stderr.decode().splitlines() if "harness-nightly" in line]
    assert (said, done.status) == ([], 0)


def test_the_page_shows_the_examples_that_are_there() -> None:
    page = (DOCS / "nightly.md").read_text()
    names = {path.name for path in EXAMPLES.iterdir() if not path.name.startswith(".")}
    assert {name for name in names if f"(examples/{name})" in page} == names


def test_every_option_in_the_examples_and_on_the_page_exists() -> None:
    command = typer.main.get_command(app)
    nightly = command.get_command(None, "nightly")  # type: ignore[attr-defined]
    known = {option for parameter in nightly.params for option in parameter.opts}
    pytests = {"--kernels", "--report", "-n", "--night", "--compare-run"}
    for path in (DOCS / "nightly.md", *EXAMPLES.glob("*")):
        for line in re.findall(r"harness nightly ([^\n`]*)", path.read_text()):
            used = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", line))
            assert used <= known | pytests, (path, line)
