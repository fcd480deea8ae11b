from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., pytest.RunResult]

SCRIPTED = '''
import threading
import time
from dataclasses import replace

import harness.plugin.session as sessions
from harness.errors import MissingKernelError
from harness.guest.accelerator import Choice
from harness.laboratory import Laboratory, not_run, unavailable
from harness.model.hosts import Accelerator
from harness.model.observations import Failure, Origin, ProcessEnd, Verdict


class Scripted(Laboratory):
    """Does without guests: a scenario's name says what becomes of its cells."""

    def ready(self, entry):
        return None

    def image(self, name):
        return None

    def observe(self, id, scenario, image, entry, log, *, traced=True):
        choice = Choice(Accelerator.TCG, "scripted")
        with self.assembly._choosing:
            first, self.assembly._choice = self.assembly._choice is None, choice
        if first:
            self.assembly._tell(choice)
        found = not_run(id, scenario, image, entry)
        if scenario.name == "hangs":
            log.write_text("up")
            keeper = self.assembly.apparatus.keeper
            while not keeper._ended:
                time.sleep(0.02)
            return replace(found, verdict=Verdict.DIED, reason="ended with the session")
        if scenario.name == "fails":
            return replace(found, verdict=Verdict.FAILED, reason="step 1: not as expected")
        if scenario.name == "spoofs":
            reason = "executable file `\\x1b]0;owned\\x07\\x1b[2J` not found"
            verdict = Verdict.FAILED if scenario.known else Verdict.UNSUPPORTED
            return replace(found, verdict=verdict, reason=reason)
        if scenario.name == "lacks":
            call = Failure(name="fchmodat2", number=452, abi="x86_64", errno="ENOSYS",
                           program="cp", origin=Origin.KERNEL, pid=7)
            end = ProcessEnd(pid=7, parent=1, program="cp", path="/bin/cp", offset=0.1, exit=0)
            return replace(found, verdict=Verdict.PASSED, failures=(call,), ends=(end,))
        if scenario.name == "absent":
            return unavailable(found, MissingKernelError("the mirror is down"))
        return replace(found, verdict=Verdict.PASSED)


sessions.Laboratory = Scripted
'''


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that does not exist yet."""
    store = tmp_path / "own-store"
    monkeypatch.setenv("HARNESS_STORE", str(store))
    return store


@pytest.fixture
def run(
    pytester: pytest.Pytester,
    own_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    preloaded: tuple[str, ...],
) -> Run:
    """Run pytest in another process, with this plugin alone."""
    monkeypatch.setattr(pytester, "_getpytestargs", lambda: (*preloaded, "pytest"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def start(*arguments: str | os.PathLike[str]) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-p", "harness.plugin", *arguments, timeout=120)

    return start


@pytest.fixture
def scripted(pytester: pytest.Pytester) -> None:
    """Let cells end as their scenarios' names say, without guests."""
    pytester.makeconftest(SCRIPTED)


@pytest.fixture
def scenarios(pytester: pytest.Pytester) -> Callable[..., Path]:
    """Write a scenario file below ``scenarios/``."""

    def write(*names: str, file: str = "some.yaml", **keys: str) -> Path:
        directory = pytester.path / "scenarios"
        directory.mkdir(exist_ok=True)
        lines = ["scenarios:"]
        for name in names:
            lines += [f"  {name}:", "    image: debian-trixie", '    run: "true"']
            lines += [f"    {key}: {value}" for key, value in keys.items()]
        path = directory / file
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
