"""Sessions with a baseline, without guests: what their cells did is scripted by their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from observations import check

from harness.results.runs import find_runs, load_comparison, load_run

Run = Callable[..., pytest.RunResult]
Write = Callable[..., Path]

SCRIPTED = '''
import itertools
from dataclasses import replace

import harness.plugin.session as sessions
from harness.guest.accelerator import Choice
from harness.laboratory import Laboratory, not_run
from harness.model.hosts import Accelerator, Engine
from harness.model.observations import Environment, Failure, Origin
from harness.model.observations import ProcessEnd, StepResult, Verdict

counter = itertools.count()
OLD = "5.10"


class Scripted(Laboratory):
    """On the old kernel some scenarios fare otherwise, as their names say."""

    def ready(self, entry):
        return None

    def image(self, name):
        return None

    def observe(self, id, scenario, image, entry, log, *, traced=True):
        with self.assembly._choosing:
            self.assembly._choice = Choice(Accelerator.TCG, "scripted")
        old, name = entry.name == OLD, scenario.name
        verdict, reason, output = Verdict.PASSED, "", ""
        failures, ends = (), ()
        if name == "breaks" and old:
            verdict, reason = Verdict.FAILED, "step 1: exit status is 38, expected 0"
            failures = (self.call("cachestat", 451),)
            ends = (self.end(38),)
        if name == "copes" and old:
            failures, ends = (self.call("fchmodat2", 452),), (self.end(0),)
        if name == "words":
            output = "old" if old else "new"
        if name == "noisy":
            output = f"run {next(counter)}"
        if name == "flaky" and old:
            output = "rare" if next(counter) == 0 else ""
        if name == "observed" and traced:
            verdict, reason = Verdict.FAILED, "step 1: traced"
        if name == "dies" and old:
            verdict, reason = Verdict.DIED, "QEMU ended"
        step = StepResult(name="step 1", argv=("true",), exit=0, signal=None, stdout=output,
                          stderr="")
        return replace(
            not_run(id, scenario, image, entry), verdict=verdict, reason=reason, steps=(step,),
            failures=failures, ends=ends, traced=traced, environment=self.environment(entry, image))

    def call(self, name, number):
        return Failure(name=name, number=number, abi="x86_64", errno="ENOSYS", program="cp",
                       origin=Origin.KERNEL, pid=7, offset=0.1, steps=(0,))

    def end(self, status):
        return ProcessEnd(pid=7, parent=1, program="cp", path="/bin/cp", offset=0.2, exit=status)

    def environment(self, entry, image):
        return Environment(
            kernel=entry.name, release=f"{entry.name}.0", kernel_digest=f"digest of {entry.name}",
            kernel_origin="", qemu="7.2", accelerator=Accelerator.TCG, cpu="x",
            engine=Engine.PODMAN, runtime="crun", runtime_why="", seccomp="", cgroup="v2",
            cmdline="", image=image, image_ref=image, image_digest="sha256:" + "a" * 64, tools="t")


sessions.Laboratory = Scripted
'''


@pytest.fixture
def compare(pytester: pytest.Pytester, run: Run) -> Run:
    """Run with the newest kernel as baseline of the oldest."""
    pytester.makeconftest(SCRIPTED)

    def start(*arguments: str) -> pytest.RunResult:
        given = ("--kernels=5.10,latest", "--baseline=latest")
        return run(*(arguments if "--kernels" in " ".join(arguments) else (*given, *arguments)))

    return start


def latest(pytester: pytest.Pytester) -> Path:
    return (pytester.path / "results" / "latest").resolve()


def kinds(pytester: pytest.Pytester) -> dict[str, str]:
    found = load_comparison(latest(pytester))
    assert found is not None
    return {finding.scenario: finding.kind.value for finding in found.findings}


def test_every_cell_is_compared_with_its_own_on_the_baseline(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("breaks", "copes", "words", "noisy", "dies", "plain")
    result = compare()
    result.assert_outcomes(passed=10, failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert kinds(pytester) == {
        "breaks": "broken",
        "copes": "degraded",
        "words": "changed",
        "noisy": "same",
        "dies": "unknown",
        "plain": "same",
    }
    result.stdout.fnmatch_lines(
        [
            "*differences: 5.10 against latest*",
            "BROKEN  debian-trixie, breaks on 5.10",
            "  cause, suspected: cp gets ENOSYS from kernel for cachestat, a call that Linux has*",
            "DEGRADED  debian-trixie, copes on 5.10",
            "CHANGED  debian-trixie, words on 5.10",
            "      -new",
            "      +old",
            "UNKNOWN  debian-trixie, dies on 5.10",
            "noise, not the same in every run: debian-trixie, noisy on 5.10: stdout of step 1",
            "6 cells compared: 1 broken, 1 degraded, 1 changed, 1 unknown, 2 same",
        ]
    )
    check(latest(pytester) / "comparison.json", "comparison")


def test_the_baseline_runs_first_and_twice_and_findings_once_more_on_both_sides(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("words", "plain")
    result = compare("-v")
    ran = [line.split()[0] for line in result.outlines if "::" in line and "PASSED" in line]
    assert [name.rpartition("-")[2] for name in ran] == ["latest]", "latest]", "5.10]", "5.10]"]
    repeats = load_run(latest(pytester)).repeats
    assert sorted((one.scenario, one.kernel, one.repeat) for one in repeats) == [
        ("plain", "latest", 1),
        ("words", "5.10", 1),
        ("words", "latest", 1),
        ("words", "latest", 2),
    ]
    result.stdout.fnmatch_lines(["*differences: 2 cells run once more"])
    files = sorted(path.name for path in latest(pytester).glob("repeats/*words*"))
    assert [name.rpartition(".r")[2] for name in files] == ["1.json", "1.json", "2.json"]


def test_rare_noise_is_found_out_before_it_is_reported(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("flaky")
    assert compare("--guests=1").ret == pytest.ExitCode.OK
    assert kinds(pytester) == {"flaky": "same"}
    found = load_comparison(latest(pytester))
    assert found is not None
    assert found.findings[0].noise[0].before == ""
    assert found.findings[0].noise[0].after == "rare"


def test_workers_compare_in_the_controller_which_runs_findings_once_more(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("breaks", "words", "noisy", "plain")
    result = compare("-p", "xdist.plugin", "-n2")
    result.assert_outcomes(passed=7, failed=1)
    assert kinds(pytester) == {
        "breaks": "broken",
        "words": "changed",
        "noisy": "same",
        "plain": "same",
    }
    result.stdout.fnmatch_lines(["*differences: 4 cells run once more"])
    recorded = load_run(latest(pytester))
    assert len(recorded.observations) == 8
    assert len([one for one in recorded.repeats if one.repeat == 2]) == 2


@pytest.mark.parametrize(
    ("scenario", "options", "status"),
    [
        ("copes", (), 0),
        ("copes", ("--fail-on=degraded",), 1),
        ("copes", ("--fail-on=changed",), 0),
        ("copes", ("--fail-on=changed,enosys",), 1),
        ("words", ("--fail-on=degraded", "--fail-on=changed"), 1),
        ("plain", ("--fail-on=degraded,changed,enosys",), 0),
    ],
)
def test_findings_turn_the_exit_status_as_asked_for(
    compare: Run, scenarios: Write, scenario: str, options: tuple[str, ...], status: int
) -> None:
    scenarios(scenario)
    result = compare("--repeat=1", *options)
    result.assert_outcomes(passed=2)
    assert result.ret == status


def test_an_enosys_turns_the_exit_status_without_a_baseline_unless_it_is_known(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("copes")
    assert compare("--kernels=5.10", "--fail-on=enosys").ret == pytest.ExitCode.TESTS_FAILED
    assert not (latest(pytester) / "comparison.json").exists()
    known = pytester.path / "scenarios" / "known.yaml"
    known.write_text("known: [{kernels: all, syscall: fchmodat2, reason: it copes}]\n")
    assert compare("--kernels=5.10", "--fail-on=enosys").ret == pytest.ExitCode.OK


def test_a_baseline_that_is_not_selected_is_taken_from_the_newest_run_alike(
    compare: Run, scenarios: Write, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = """
from types import SimpleNamespace
from harness.assembly import Assembly
Assembly.host = lambda self, entry: (
    SimpleNamespace(kernel=SimpleNamespace(digest=f"digest of {entry.name}")), None)
"""
    file = scenarios("words", "plain")
    pytester.makeconftest(SCRIPTED + digest)
    alone = compare("--kernels=5.10", "--baseline=latest")
    alone.stdout.fnmatch_lines(["*words on 5.10: there is nothing to compare it with"])
    compare("--kernels=latest")
    baseline = latest(pytester).name
    result = compare("--kernels=5.10", "--baseline=latest")
    result.assert_outcomes(passed=2)
    assert kinds(pytester) == {"words": "changed", "plain": "same"}
    assert f"it is taken from run {baseline}" in " ".join(result.stdout.str().split())
    result.stdout.fnmatch_lines(["*differences: 2 cells run once more"])

    file.write_text(file.read_text().replace('"true"', '"exit 0"'))
    other = compare("--kernels=5.10", "--baseline=latest")
    other.stdout.fnmatch_lines(["*words on 5.10: there is nothing to compare it with"])


def test_a_known_difference_is_shown_as_known_and_a_stale_one_as_stale(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    file = scenarios("words")
    rules = (
        "    known:\n"
        "      - {kernels: '5.10', field: stdout, where: step 1, reason: older words}\n"
        "      - {kernels: '5.10', field: stderr, reason: a warning}\n"
    )
    file.write_text(file.read_text() + rules)
    result = compare("--fail-on=changed")
    assert result.ret == pytest.ExitCode.OK
    assert kinds(pytester) == {"words": "same"}
    result.stdout.fnmatch_lines(
        [
            "known: debian-trixie, words on 5.10: stdout: older words",
            "known difference is stale: debian-trixie, words on 5.10: a warning",
        ]
    )


def test_findings_become_known_differences_to_be_reviewed(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("breaks", "copes", "words", "noisy")
    result = compare("--update-known")
    known = pytester.path / "scenarios" / "known.yaml"
    result.stdout.fnmatch_lines([f"{known}: 3 known differences added, to be reviewed"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    again = compare("--update-known", "--fail-on=degraded,changed")
    again.assert_outcomes(passed=7, xfailed=1)
    assert again.ret == pytest.ExitCode.OK
    again.stdout.fnmatch_lines([f"{known}: 0 known differences added, to be reviewed"])
    assert known.read_text().count("to be reviewed") == 3


def test_a_verdict_that_tracing_changes_is_said(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("observed", "plain")
    result = compare("--kernels=latest", "--check-untraced")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "tracing changes a verdict: debian-trixie, observed on latest: failed with tracing, "
            "passed without"
        ]
    )
    repeats = load_run(latest(pytester)).repeats
    assert [(one.scenario, one.traced) for one in repeats] == [
        ("observed", False),
        ("plain", False),
    ]


def test_repeats_are_made_of_every_cell_where_there_is_no_baseline(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("plain", "dies")
    compare("--kernels=5.10,latest", "--repeat=3")
    repeats = load_run(latest(pytester)).repeats
    assert sorted((one.scenario, one.kernel, one.repeat) for one in repeats) == [
        ("dies", "latest", 1),
        ("dies", "latest", 2),
        ("plain", "5.10", 1),
        ("plain", "5.10", 2),
        ("plain", "latest", 1),
        ("plain", "latest", 2),
    ]
    [reference] = find_runs(pytester.path / "results")
    assert json.loads((reference.path / "run.json").read_text())["counts"] == {
        "guest died": 1,
        "passed": 3,
    }


def test_a_session_that_stops_at_its_first_failure_is_compared_as_far_as_it_came(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("breaks", "words")
    result = compare("-x", "--guests=1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert kinds(pytester)["breaks"] == "broken"
    assert "cells run once more" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*it was not run once more: noise is not ruled out*"])


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--baseline=9.9", "unknown kernel '9.9'"),
        ("--repeat=0", "--repeat=0: give a number from 1 on"),
        ("--fail-on=broken,worse", "--fail-on=worse: give broken, degraded, changed, enosys"),
    ],
)
def test_a_wrong_option_is_said_at_once(
    compare: Run, scenarios: Write, option: str, said: str
) -> None:
    scenarios("plain")
    result = compare("--kernels=5.10", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


def test_known_differences_need_findings_to_be_written(compare: Run, scenarios: Write) -> None:
    scenarios("plain")
    result = compare("--kernels=5.10", "--update-known")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--update-known needs --baseline" in result.stderr.str()


def test_a_mistake_in_the_known_differences_is_said_with_its_line(
    compare: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("plain")
    (pytester.path / "scenarios" / "known.yaml").write_text("known:\n  - {kernel: all}\n")
    result: Any = compare("--kernels=5.10")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "known.yaml:2" in result.stderr.str()
