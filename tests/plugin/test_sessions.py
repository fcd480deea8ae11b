from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from filelock import FileLock

from harness.results.runs import find_runs, load_run

MISSING = 6

Run = Callable[..., pytest.RunResult]
Write = Callable[..., Path]
ESCAPE = "\x1b["


def results(pytester: pytest.Pytester) -> Path:
    return pytester.path / "results"


def test_collecting_alone_makes_no_store_and_no_run(
    run: Run, scenarios: Write, pytester: pytest.Pytester, own_store: Path
) -> None:
    scenarios("set-get", "other")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.image("redis")
        @pytest.mark.kernels("5.10..6.1")
        @pytest.mark.parametrize("size", [1, 2])
        def test_it(container, kernel, size): ...
        """
    )
    result = run("--collect-only", "-q", "--kernels=5.10,6.12", "scenarios", ".")
    ids = [line for line in result.outlines if "::" in line]
    assert sorted(ids) == sorted(
        [
            "scenarios/some.yaml::set-get[debian-trixie-5.10]",
            "scenarios/some.yaml::set-get[debian-trixie-6.12]",
            "scenarios/some.yaml::other[debian-trixie-5.10]",
            "scenarios/some.yaml::other[debian-trixie-6.12]",
            "test_collecting_alone_makes_no_store_and_no_run.py::test_it[redis-5.10-1]",
            "test_collecting_alone_makes_no_store_and_no_run.py::test_it[redis-5.10-2]",
        ]
    )
    assert "accelerator" not in result.stdout.str()
    assert not own_store.exists()
    assert not results(pytester).exists()


def test_cells_are_chosen_counted_and_reported_as_other_tests_are(
    run: Run, scenarios: Write, pytester: pytest.Pytester, scripted: None
) -> None:
    scenarios("lacks", "fails", "absent", file="a.yaml", tags="[slow]")
    scenarios("passes", file="b.yaml")
    everything = run("--junitxml=out.xml", "--strict-markers", "--guests=2")
    everything.assert_outcomes(passed=2, failed=1, skipped=1)
    assert everything.ret == pytest.ExitCode.TESTS_FAILED
    text = everything.stdout.str()
    assert text.count("kernels: accelerator: TCG, software emulation, slow (scripted)") == 1
    assert text.count("kernels: 2 guests at once; --guests sets it") == 1
    assert text.index("kernels: accelerator") < text.index("FAILURES")
    everything.stdout.fnmatch_lines(
        ["*passed with 1 ENOSYS*", "*ENOSYS*fchmodat2 (452)*cp*coped*", "*recorded in *"]
    )
    assert ESCAPE not in text

    cases = {case.get("name"): case for case in ElementTree.parse("out.xml").iter("testcase")}
    case = cases["lacks[debian-trixie-latest]"]
    found = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert found["outcome"] == "passed with 1 ENOSYS"
    assert found["enosys"] == "fchmodat2 (452) cp kernel: coped"
    assert cases["fails[debian-trixie-latest]"].find("failure") is not None

    [reference] = find_runs(results(pytester))
    recorded = load_run(reference.path)
    assert not recorded.problems
    assert {one.scenario for one in recorded.observations} == {"lacks", "fails", "absent", "passes"}
    assert recorded.meta.exit_status == 1
    assert recorded.meta.counts["failed"] == 1
    assert recorded.meta.accelerator == "tcg"

    run("-k", "fails or passes", "-m", "not slow").assert_outcomes(passed=1, deselected=3)
    run("--lf").assert_outcomes(failed=1)
    stopped = run("-x", "--color=yes", "-p", "no:cacheprovider")
    assert re.search(r"1 failed.*1 passed", stopped.stdout.str())
    assert ESCAPE in stopped.stdout.str()


def test_what_an_image_is_called_sends_nothing_to_the_terminal(
    run: Run, scenarios: Write, scripted: None
) -> None:
    scenarios("spoofs", file="a.yaml")
    scenarios("spoofs", file="b.yaml", known="[{kernels: all, reason: so it is}]")
    result = run("-rsx", "-v")
    result.assert_outcomes(skipped=1, xfailed=1)
    text = result.stdout.str()
    assert text.count(r"executable file `\x1b]0;owned\x07\x1b[2J` not found") >= 2
    assert ESCAPE[0] not in text


def test_what_a_cell_was_told_by_is_not_kept_for_the_whole_session(
    run: Run, scenarios: Write, pytester: pytest.Pytester, scripted: None
) -> None:
    scenarios("one", "two")
    with (pytester.path / "conftest.py").open("a") as conftest:
        conftest.write("""
def pytest_terminal_summary(terminalreporter):
    reports = terminalreporter.stats["passed"]
    print("cells on reports:", [hasattr(one, "kernels_cells") for one in reports])
""")
    result = run()
    result.stdout.fnmatch_lines(["cells on reports: [[]False, False]"])
    result.stdout.fnmatch_lines(["*one*", "*two*", "*recorded in *"])


@pytest.mark.parametrize("part", ["Compared.conclude", "write_reports", "remember"])
def test_a_mistake_in_what_ends_a_session_costs_neither_run_nor_matrix_nor_others_reports(
    run: Run, scenarios: Write, pytester: pytest.Pytester, scripted: None, part: str
) -> None:
    scenarios("passes")
    with (pytester.path / "conftest.py").open("a") as conftest:
        conftest.write(f"""
import harness.plugin.reports as reports

def mistaken(*words):
    return {{}}["nothing"]

reports.{part} = mistaken
""")
    result = run("--junitxml=out.xml")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*debian-trixie*passes*passed*",
            "not wholly recorded: KeyError: 'nothing', a mistake of the harness's own",
            "*, in mistaken",
        ]
    )
    assert (pytester.path / "out.xml").exists()
    [reference] = find_runs(results(pytester))
    assert load_run(reference.path).meta.finished


def test_a_kernel_that_cannot_be_had_turns_the_exit_status(
    run: Run, scenarios: Write, scripted: None
) -> None:
    scenarios("absent", "passes")
    result = run()
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == MISSING
    result.stdout.fnmatch_lines(["*unavailable on latest (1 cell): the mirror is down"])
    assert run("--allow-missing-kernels").ret == 0


def test_workers_share_one_run_and_the_controller_shows_the_matrix(
    run: Run, scenarios: Write, pytester: pytest.Pytester, scripted: None
) -> None:
    scenarios("passes", "lacks", "fails")
    result = run("-p", "xdist.plugin", "-n2", "--kernels=5.10,6.12", "--guests=3")
    result.assert_outcomes(passed=4, failed=2)
    text = result.stdout.str()
    assert text.count("kernels: accelerator: TCG") == 1
    assert text.count("kernels: 3 guests at once") == 1
    assert re.search(r"scenario +5\.10 +6\.12", text)
    assert len(list(results(pytester).glob("*/run.json"))) == 2  # the run's, and by `latest`
    [reference] = find_runs(results(pytester))
    recorded = load_run(reference.path)
    assert not recorded.problems
    assert len(recorded.observations) == 6
    assert recorded.meta.exit_status == 1
    assert {kernel.name for kernel in recorded.meta.kernels} == {"5.10", "6.12"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_session_that_is_interrupted_keeps_its_cells_and_shows_them(
    pytester: pytest.Pytester, run: Run, scenarios: Write, scripted: None, number: signal.Signals
) -> None:
    scenarios("passes", "hangs", "later")
    words = pytester._getpytestargs()
    with subprocess.Popen(
        [*map(str, words), "-p", "harness.plugin", "--guests=2"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=pytester.path,
        env={**os.environ, "HOME": str(pytester.path)},
    ) as child:
        try:
            wait_for(lambda: any(results(pytester).glob("latest/consoles/some-hangs-*")))
            child.send_signal(number)
            text, _ = child.communicate(timeout=60)
        finally:
            child.kill()
    assert child.returncode == pytest.ExitCode.INTERRUPTED, text
    assert re.search(r"passes +\S+ passed", text), text
    assert "hangs " not in text
    run_directory = next(results(pytester).glob("2*"))
    record = json.loads((run_directory / "run.json").read_text())
    assert record["exit_status"] == 2
    recorded = {file.name.split("-")[1] for file in run_directory.glob("cells/*.json")}
    assert record["counts"] == {"passed": len(recorded)}
    assert "passes" in recorded
    assert "hangs" not in recorded


INTERRUPTED = """
class Interrupted(sessions.Ahead):
    def begin(self, jobs):
        super().begin(jobs)
        raise KeyboardInterrupt


sessions.Ahead = Interrupted
"""


def test_a_session_that_is_interrupted_while_its_cells_begin_ends(
    pytester: pytest.Pytester, run: Run, scenarios: Write, scripted: None
) -> None:
    with (pytester.path / "conftest.py").open("a") as file:
        file.write(INTERRUPTED)
    scenarios("hangs")
    assert run("--guests=1").ret == pytest.ExitCode.INTERRUPTED


WAITING = """
from filelock import FileLock


class Waiting(Scripted):
    def observe(self, id, scenario, image, entry, log, **how):
        store = self.assembly.store
        log.write_text("up")
        with self.place() if scenario.name == "place" else store.lock("thing"):
            return super().observe(id, scenario, image, entry, log, **how)


sessions.Laboratory = Waiting
"""


@pytest.mark.parametrize(("waits", "lock"), [("place", "guest-0"), ("lock", "thing")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_session_that_waits_for_another_process_ends_at_once_when_it_is_interrupted(
    pytester: pytest.Pytester,
    run: Run,
    scenarios: Write,
    scripted: None,
    own_store: Path,
    waits: str,
    lock: str,
    number: signal.Signals,
) -> None:
    with (pytester.path / "conftest.py").open("a") as file:
        file.write(WAITING)
    scenarios(waits, "later")
    (own_store / "locks").mkdir(parents=True)
    words = [*map(str, pytester._getpytestargs()), "-p", "harness.plugin"]
    with (
        FileLock(own_store / "locks" / f"{lock}.lock"),
        subprocess.Popen(
            [*words, "--guests=1", "--kernels=6.12"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=pytester.path,
            env={**os.environ, "HOME": str(pytester.path)},
        ) as child,
    ):
        try:
            wait_for(lambda: any(results(pytester).glob(f"latest/consoles/some-{waits}-*")))
            child.send_signal(number)
            text, _ = child.communicate(timeout=20)
        finally:
            child.kill()
    assert child.returncode == pytest.ExitCode.INTERRUPTED, text
    assert not list(results(pytester).glob("latest/cells/*"))


def wait_for(true: Callable[[], bool], limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.guest
def test_no_guest_outlives_a_session_that_is_terminated(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("TMPDIR", str(temporary))
    pytester.makefile(
        ".scenario.yaml",
        sleeps='scenarios:\n  sleeps:\n    image: debian-trixie\n    run: "echo up; sleep 1000"\n',
    )
    words = [*map(str, pytester._getpytestargs()), "-p", "harness.plugin", "--accel=tcg"]
    with subprocess.Popen(
        [*words, "sleeps.scenario.yaml"], stdout=subprocess.PIPE, text=True, cwd=pytester.path
    ) as child:
        try:
            # Only a cell's own guest has its console there.
            consoles = results(pytester) / "latest" / "consoles"
            wait_for(lambda: any(consoles.glob("*.log")), limit=400)
            wait_for(lambda: bool(qemus(temporary)), limit=60)
            child.send_signal(signal.SIGTERM)
            text, _ = child.communicate(timeout=60)
        finally:
            child.kill()
    assert child.returncode == pytest.ExitCode.INTERRUPTED, text
    assert not qemus(temporary)
    assert not list(results(pytester).glob("latest/cells/*"))
    assert load_run(results(pytester) / "latest").meta.exit_status == 2


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name, which may have 107 bytes in all."""
    with tempfile.TemporaryDirectory(prefix="guests-") as name:
        yield Path(name)


def qemus(temporary: Path) -> list[bytes]:
    """Return the command lines of guests whose sockets lie below a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if os.fsencode(temporary) in words and b"qemu-system" in words:
            found.append(words)
    return found
