"""The drills: the guest's whole userland under a filter that refuses what an old kernel lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from guest.conftest import Observe, one_step

from harness.kernels.drill import RELEASES
from harness.laboratory import Laboratory
from harness.model.observations import Failure, Observation, Origin, Verdict

pytestmark = pytest.mark.guest

IMAGE = "debian-trixie"
STOCK = {"3.10": "5.10", "4.18": "5.10", "5.14": "6.1"}
"""The kernel that each drill is held on."""
ADD_KEY = 248
CALLS = "$r = syscall($_, 0, 0, 0, 0, 0, 0), print qq($_ $r\\n) for"
SCENARIOS = """\
scenarios:
  random:
    image: debian-trixie
    run: perl -e 'print syscall(318, 0, 0, 0), "\\n"'
"""


def met(observation: Observation, name: str) -> Failure:
    (found,) = [failure for failure in observation.failures if failure.name == name]
    return found


@pytest.mark.parametrize("like", RELEASES)
def test_the_census_of_a_drill_is_the_raw_probes_and_ends_where_the_release_did(
    laboratory: Laboratory, like: str
) -> None:
    drill, stock = (
        laboratory.ready(laboratory.assembly.entry(name)).survey.census
        for name in (f"drill-{like}", STOCK[like])
    )
    assert drill.ways == {"x86_64": "raw", "i386": "raw"}
    for abi, first in RELEASES[like].drill.refused.items():
        left = tuple(number for number in stock.implemented[abi] if number < first)
        assert drill.implemented[abi] == left
        assert left != stock.implemented[abi]


def test_the_whole_guest_is_under_the_filter_and_lacks_what_3_10_lacked(
    laboratory: Laboratory,
) -> None:
    ready = laboratory.ready(laboratory.assembly.entry("drill-3.10"))
    with laboratory.assembly.apparatus.booted(ready.machine) as guest:

        def said(command: str) -> str:
            return guest.run(command, check=False).stdout.decode().strip()

        for process in ("1", "self"):  # init, and what the SSH server started
            lines = said(f"grep -E '^(NoNewPrivs|Seccomp):' /proc/{process}/status")
            assert lines.split() == ["NoNewPrivs:", "0", "Seccomp:", "2"]
        assert said("cat /run/harness/tracefs") == "/sys/kernel/debug/tracing"
        assert said("cat /run/harness/cgroup") == "v1"
        assert said("grep -c cgroup2 /proc/mounts") == "0"
        assert said("modprobe overlay; grep -c overlay /proc/filesystems") == "0"


@pytest.mark.parametrize(
    ("like", "number", "name"),
    [("3.10", 318, "getrandom"), ("4.18", 434, "pidfd_open"), ("5.14", 448, "process_mrelease")],
)
def test_a_container_is_observed_and_what_the_drill_refuses_reads_drill(
    observe: Observe, like: str, number: int, name: str
) -> None:
    calls = one_step("perl", "-e", f"{CALLS} {number}, {ADD_KEY}")
    seen = observe(f"drill-{like}", IMAGE, calls)
    assert seen.verdict is Verdict.PASSED, seen
    assert seen.lost_events == 0
    refused = met(seen, name)
    assert (refused.errno, refused.origin, refused.reached) == ("ENOSYS", Origin.DRILL, False)
    assert met(seen, "add_key").origin is Origin.SECCOMP
    assert seen.environment is not None
    assert seen.environment.drill.startswith(f"not a {like}: a {STOCK[like]}.")
    below = "debug/tracing" if like == "3.10" else "tracing"
    assert seen.environment.ways["trace directory"] == f"/sys/kernel/{below}"
    sealed = like != "3.10"  # memfd_create is of Linux 3.17
    assert seen.environment.ways["runtime"] == ("in a sealed memfd" if sealed else "in a file")


@pytest.mark.parametrize("like", RELEASES)
def test_programs_of_an_image_run_under_a_drill(observe: Observe, like: str) -> None:
    work = "set -e; cd /tmp; mkdir a; echo text >a/b; cp -a a c; tar -cf - c | tar -tf -; rm -r a"
    seen = observe(f"drill-{like}", IMAGE, one_step("sh", "-c", work))
    assert seen.verdict is Verdict.PASSED, seen
    origins = {failure.origin for failure in seen.failures if failure.errno == "ENOSYS"}
    assert Origin.KERNEL not in origins
    assert (Origin.DRILL in origins) == (like == "3.10")


def test_the_command_says_that_it_is_a_drill_wherever_it_speaks(tmp_path: Path) -> None:
    (tmp_path / "random.scenario.yaml").write_text(SCENARIOS)
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from harness.cli import main; main()"),
            *("drill", "--like", "3.10"),
            *("random.scenario.yaml", "--results=results", "-p", "no:cacheprovider"),
        ],
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "this is a drill" in done.stderr
    assert "drill-3.10" in done.stdout
    assert "not a 3.10: a 5.10." in done.stdout
    assert "from drill" in done.stdout
    (cell,) = (tmp_path / "results/latest/cells").glob("*.json")
    assert json.loads(cell.read_text())["environment"]["drill"].startswith("not a 3.10")
