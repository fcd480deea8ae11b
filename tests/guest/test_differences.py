"""Real programs that fare otherwise on 5.10 than on the newest kernel, in one real session."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.findings import Difference, Field, Finding, Kind
from harness.model.observations import Origin
from harness.results.runs import load_comparison, load_run

pytestmark = pytest.mark.guest

OLD, NEW = "5.10", "latest"

SCENARIOS = r"""
scenarios:
  output:
    why: /proc/sys/kernel/arch came with 6.1.
    image: debian-trixie
    run: cat /proc/sys/kernel/arch 2>&1 || true
  errno:
    why: PIDFD_THREAD came with 6.9; before it is an invalid flag, now there is no such thread.
    image: debian-trixie
    run: [perl, -e, "syscall(434, 999999, 0200) == -1 or die"]
  fallback:
    why: fchmodat2 came with 6.6; tar goes another way without.
    image: debian-trixie
    run: |
      set -e
      mkdir in out
      touch in/file
      chmod 0640 in/file
      ln -s file in/soft
      tar -C in -cf all.tar .
      tar -C out -xpf all.tar
      stat -c %a out/file
    expect: {stdout: {equals: "640\n"}}
  breaks:
    why: fchmodat2 came with 6.6; this program insists on it.
    image: debian-trixie
    run:
      - perl
      - -e
      - |
        my $file = "/etc/passwd";
        syscall(452, -100, $file, 0600, 0) == 0 or die "fchmodat2: $!\n";
        print "changed\n";
    expect: {stdout: changed}
  noisy:
    image: debian-trixie
    run: |
      echo "I am $$, it is $(date +%s.%N), and I think of $(od -An -tu4 -N4 /dev/urandom)"
      mktemp -d
  known:
    image: debian-trixie
    run: [perl, -e, "syscall(441, -1, 0, 0, 0, 0, 0); print 'none the worse'"]
    known:
      - {kernels: "5.10", syscall: epoll_pwait2, errno: ENOSYS, reason: it does not mind}
  stale:
    image: debian-trixie
    run: echo always the same
    known:
      - {kernels: "5.10", field: stdout, reason: once it was not}
"""


def run_session(root: Path, *arguments: str) -> tuple[Path, str, int]:
    """Return the run's directory, what pytest said, and its exit status."""
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "all.scenario.yaml").write_text(SCENARIOS)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--accel=tcg"),
            *(f"--kernels={OLD},{NEW}", f"--baseline={NEW}", *arguments, "all.scenario.yaml"),
        ],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        check=False,
    )
    return (root / "results" / "latest").resolve(), done.stdout, done.returncode


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    return run_session(tmp_path_factory.mktemp("differences"), "--check-untraced")


def finding(session: tuple[Path, str, int], scenario: str) -> Finding:
    run, said, _ = session
    found = load_comparison(run)
    assert found is not None, said
    return next(one for one in found.findings if one.scenario == scenario)


def of_field(found: Finding, field: Field) -> list[Difference]:
    return [one for one in found.differences if one.field is field]


def test_an_output_that_changed_is_found(session: tuple[Path, str, int]) -> None:
    found = finding(session, "output")
    [one] = of_field(found, Field.STDOUT)
    assert (one.before, one.after) == (
        "x86_64\n",
        "cat: /proc/sys/kernel/arch: No such file or directory\n",
    )


def test_a_call_that_fails_in_another_way_is_found(session: tuple[Path, str, int]) -> None:
    found = finding(session, "errno")
    assert found.kind is Kind.DEGRADED
    [one] = of_field(found, Field.ERRNO)
    assert (one.syscall, one.program) == ("pidfd_open", "perl")
    assert (one.before, one.after) == ("ESRCH", "EINVAL")


def test_an_enosys_that_a_program_copes_with_is_degraded(session: tuple[Path, str, int]) -> None:
    found = finding(session, "fallback")
    assert found.kind is Kind.DEGRADED
    [one] = of_field(found, Field.ENOSYS)
    assert (one.syscall, one.program, one.coped) == ("fchmodat2", "tar", True)
    assert one.origin is Origin.KERNEL


def test_a_program_without_a_fallback_is_broken_and_the_cause_is_named(
    session: tuple[Path, str, int],
) -> None:
    found = finding(session, "breaks")
    assert found.kind is Kind.BROKEN
    cause = found.cause
    assert cause is not None
    assert (cause.syscall, cause.errno, cause.program) == ("fchmodat2", "ENOSYS", "perl")
    assert (cause.origin, cause.since, cause.confirmed) == (Origin.KERNEL, "6.6", None)
    assert any("ended with status 38" in line for line in cause.evidence)
    assert cause.evidence[-1] == "stderr: fchmodat2: Function not implemented"


def test_a_noisy_program_gives_no_finding(session: tuple[Path, str, int]) -> None:
    found = finding(session, "noisy")
    assert found.kind is Kind.SAME
    assert Field.STDOUT in {one.field for one in found.noise}


def test_a_known_difference_is_shown_as_known(session: tuple[Path, str, int]) -> None:
    found = finding(session, "known")
    assert found.kind is Kind.SAME
    assert [(one.syscall, one.known) for one in found.known] == [
        ("epoll_pwait2", "it does not mind")
    ]
    assert not found.stale


def test_a_known_difference_that_is_gone_is_stale(session: tuple[Path, str, int]) -> None:
    assert finding(session, "stale").stale == ("once it was not",)


def test_the_session_says_so_and_fails(session: tuple[Path, str, int]) -> None:
    run, said, status = session
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "cause, suspected: perl gets ENOSYS from kernel for fchmodat2" in said
    assert "7 cells compared: 1 broken" in said
    told = " ".join(said.split())
    assert "perl gets ENOSYS from kernel for fchmodat2; this kernel (5.10." in told
    assert "That is suspected to be why, not proven: what the step printed" in told
    assert "Known case no-fchmodat2 (suspected): fchmodat2 is new in Linux 6.6." in told
    assert "tracing changes a verdict" not in said
    repeats = load_run(run).repeats
    assert {one.verdict.value for one in repeats if not one.traced} == {"passed", "failed"}


def test_every_guest_is_recorded_with_its_repeat(session: tuple[Path, str, int]) -> None:
    run, _, _ = session
    consoles = {path.stem for path in (run / "consoles").glob("*.log")}
    files = {path.stem for name in ("cells", "repeats") for path in (run / name).glob("*.json")}
    assert files == consoles


def test_workers_run_cells_and_their_controller_runs_findings_once_more(tmp_path: Path) -> None:
    run, said, status = run_session(tmp_path, "-n2", "-k", "fallback", "--fail-on=degraded")
    assert status == pytest.ExitCode.TESTS_FAILED, said
    assert said.count("kernels: accelerator: TCG") == 1
    assert "kernels: differences: 2 cells run once more" in said
    assert finding((run, said, status), "fallback").kind is Kind.DEGRADED
    assert sorted((one.kernel, one.repeat) for one in load_run(run).repeats) == [
        (OLD, 1),
        (NEW, 1),
        (NEW, 2),
    ]
