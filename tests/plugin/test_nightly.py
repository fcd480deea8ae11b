"""Nights by the command that cron runs, on a laboratory whose cells end as a file says."""

from __future__ import annotations

import json
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from harness.errors import HarnessError, StoreError, UsageError
from harness.nightly import Plan, run_night
from harness.progress import Silent
from harness.results.exchange import export_history, import_history
from harness.results.history import HISTORY, History
from harness.results.runs import find_runs
from harness.store import Store

PROGRAM = Path(sys.executable).with_name("harness")
Write = Callable[..., Path]
Run = Callable[..., pytest.RunResult]

# A cell's verdict is what verdicts.json has for its scenario, else that it passed.
DICTATED = """
import json
import time
from dataclasses import replace
from pathlib import Path

import harness.plugin.session as sessions
from harness.errors import MissingKernelError
from harness.guest.accelerator import Choice
from harness.laboratory import Laboratory, not_run, unavailable
from harness.model.hosts import Accelerator
from harness.model.observations import Verdict


class Dictated(Laboratory):
    def ready(self, entry):
        return None

    def image(self, name):
        return None

    def observe(self, id, scenario, image, entry, log, traced=True):
        self.assembly._choice = Choice(Accelerator.TCG, "dictated")
        said = json.loads(Path("verdicts.json").read_text()).get(scenario.name, "passed")
        if said == "hangs":
            log.write_text("up")
            Path("hanging").write_text("")
            while not self.assembly.apparatus.keeper._ended:
                time.sleep(0.02)
            said = "guest died"
        blank = not_run(id, scenario, image, entry)
        if said == "kernel missing":
            return unavailable(blank, MissingKernelError("the mirror is down"))
        reason = "" if said == "passed" else f"it {said}"
        return replace(blank, verdict=Verdict(said), reason=reason)


sessions.Laboratory = Dictated
"""


class Place:
    """A repository in which nights pass."""

    def __init__(self, path: Path, preloaded: tuple[str, ...]) -> None:
        self.path = path
        self.program = (*preloaded, "harness")
        self.results = path / "results"

    def dictate(self, **verdicts: str) -> None:
        (self.path / "verdicts.json").write_text(json.dumps(verdicts))

    def harness(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.program, *words],
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def command(self, *words: str, **verdicts: str) -> subprocess.CompletedProcess[str]:
        """Let a night pass by the command."""
        self.dictate(**verdicts)
        return self.harness("nightly", "--kernels=6.12", "-p", "harness.plugin", *words)

    def night(self, *words: str, allow_missing: bool = False, **verdicts: str) -> tuple[int, str]:
        """Let a night pass; return its status and its report."""
        self.dictate(**verdicts)
        plan = Plan(
            results=self.results,
            store=Store(self.path / "own-store"),
            arguments=("--kernels=6.12", "-p", "harness.plugin", *words),
            allow_missing=allow_missing,
        )
        return run_night(plan, Silent())

    def newest(self) -> Path:
        return find_runs(self.results)[-1].path


@pytest.fixture
def place(
    pytester: pytest.Pytester,
    own_store: Path,
    scenarios: Write,
    monkeypatch: pytest.MonkeyPatch,
    preloaded: tuple[str, ...],
) -> Place:
    monkeypatch.setattr("harness.nightly.PYTEST", (*preloaded, "pytest"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeconftest(DICTATED)
    scenarios("one", "two", "three")
    return Place(pytester.path, preloaded)


def section(report: str, title: str) -> str:
    """Return what stands below a title, or nothing."""
    found = re.search(rf"^{title}: \d+\n((?: .*\n)*)", report, re.MULTILINE)
    return found[1] if found else ""


def test_a_breakage_is_reported_once_and_then_as_still_there_until_it_goes(place: Place) -> None:
    status, report = place.night()
    assert status == 0
    assert "the first night" in report
    began = place.newest().name

    status, report = place.night(two="failed")
    assert status == 1
    assert began in report
    assert "::two[debian-trixie-6.12]  failed\n      it failed" in section(report, "new")
    broken_in = place.newest().name

    status, report = place.night(two="failed")
    assert status == 0
    since = f"{broken_in[:4]}-{broken_in[4:6]}-{broken_in[6:8]}"
    assert f"still broken since {since}" in section(report, "still broken")
    assert not section(report, "new")

    status, report = place.night()
    assert status == 0
    assert f"was broken since {since}" in section(report, "gone")
    assert "flaps: changed on" in section(report, "gone")

    run = place.newest()
    night = json.loads((run / "night.json").read_text())
    assert [change["standing"] for change in night["changes"]] == ["gone"]
    assert (run / "night.md").read_text().startswith("## Night of ")
    comparison = json.loads((run / "comparison.json").read_text())
    assert comparison["title"].startswith(f"{run.name} against ")
    assert comparison["title"] in (run / "report.html").read_text()


def test_a_history_that_travels_alone_tells_what_is_new_on_an_empty_machine(place: Place) -> None:
    place.night(two="failed")
    carried = place.path / "history.db"
    with History.open(place.results) as history:
        export_history(history, carried)
    shutil.rmtree(place.results)
    with History.open(place.results) as history:
        assert import_history(history, carried).new == 1
    status, report = place.night(two="failed", three="failed")
    assert status == 1
    assert "::two[" in section(report, "still broken")
    assert "::three[" in section(report, "new")
    assert len(find_runs(place.results)) == 1


@pytest.mark.parametrize(
    ("allow_missing", "verdicts", "status", "said"),
    [
        (False, {"two": "kernel missing"}, 2, "could not be had; --allow-missing-kernels"),
        (True, {"two": "kernel missing"}, 0, "unavailable: 1"),
        (True, {"one": "failed", "two": "kernel missing"}, 1, "new: 1"),
        (True, {"one": "failed", "two": "unavailable"}, 2, "images could not be had"),
        (False, {"one": "failed", "two": "unavailable"}, 2, "new: 1"),
        (False, {"two": "guest died"}, 2, "guests were lost"),
        (False, {"two": "timed out", "three": "unsupported"}, 1, "new: 1"),
    ],
)
def test_what_could_not_run_outweighs_what_broke(
    place: Place, allow_missing: bool, verdicts: dict[str, str], status: int, said: str
) -> None:
    found, report = place.night(allow_missing=allow_missing, **verdicts)
    assert said in report
    assert found == status


def test_the_command_prints_the_report_last_and_ends_with_the_status(place: Place) -> None:
    night = place.command(two="failed")
    assert night.returncode == 1
    assert night.stdout.endswith("::two[debian-trixie-6.12]  failed\n      it failed\n")
    assert "1 failed, 2 passed" in night.stdout


def test_a_night_that_pytest_does_not_run_is_one_line_with_status_2(place: Place) -> None:
    for words, said in (
        (("--kernels=nope",), "harness: pytest ended with status 4 and recorded no run\n"),
        (("--fail-on=sometimes",), "harness: --fail-on=sometimes: give broken, degraded"),
    ):
        night = place.command(*words)
        assert night.returncode == 2, words
        assert said in night.stderr
        assert "Traceback" not in night.stderr
    with pytest.raises(HarnessError, match="status 5 and recorded no run"):
        place.night("--deselect=scenarios")
    assert not list(place.results.glob("2*"))


def test_two_nights_at_once_are_refused(place: Place) -> None:
    place.results.mkdir()
    words = "another night is under way in .*results"
    with FileLock(place.results / ".nightly.lock"), pytest.raises(UsageError, match=words):
        place.night()


def test_a_history_that_cannot_be_used_is_told_before_anything_runs(place: Place) -> None:
    place.results.mkdir()
    (place.results / HISTORY).write_bytes(b"something else" * 100)
    with pytest.raises(StoreError, match="is damaged"):
        place.night()
    assert not list(place.results.glob("2*"))


def test_a_test_that_fails_and_is_no_cell_is_not_passed_over(
    place: Place, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_other="def test_other(): assert False")
    for verdict in ("passed", "failed"):
        status, report = place.night("scenarios", "test_other.py", one=verdict)
        assert status == 2
        assert "1 test failed besides the cells" in report


def test_an_interrupted_night_ends_its_guests_and_is_no_night_to_compare_with(
    place: Place,
) -> None:
    place.night()
    good = place.newest().name
    place.dictate(two="hangs")
    words = [str(PROGRAM), "nightly", "--kernels=6.12", "-p", "harness.plugin"]
    with subprocess.Popen(words, cwd=place.path, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while not (place.path / "hanging").exists():
            assert child.poll() is None
            select.select([], [], [], 0.02)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 130
        child.stdout.read()
    cut = place.newest()
    assert cut.name != good
    assert not (cut / "night.json").exists()
    assert place.night(one="failed")[0] == 1
    with History.open(place.results) as history:
        assert history.nights(9) == (place.newest().name, good)


def test_runs_are_kept_as_long_as_the_command_says(place: Place) -> None:
    place.night()
    place.night()
    old = [ref.path for ref in find_runs(place.results)]
    assert len(old) == 2
    night = place.command("--keep=0")
    assert night.returncode == 0
    assert "removed 2 runs" in night.stderr
    assert [ref.path for ref in find_runs(place.results) if ref.path in old] == []
    assert len(place.harness("history").stdout.splitlines()) == 4
    assert place.harness("store", "gc").stdout.endswith("0 runs removed\n")


def test_a_run_is_compared_with_the_last_one_or_with_one_by_its_name(
    place: Place, run: Run
) -> None:
    place.dictate()
    result = run("--kernels=6.12", "--compare-run=last")
    result.stdout.fnmatch_lines(["there is no earlier run that came to its end*"])
    assert result.ret == 0
    first = place.newest().name
    place.dictate(two="failed")
    result = run("--kernels=6.12", "--compare-run=last")
    result.stdout.fnmatch_lines([f"*differences: {place.newest().name} against {first}*"])
    result.stdout.fnmatch_lines(["BROKEN*two*"])
    assert json.loads((place.newest() / "comparison.json").read_text())["findings"]
    place.dictate()
    result = run("--kernels=6.12", f"--compare-run={first}")
    result.stdout.fnmatch_lines(["*3 same*"])
    result = run("--kernels=6.12", "--compare-run=2001")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--compare-run: there is no run '2001' in *"])
    result = run("--kernels=6.12", "--compare-run=last", "--baseline=6.12")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    done = place.harness("compare", first, "last")
    assert done.returncode == 0
    assert "3 same" in done.stdout


def test_a_history_that_cannot_be_written_costs_no_run(place: Place, run: Run) -> None:
    place.dictate()
    place.results.mkdir()
    (place.results / HISTORY).write_bytes(b"something else" * 100)
    result = run("--kernels=6.12")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["not in the history: the history *is damaged*"])
    (place.results / HISTORY).unlink()
    assert place.newest().name in place.harness("history").stdout


def test_runs_by_hand_are_in_the_history_and_are_no_nights(place: Place, run: Run) -> None:
    place.dictate()
    run("--kernels=6.12")
    by_hand = place.newest().name
    place.night(two="failed")
    with History.open(place.results) as history:
        assert [(row.id, row.night) for row in history.runs()] == [
            (by_hand, False),
            (place.newest().name, True),
        ]
