"""Upgrades decided on real kernels, by the command as an operator gives it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.results.runs import load_comparison, load_run
from harness.upgrade import CONFIRMATIONS

pytestmark = pytest.mark.guest

PROGRAM = Path(sys.executable).with_name("harness")
LIMIT = 1500.0
FCHMODAT2, EPOLL_PWAIT2 = 452, 441
"""Calls of Linux 6.6 and 5.11, which 5.10 lacks and this image's profile allows."""

SCENARIOS = f"""
x-image: &image {{image: debian-trixie}}
scenarios:
  safe: {{<<: *image, run: "echo hello"}}
  fails-everywhere: {{<<: *image, run: "exit 4"}}
  changed: {{<<: *image, run: "uname -r | cut -d. -f1"}}
  falls-back:
    <<: *image
    run:
      - perl
      - -e
      - |
        my $file = "/etc/passwd";
        syscall({FCHMODAT2}, -100, $file, 0644, 0) == 0 or chmod(0644, $file) or die;
  gives-up:
    <<: *image
    run:
      - perl
      - -e
      - |
        my $file = "/etc/passwd";
        syscall({FCHMODAT2}, -100, $file, 0644, 0) == 0 or die "cannot set the mode: $!\\n";
  gives-up-after-two:
    <<: *image
    run:
      - perl
      - -e
      - |
        my $file = "/etc/passwd";
        syscall({EPOLL_PWAIT2}, -1, 0, 1, 0, 0, 0);
        exit 0 unless $!{{ENOSYS}};
        syscall({FCHMODAT2}, -100, $file, 0644, 0) == 0 or die "neither works: $!\\n";
  goes-by-the-name:
    <<: *image
    run:
      - perl
      - -e
      - |
        my $file = "/etc/passwd";
        syscall({FCHMODAT2}, -100, $file, 0644, 0);
        exit 3 if `uname -r` =~ /^5/;
"""
INSPECTED = {
    "Id": "3f4e1c9a7b2d",
    "Name": "/cache",
    "Path": "redis-server",
    "Args": ["--bind", "127.0.0.1", "--save", ""],
    "Config": {
        "Image": "redis:7",
        "User": "redis",
        "WorkingDir": "/var/lib/redis",
        "Env": ["LANG=C.UTF-8"],
        "Healthcheck": {"Test": ["CMD-SHELL", "redis-cli ping | grep -qx PONG"]},
    },
    "HostConfig": {
        "Memory": 256 << 20,
        "PidsLimit": 64,
        "CapDrop": ["ALL"],
        "Tmpfs": {"/tmp": "size=16m"},
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "some.yaml").write_text(SCENARIOS)
    return tmp_path


def harness(*words: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), *words],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


def upgrade(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return harness("upgrade", "--accel=tcg", *words, cwd=cwd)


def block(text: str, scenario: str) -> str:
    """Return what is said of one scenario."""
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"  {scenario} ("))
    rest = lines[start + 1 :]
    end = next((n for n, line in enumerate(rest) if not line.startswith("    ")), len(rest))
    return "\n".join([lines[start], *rest[:end]])


def test_to_an_older_kernel_breakages_are_told_from_fallbacks_and_their_causes_confirmed(
    project: Path,
) -> None:
    done = upgrade("--from=latest", "--to=5.10", "--image=debian-trixie", "--confirm", cwd=project)
    text = done.stdout
    assert done.returncode == 1, done.stderr + text
    assert "\ndebian-trixie: BROKEN\n" in text
    assert "No answer covers what a guest does not model: SELinux" in text
    for scenario, kind in {
        "safe": "same",
        "fails-everywhere": "unknown",
        "changed": "changed",
        "falls-back": "degraded",
        "gives-up": "broken",
        "gives-up-after-two": "broken",
        "goes-by-the-name": "broken",
    }.items():
        assert block(text, scenario).splitlines()[0].endswith(f": {kind}"), text
    assert "fallback: no failure -> ENOSYS: fchmodat2 in perl" in block(text, "falls-back")
    assert "stdout of step 1: before: 7; after: 5" in block(text, "changed")

    alone = block(text, "gives-up")
    assert "cause, confirmed: perl gets ENOSYS from kernel for fchmodat2" in alone
    assert "a call that Linux has since 6.6" in alone
    assert "with ENOSYS to fchmodat2 as the only change: it fails in the same way" in alone
    together = block(text, "gives-up-after-two")
    assert "cause, confirmed: perl gets ENOSYS from kernel for fchmodat2" in together
    assert re.search(r"ENOSYS to epoll_pwait2 and ENOSYS to fchmodat2", together)
    coincidence = block(text, "goes-by-the-name")
    assert "cause, not confirmed: perl gets ENOSYS from kernel for fchmodat2" in coincidence
    assert "it passes all the same" in coincidence

    recorded = project / "results" / "latest"
    run = load_run(recorded)
    assert not run.problems
    assert run.meta.exit_status == 1
    assert {kernel.name for kernel in run.meta.kernels} == {"latest", "5.10"}
    assert len(list((recorded / CONFIRMATIONS).iterdir())) == 4
    assert load_comparison(recorded) is not None
    assert (recorded / "report.html").stat().st_size > 1000


def test_a_safe_upgrade_ends_with_0_and_one_that_changed_with_4_when_that_is_asked_for(
    project: Path,
) -> None:
    sides = ("--from=5.10", "--to=latest", "--image=debian-trixie")
    safe = upgrade(*sides, "--scenario=safe", "--scenario=falls-back", cwd=project)
    assert safe.returncode == 0, safe.stderr + safe.stdout
    assert "\ndebian-trixie: SAFE\n" in safe.stdout
    assert "no longer missing: ENOSYS -> no failure: fchmodat2 in perl" in block(
        safe.stdout, "falls-back"
    )
    changed = upgrade(*sides, "--scenario=changed", "--fail-on=changed", cwd=project)
    assert changed.returncode == 4, changed.stderr + changed.stdout
    assert "\ndebian-trixie: CHANGED\n" in changed.stdout


def test_fallbacks_and_what_nothing_was_learnt_of_are_told_apart_by_word_and_status(
    project: Path,
) -> None:
    sides = ("--from=latest", "--to=5.10", "--image=debian-trixie")
    falls_back = upgrade(*sides, "--scenario=falls-back", cwd=project)
    assert falls_back.returncode == 0, falls_back.stderr + falls_back.stdout
    assert "\ndebian-trixie: SAFE WITH FALLBACKS\n" in falls_back.stdout
    unknown = upgrade(*sides, "--scenario=fails-everywhere", cwd=project)
    assert unknown.returncode == 3, unknown.stderr + unknown.stdout
    assert "\ndebian-trixie: UNKNOWN\n" in unknown.stdout


def test_an_image_that_no_scenario_names_is_started_and_asked_for_its_tools(
    project: Path,
) -> None:
    done = upgrade("--from=5.10", "--to=latest", "--image=redis", cwd=project)
    assert done.returncode == 0, done.stderr + done.stdout
    assert re.search(r"^redis: SAFE( WITH FALLBACKS)?$", done.stdout, re.MULTILINE)
    run = load_run(project / "results" / "latest")
    start = next(one for one in run.observations if one.scenario == "start")
    [service] = start.steps
    assert (service.exit, service.signal) == (None, None)
    assert "Ready to accept connections" in service.stdout
    tools = next(one for one in run.observations if one.scenario == "tools")
    assert tools.steps[1].stdout == "dpkg works\n"


def test_a_container_taken_over_from_its_engine_runs_on_both_kernels(project: Path) -> None:
    words = ("scenario", "from-inspect", "-", "--image=redis", "-o", "cache.scenario.yaml")
    taken = harness(*words, cwd=project, stdin=json.dumps([INSPECTED]))
    assert taken.returncode == 0, taken.stderr
    done = upgrade("--from=5.10", "--to=latest", "--scenario=cache.scenario.yaml", cwd=project)
    assert done.returncode == 0, done.stderr + done.stdout
    run = load_run(project / "results" / "latest")
    assert {one.verdict.value for one in run.observations} == {"passed"}
    assert {one.environment.engine for one in run.observations if one.environment} == {"docker"}


def test_on_one_kernel_an_image_is_held_against_the_one_that_takes_its_place(
    project: Path,
) -> None:
    (project / "release.scenario.yaml").write_text(
        "scenarios: {release: {image: debian-bullseye, run: 'cut -d. -f1 /etc/debian_version'}}\n"
    )
    done = upgrade(
        "--kernel=6.12",
        "--from-image=debian-bullseye",
        "--to-image=debian-trixie",
        "--scenario=release",
        cwd=project,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "\ndebian-bullseye to debian-trixie: CHANGED\n" in done.stdout
    assert "stdout of step 1: before: 11; after: 13" in block(done.stdout, "release")
