from __future__ import annotations

import json
from pathlib import Path

from observations import observation
from recorded import record
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import UsageError


def test_a_runs_report_is_written_beside_its_record_and_named(tmp_path: Path) -> None:
    path = record(tmp_path, [observation()])
    for run, form in (("latest", "html"), (path.name, "md"), (str(path), "json")):
        done = CliRunner().invoke(
            app, ["report", run, "--format", form, "--results", str(tmp_path)]
        )
        assert done.exit_code == 0, done.output
        assert Path(done.output.strip()) == path / f"report.{form}"
        assert (path / f"report.{form}").stat().st_size > 100


def test_it_goes_where_it_is_told_to(tmp_path: Path) -> None:
    path = record(tmp_path, [observation()])
    out = tmp_path / "out.json"
    words = ["report", str(path), "--format", "json", "--out"]
    assert CliRunner().invoke(app, [*words, str(out)]).exit_code == 0
    done = CliRunner().invoke(app, [*words, "-"])
    assert json.loads(done.stdout) == json.loads(out.read_text())
    assert not list(path.glob("report.*"))


def test_a_run_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", "none", "--results", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert "'none'" in str(done.exception)
    assert "--results" in str(done.exception)
