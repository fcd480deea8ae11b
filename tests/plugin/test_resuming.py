"""Runs that were cut off and are resumed, without guests: files say what becomes of cells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.errors import UsageError
from harness.plugin.resuming import Resumed
from harness.results.history import History
from harness.results.meta import Run as Recorded
from harness.results.meta import RunMeta
from harness.results.runs import RunDir, find_runs, load_comparison, load_run

Run = Callable[..., pytest.RunResult]
Write = Callable[..., Path]
Kill = Callable[..., str]

SCRIPTED = '''
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import harness.plugin.session as sessions
from harness.errors import GuestError
from harness.guest.accelerator import Choice
from harness.laboratory import Laboratory, not_run
from harness.model.hosts import Accelerator, Engine
from harness.model.observations import Environment, StepResult, Verdict

HERE = Path.cwd()


def content(name):
    file = HERE / name
    return file.read_text() if file.exists() else "first"


class Scripted(Laboratory):
    """A cell named waits... ends when there is a file `go`; every cell that ends is logged."""

    def ready(self, entry):
        kernel = SimpleNamespace(digest=content(f"kernel-{entry.name}"))
        return SimpleNamespace(machine=SimpleNamespace(host=SimpleNamespace(kernel=kernel)))

    def image(self, name):
        return SimpleNamespace(digest=content("image"))

    def observe(self, id, scenario, image, entry, log, *, traced=True):
        with self.assembly._choosing:
            self.assembly._choice = Choice(Accelerator.TCG, "scripted")
        with suppress(OSError):  # a full disk costs the log alone
            log.write_text("up")
        (HERE / f"pid-{scenario.name}").write_text(str(os.getpid()))
        with (HERE / "begun.log").open("a") as file:
            file.write(f"{scenario.name}-{entry.name}\\n")
        keeper = self.assembly.apparatus.keeper
        while scenario.name.startswith("waits") and not (HERE / "go").exists():
            if keeper._ended:
                raise GuestError("ended with the session")
            time.sleep(0.02)
        with (HERE / "ran.log").open("a") as file:
            file.write(f"{scenario.name}-{entry.name}\\n")
        verdict = Verdict.FAILED if scenario.name == "fails" else Verdict.PASSED
        output = entry.name if scenario.name == "words" else ""
        step = StepResult(name="step 1", argv=("true",), exit=0, signal=None, stdout=output,
                          stderr="")
        return replace(not_run(id, scenario, image, entry), verdict=verdict, steps=(step,),
                       reason="step 1: not as expected" if verdict is Verdict.FAILED else "",
                       environment=self.environment(entry, image))

    def environment(self, entry, image):
        return Environment(
            kernel=entry.name, release=f"{entry.name}.0", cpu="x", qemu="7.2", image=image,
            kernel_digest=self.ready(entry).machine.host.kernel.digest, kernel_origin="",
            accelerator=Accelerator.TCG, engine=Engine.PODMAN, runtime="crun", runtime_why="",
            seccomp="", cgroup="v2", cmdline="", image_ref=image, tools="t",
            image_digest=self.image(image).digest)


sessions.Laboratory = Scripted
'''


@pytest.fixture
def killed(pytester: pytest.Pytester, run: Run) -> Kill:
    """Begin a session, kill it once a cell is under way, and return the run's id."""
    pytester.makeconftest(SCRIPTED)

    def start(*arguments: str, once: str, number: signal.Signals = signal.SIGKILL) -> str:
        words = [*map(str, pytester._getpytestargs()), "-p", "harness.plugin", *arguments]
        child = subprocess.Popen(
            words,
            stdout=subprocess.DEVNULL,
            cwd=pytester.path,
            env={**os.environ, "HOME": str(pytester.path)},
        )
        try:
            deadline = time.monotonic() + 60
            while once not in lines(pytester, "begun.log"):
                assert time.monotonic() < deadline
                assert child.poll() is None
                time.sleep(0.02)
            child.send_signal(number)
            child.wait(60)
        finally:
            child.kill()
            child.wait()
        # Workers end by themselves soon after their controller.
        while at_work(pytester.path):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        [reference] = find_runs(pytester.path / "results")
        return reference.path.name

    return start


def at_work(directory: Path) -> list[str]:
    """Return the processes besides this one that work in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").readlink() == directory
        except OSError:  # it has ended
            continue
        if here and process.name != str(os.getpid()):
            found.append(process.name)
    return found


def lines(pytester: pytest.Pytester, name: str) -> list[str]:
    file = pytester.path / name
    return file.read_text().split() if file.exists() else []


def go(pytester: pytest.Pytester) -> None:
    (pytester.path / "go").touch()


def latest(pytester: pytest.Pytester) -> Recorded:
    return load_run(pytester.path / "results" / "latest")


@pytest.mark.parametrize("workers", [(), ("-p", "xdist.plugin", "-n2")], ids=["alone", "workers"])
def test_a_killed_run_is_continued_where_it_was_with_what_is_missing_alone(
    run: Run, scenarios: Write, pytester: pytest.Pytester, killed: Kill, workers: tuple[str, ...]
) -> None:
    scenarios("fails", "passes", "waits", "later")
    id = killed(*workers, "--kernels=6.12", "--guests=1", once="waits-6.12")
    before = latest(pytester)
    assert before.path.name == id
    assert not before.meta.finished
    assert len(before.meta.cells) == 4
    kept = sorted(one.scenario for one in before.observations)
    go(pytester)
    result = run(*workers[:2], "--resume", "--junitxml=out.xml")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    ran = lines(pytester, "ran.log")
    assert set(ran) == {f"{name}-6.12" for name in ("fails", "passes", "waits", "later")}
    assert [ran.count(f"{name}-6.12") for name in kept] == [1] * len(kept)
    result.stdout.fnmatch_lines(
        [
            f"kernels: run {id} is resumed: {4 - len(kept)} of 4 cells left to run",
            "*fails*failed*",
            "*4 cells: *3 passed, *1 failed",
            f"recorded in */results/{id};*",
        ]
    )
    [reference] = find_runs(pytester.path / "results")
    after = latest(pytester)
    assert reference.path.name == after.path.name == id
    assert after.meta.exit_status == 1
    assert after.meta.counts == {"passed": 3, "failed": 1}
    assert after.meta.command == before.meta.command
    assert after.meta.started == before.meta.started
    assert len(after.meta.resumed) == 1
    assert not after.problems
    assert not [file for file in after.path.rglob("*") if file.name.startswith(".")]
    assert "later" in (after.path / "report.html").read_text()
    cases = {case.get("name") for case in ElementTree.parse("out.xml").iter("testcase")}
    assert len(cases) == 4
    with History.open(pytester.path / "results") as history:
        assert [row.id for row in history.runs()] == [id]

    again = run(*workers[:2], "--resume")
    assert again.ret == pytest.ExitCode.TESTS_FAILED  # as the run itself ended
    assert f"the run {id} is complete: there is nothing to resume" in again.stdout.str()
    assert latest(pytester).meta == after.meta


FINISHING = """
from pathlib import Path

import pytest

from harness import held


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session):
    yield
    if not hasattr(session.config, "workerinput"):  # they have ended
        with held.opened(Path("results/latest").resolve()) as run:
            Path("alone").write_text(str(held.alone(run)))
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist.plugin", "-n1")], ids=["alone", "workers"])
def test_no_other_session_takes_up_a_run_whose_reports_are_being_written(
    run: Run, scenarios: Write, pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    pytester.makeconftest(SCRIPTED + FINISHING)
    scenarios("passes")
    run(*workers, "--kernels=6.12").assert_outcomes(passed=1)
    assert lines(pytester, "alone") == ["False"]


def test_a_run_that_stopped_early_says_how_it_is_continued(
    run: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(SCRIPTED)
    scenarios("fails", "waits", "other")
    stopped = run("-x", "--guests=1")
    assert "2 cells are missing: `pytest --resume` continues this run" in stopped.stdout.str()
    go(pytester)
    result = run("--resume", "--maxfail=0")
    result.assert_outcomes(failed=1, passed=2)
    assert "missing" not in result.stdout.str()
    assert lines(pytester, "ran.log").count("fails-latest") == 1
    assert "complete" in run("--resume", "--maxfail=0").stdout.str()


def test_cells_whose_scenario_image_or_kernel_changed_are_run_again_and_that_is_said(
    run: Run, scenarios: Write, pytester: pytest.Pytester, killed: Kill
) -> None:
    file = scenarios("one", "other", "waits")
    killed("--kernels=5.10,6.12", "--guests=1", once="waits-5.10")
    go(pytester)
    file.write_text(file.read_text().replace('"true"', '"exit 0"', 1))
    (pytester.path / "kernel-6.12").write_text("second")
    result = run("--resume")
    result.assert_outcomes(passed=6)
    again = [line for line in result.outlines if "run again" in line]
    assert sorted(again) == [
        f"kernels: {'scenarios/some.yaml'}::{name}[debian-trixie-{kernel}]: run again, {why}"
        for name, kernel, why in (
            ("one", "5.10", "its scenario is another text"),
            ("one", "6.12", "its scenario is another text"),
            ("other", "6.12", "its kernel is another build"),
        )
    ]
    ran = lines(pytester, "ran.log")
    assert [ran.count(name) for name in ("one-5.10", "other-5.10", "other-6.12")] == [2, 1, 2]
    run_path = latest(pytester).path
    (run_path / "run.json").write_text(
        (run_path / "run.json").read_text().replace('"exit_status": 0', '"exit_status": 2')
    )
    (pytester.path / "image").write_text("second")
    result = run("--resume")
    result.assert_outcomes(passed=6)
    assert result.stdout.str().count("run again, its image is another build") == 6


def test_what_cannot_be_resumed_is_refused_with_what_can(
    run: Run, scenarios: Write, pytester: pytest.Pytester, killed: Kill
) -> None:
    pytester.makeconftest(SCRIPTED)
    scenarios("passes", "waits")
    none = run("--resume")
    assert none.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --resume=latest: no such run in " in none.stderr.str()
    id = killed("--kernels=6.12", once="waits-6.12")
    wrong = run("--resume=2019", "--kernels=6.12")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    assert f"the runs there: {id}" in wrong.stderr.str()
    narrow = run(f"--resume={id[:-2]}", "-k", "passes")
    assert narrow.ret == pytest.ExitCode.USAGE_ERROR
    assert "has cells that are not selected now: scenarios/some.yaml::waits" in narrow.stderr.str()
    assert not latest(pytester).meta.resumed
    (pytester.path / "deeper").mkdir()
    os.chdir(pytester.path / "deeper")
    elsewhere = run("--resume", f"--rootdir={pytester.path}", "-c", os.devnull)
    assert f"was begun in {pytester.path}: resume it there" in elsewhere.stderr.str()


def test_a_path_may_follow_and_the_same_options_may_be_given_again(
    run: Run, scenarios: Write, pytester: pytest.Pytester, killed: Kill
) -> None:
    scenarios("passes", "waits")
    killed("scenarios", "--kernels=6.12", "--guests=1", once="waits-6.12")
    go(pytester)
    result = run("--resume", "scenarios", "--kernels=6.12", "-v")
    result.assert_outcomes(passed=2)
    assert lines(pytester, "ran.log").count("passes-6.12") == 1


@pytest.mark.parametrize("workers", [(), ("-p", "xdist.plugin", "-n2")], ids=["alone", "workers"])
def test_repeats_and_the_baseline_are_continued_as_well(
    run: Run, scenarios: Write, pytester: pytest.Pytester, killed: Kill, workers: tuple[str, ...]
) -> None:
    scenarios("words", "waits")
    given = ("--kernels=5.10,6.12", "--baseline=6.12", "--repeat=3", "--guests=1")
    killed(*workers, *given, once="waits-6.12")
    before = latest(pytester)
    assert {one.kernel for one in before.repeats} == {"6.12"}
    go(pytester)
    result = run(*workers[:2], "--resume")
    result.assert_outcomes(passed=4)
    comparison = load_comparison(latest(pytester).path)
    assert comparison is not None
    kinds = {finding.scenario: finding.kind.value for finding in comparison.findings}
    assert kinds == {"words": "changed", "waits": "same"}
    ran = lines(pytester, "ran.log")
    # Three times the baseline's, and once more both sides of the finding. The other worker may have
    # been killed when it had run a cell and not recorded it.
    assert ran.count("words-6.12") == 4
    assert ran.count("words-5.10") in ((2, 3) if workers else (2,))
    assert ran.count("waits-6.12") == 3


def test_a_killed_worker_costs_its_own_cell_alone_which_is_run_when_the_run_is_resumed(
    run: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(SCRIPTED)
    scenarios("passes", "waits", "later")

    def kill() -> None:
        deadline = time.monotonic() + 90
        while "waits-latest" not in lines(pytester, "begun.log"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(int((pytester.path / "pid-waits").read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    crashed = run("-p", "xdist.plugin", "-n2")
    killer.join()
    assert crashed.ret == pytest.ExitCode.TESTS_FAILED
    crashed.stdout.fnmatch_lines(
        [
            "*2 cells: *2 passed",
            "1 cell is missing: `pytest --resume` continues this run",
            "FAILED scenarios/some.yaml::waits*",
        ]
    )
    assert {one.scenario for one in latest(pytester).observations} == {"passes", "later"}
    go(pytester)
    resumed = run("-p", "xdist.plugin", "--resume")
    resumed.assert_outcomes(passed=3)
    assert resumed.ret == 0
    assert sorted(lines(pytester, "ran.log")) == ["later-latest", "passes-latest", "waits-latest"]


def test_further_guests_of_a_python_test_are_selected_with_it(tmp_path: Path) -> None:
    test = "test_it.py::test_both[redis-5.10]"
    run = RunDir.create(tmp_path, RunMeta(cells=(test, f"{test} (2)")))
    resumed = Resumed(run.path)
    with pytest.raises(UsageError, match=r"has cells that are not selected now: test_it.py"):
        resumed.begin(["test_it.py::test_other[redis-5.10]"])
    assert "2 of 2 cells left to run" in resumed.begin([test])
    assert resumed.begin([test]) == ""


FILLING = """
mount -t tmpfs -o size=64k tmpfs results || exit 77
"$@" --tb=line --kernels=6.12 >first.txt 2>&1 || echo $? >first.status
cp -r results first
mount -o remount,size=16m results
"$@" --resume >second.txt 2>&1
cp -r results second
"""


def test_a_disk_that_fills_in_a_session_costs_no_recorded_cell_and_the_rest_is_run_later(
    scenarios: Write, pytester: pytest.Pytester, own_store: Path
) -> None:
    pytester.makeconftest(SCRIPTED)
    scenarios(*(f"passes-{number}" for number in range(16)))
    (pytester.path / "results").mkdir()
    program = (sys.executable, "-m", "pytest", "-p", "harness.plugin")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-ec", FILLING, "sh", *program],
        cwd=pytester.path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip(f"this machine lets no user mount: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    first, second = (load_run(pytester.path / name / "latest") for name in ("first", "second"))
    kept = {one.id for one in first.observations}
    assert 0 < len(kept) < 16
    assert first.problems == ()
    assert (pytester.path / "first.status").read_text() == "1\n"
    said = (pytester.path / "first.txt").read_text()
    assert f"{16 - len(kept)} failed, {len(kept)} passed" in said
    assert "free some room, or choose another results directory" in said
    assert f"{16 - len(kept)} cells are missing: `pytest --resume` continues this run" in said
    assert "Traceback" not in said
    assert kept < {one.id for one in second.observations}
    assert second.meta.counts == {"passed": 16}
    assert (
        f"is resumed: {16 - len(kept)} of 16 cells left to run"
        in (pytester.path / "second.txt").read_text()
    )
