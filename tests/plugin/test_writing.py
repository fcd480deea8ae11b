from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from observations import schema

OWN = """
causes:
  mine:
    text: A cause of our own.
    help: Our own help.
    reference: our wiki
    when: {reason: not as expected}
"""
Run = Callable[..., pytest.RunResult]
Write = Callable[..., Path]


def test_a_session_leaves_a_page_and_the_forms_that_were_asked_for(
    run: Run,
    scenarios: Write,
    pytester: pytest.Pytester,
    scripted: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    scenarios("lacks", "fails", "absent")
    run().stdout.fnmatch_lines(["*recorded in *report.html"])
    latest = pytester.path / "results" / "latest"
    assert [file.name for file in latest.glob("report.*")] == ["report.html"]
    assert not summary.exists()
    assert "failed" in (latest / "report.html").read_text()

    run("--report=md", "--report=json", "-p", "xdist.plugin", "-n2")
    assert "| debian-trixie | fails | ✗ failed |" in summary.read_text()
    assert (latest / "report.md").read_text() == summary.read_text()
    told = json.loads((latest / "report.json").read_text())
    jsonschema.Draft202012Validator(schema("report")).validate(told)
    assert [row["scenario"] for row in told["rows"]] == ["lacks", "fails", "absent"]
    assert told["run"]["exit_status"] == 1


def test_a_failing_cell_is_explained_alike_on_the_terminal_and_in_every_report(
    run: Run, scenarios: Write, pytester: pytest.Pytester, scripted: None
) -> None:
    scenarios("fails", "lacks")
    pytester.makeini("[pytest]\ncauses = own.yaml\n")
    (pytester.path / "own.yaml").write_text(OWN)
    for more in ((), ("-p", "xdist.plugin", "-n2")):
        result = run("--report=md", "--report=json", *more)
        shown = " ".join(result.stdout.str().split())
        latest = pytester.path / "results" / "latest"
        told = json.loads((latest / "report.json").read_text())
        fails, lacks = (row["cells"][0] for row in told["rows"])
        assert fails["causes"] == {"mine": "suspected"}
        assert "Known case mine (suspected, as the cell failed with: step 1:" in fails["why"]
        assert f"why: {fails['why']}" in shown
        assert " ".join(fails["why"].split()) in " ".join(
            (latest / "report.md").read_text().split()
        )
        assert fails["why"] in (latest / "report.html").read_text()
        assert lacks["causes"] == {"no-fchmodat2": "coped"}
        assert told["run"]["causes"] == [str(pytester.path / "own.yaml")]


def test_a_form_that_does_not_exist_is_refused_before_anything_runs(
    run: Run, scenarios: Write, pytester: pytest.Pytester, scripted: None
) -> None:
    scenarios("passes")
    result = run("--report=pdf")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "html" in result.stderr.str()
    assert not (pytester.path / "results").exists()


def test_a_summary_that_cannot_be_written_is_said_and_costs_nothing_recorded(
    run: Run,
    scenarios: Write,
    pytester: pytest.Pytester,
    scripted: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "none" / "summary.md"))
    scenarios("passes")
    result = run("--report=md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["not wholly recorded: cannot write *summary.md*"])
    latest = pytester.path / "results" / "latest"
    assert len(list(latest.glob("cells/*.json"))) == 1
    assert (latest / "report.md").exists()
