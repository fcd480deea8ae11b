from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.plugin.corpus import asked_for

Run = Callable[..., pytest.RunResult]
Write = Callable[..., Path]

CASE = """\
case:
  kind: profile
  reference: moby/moby#42680
  hosts:
    - {on: 5.10, effect: breaks, cause: x, errno: EPERM}
    - {on: 6.12, effect: works}
images:
  own: {debian: {suite: trixie}}
scenarios:
  breaks: {image: own, run: 'true', tags: threads}
"""
HERE = "scenarios/known/case.yaml::breaks[own-6.12]"
ORDINARY = "scenarios/some.yaml::set-get[debian-trixie-6.12]"


@pytest.fixture
def corpus(scenarios: Write) -> Path:
    directory = scenarios("set-get").parent / "known"
    directory.mkdir()
    (directory / "case.yaml").write_text(CASE)
    return directory


def collected(run: Run, *arguments: str) -> set[str]:
    result = run("--collect-only", "-q", "--kernels=6.12", *arguments)
    return {line for line in result.outlines if "::" in line}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("scenarios",), {ORDINARY}),
        (("-m", "not slow"), {ORDINARY}),
        (("-m", "known"), {HERE}),
        (("-m", "threads"), {HERE}),
        (("scenarios/known",), {HERE}),
        (("scenarios/some.yaml", HERE), {ORDINARY, HERE}),
    ],
)
def test_a_case_runs_when_it_is_asked_for_alone(
    corpus: Path, run: Run, arguments: tuple[str, ...], found: set[str]
) -> None:
    assert collected(run, *arguments) == found


def test_a_wrong_case_is_one_error_with_file_and_line(corpus: Path, run: Run) -> None:
    file = corpus / "case.yaml"
    file.write_text(CASE.replace("kind: profile", "kind: prfile"))
    result = run("--kernels=6.12", "scenarios/known")
    said = [line for line in result.outlines if "kind" in line]
    assert len(said) == 1
    assert f"{file}:2: case.kind: " in said[0]
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_a_word_of_a_marker_expression_asks_for_no_other_tag() -> None:
    file = Path("/r/scenarios/known/a.yaml")
    assert not asked_for(file, ["net"], expression="network", paths=[])
    assert not asked_for(file, [], expression="", paths=[file.parent.parent])
    assert asked_for(file, ["net"], expression="(net) and not slow", paths=[])
