from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observations import end, environment, failure, observation, redis_broken, step

from harness.model.observations import Observation, Origin, Verdict
from harness.report import failure as failing
from harness.verdicts.explanation import explain


def failure_text(cell: Observation, file: Path | None = None) -> str:
    """Return what a cell shows, explained by itself alone."""
    return failing.failure_text(cell, explain(cell, (), since={"epoll_pwait2": "5.11"}), file)


BROKEN = """\
bgsave in redis on 5.10 (5.10.0-35-cloud-amd64): failed with 1 ENOSYS

why:
  It failed: step 2 (bgsave): exit status is 1, expected 0. redis-cli (/usr/bin/redis-cli)
  failed: it ended with status 1. redis-cli gets ENOSYS from kernel for epoll_pwait2; this
  kernel (5.10.0-35-cloud-amd64) lacks it; Linux has it since 5.11 (syscalls(2)). That is
  suspected to be why, not proven: what the step printed, or was to print, names that call. No
  known case fits.

step 2 of 3 (bgsave):
  $ redis-cli bgsave && sleep 1
  ended with status 1 after 0.53 s
  - exit status is 1, expected 0
  - stdout does not contain 'done'
  stderr:
    | epoll_pwait2: Function not implemented
  stdout:
    | Background saving started

step 3 of 3 (get):
  $ redis-cli get a
  ended with status 0 after 0.53 s
  - stdout is empty

first process to fail: redis-cli (/usr/bin/redis-cli), pid 310, ended with status 1 at 1.00 s
  last call that failed in it: epoll_pwait2 ENOSYS
  failing calls of redis-cli, the latest last:
    openat ENOENT, 4 times
    epoll_pwait2 ENOSYS: not implemented by this kernel
then: sh (/bin/sh), pid 300, ended with status 1 at 1.05 s

recorded in results/R/cells/redis-bgsave.json
look yourself: harness kernels shell 5.10 --image redis"""

LOST = """\
tmpfiles in systemd-tools on 6.1 (6.1.0-40-cloud-amd64): guest died

why:
  The guest was lost: the guest panicked: Attempted to kill init! That is never the image's
  fault by itself. Why is not known. To be borne in mind: system calls were not traced in this
  cell.

step 1 of 1 (create):
  $ systemd-tmpfiles --create /etc/tmpfiles.d/app.conf
  did not end after 0.53 s

the guest's console said last:
  | BUG: kernel NULL pointer dereference
  | Kernel panic - not syncing: Attempted to kill init!
"""


def test_a_failed_cell_shows_step_process_calls_and_where_to_go_on() -> None:
    cell = redis_broken()
    short = step(
        name="bgsave",
        argv=("sh", "-c", "redis-cli bgsave && sleep 1"),
        exit=1,
        stdout="Background saving started\n",
        stderr="epoll_pwait2: Function not implemented\n",
        unmet=("exit status is 1, expected 0", "stdout does not contain 'done'"),
    )
    cell = redis_broken(steps=(cell.steps[0], short, cell.steps[2]))
    assert failure_text(cell, Path("results/R/cells/redis-bgsave.json")) == BROKEN


def test_a_lost_guest_shows_its_console() -> None:
    cell = observation(
        "6.1",
        verdict=Verdict.DIED,
        reason="the guest panicked: Attempted to kill init!",
        steps=(step(exit=None),),
        ends=(),
        console=(
            "BUG: kernel NULL pointer dereference",
            "Kernel panic - not syncing: Attempted to kill init!",
        ),
        traced=False,
    )
    assert failure_text(cell).startswith(LOST)


def test_a_cell_without_a_step_shows_its_reason() -> None:
    cell = observation(
        verdict=Verdict.FAILED, reason="crun: cannot resolve 'null' under rootfs", steps=(), ends=()
    )
    assert "\n  It failed: crun: cannot resolve 'null' under rootfs. Why" in failure_text(cell)
    long = replace(cell, reason="the runtime did not start it:\n/bin/x: exec format error")
    assert "\n  the runtime did not start it:\n  /bin/x: exec format error\n" in failure_text(long)


def failed_step(**other: object) -> Observation:
    return observation(
        verdict=Verdict.FAILED, ends=(), steps=(step(unmet=("it is wrong",), **other),)
    )


def test_of_a_long_output_the_end_is_shown_and_what_is_missing_is_said() -> None:
    text = failure_text(
        failed_step(stderr="".join(f"line {n}\n" for n in range(100)), stderr_dropped=1)
    )
    assert "stderr (last 15 of 100 lines, 1 byte more were not kept):" in text
    assert "| line 84\n" not in text
    assert "| line 85\n" in text
    assert "| line 99\n" in text


def test_a_long_line_and_a_long_script_are_cut() -> None:
    script = "\n".join(f"command {n}" for n in range(30))
    text = failure_text(failed_step(argv=("sh", "-c", script), stdout="x" * 5000))
    assert "  $ command 0\n    command 1\n" in text
    assert "(22 lines more)" in text
    assert max(map(len, text.splitlines())) < 180


def test_a_step_that_was_ended_or_killed_says_so() -> None:
    assert "did not end within its time limit, and was ended after 0.53 s" in failure_text(
        failed_step(timed_out=True, exit=None)
    )
    assert "killed by SIGSEGV after 0.53 s" in failure_text(failed_step(exit=None, signal="SEGV"))


def test_refused_calls_are_kept_when_there_are_too_many() -> None:
    calls = [failure("openat", n, errno="ENOENT", offset=1 + n / 10, count=1) for n in range(20)]
    refused = failure("keyctl", 250, errno="EPERM", origin=Origin.SECCOMP, offset=0.1, count=1)
    text = failure_text(
        observation(verdict=Verdict.FAILED, failures=(*calls, refused), ends=(end(exit=1),))
    )
    assert "keyctl EPERM: refused by the seccomp profile" in text
    assert text.count("openat ENOENT") == 5


def test_only_a_few_of_many_failed_processes_are_told_apart() -> None:
    ends = tuple(end(300 + n, exit=1, offset=float(n)) for n in range(10))
    text = failure_text(observation(verdict=Verdict.FAILED, ends=ends))
    assert "first process to fail: systemd-tmpfiles (/usr/bin/systemd-tmpfiles), pid 300" in text
    assert text.count("then: ") == 3
    assert "then 6 more" in text


def test_the_command_for_a_shell_can_be_pasted() -> None:
    cell = observation("5.10", image="docker://r/a b;c", verdict=Verdict.FAILED)
    assert failure_text(cell).endswith("harness kernels shell 5.10 --image 'docker://r/a b;c'")


HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\u202ered\n\u2028"


def test_nothing_of_an_observation_reaches_the_terminal_unescaped() -> None:
    cell = observation(
        verdict=Verdict.TIMED_OUT,
        reason=HOSTILE,
        steps=(
            step(
                name=HOSTILE,
                argv=(HOSTILE, "x"),
                stdout=HOSTILE,
                stderr=HOSTILE,
                unmet=(HOSTILE,),
                exit=None,
                signal=HOSTILE,
            ),
        ),
        failures=(failure(HOSTILE, program=HOSTILE, operation=HOSTILE, remark=HOSTILE),),
        ends=(end(program=HOSTILE, path=HOSTILE, exit=1, last_failure=HOSTILE),),
        messages=(HOSTILE,),
        notes=(HOSTILE,),
        console=(HOSTILE,),
    )
    text = failure_text(cell, Path(HOSTILE))
    assert not [c for c in text if c != "\n" and not c.isprintable()]
    assert r"\x1b]0;owned\x07" in text


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters()))
@pytest.mark.filterwarnings("error")
def test_any_output_is_shown_and_leaves_the_terminal_alone(output: str) -> None:
    text = failure_text(failed_step(stdout=output, stderr=output))
    assert not [c for c in text if c != "\n" and not c.isprintable()]


def test_what_a_file_asks_for_stands_above_the_step_and_a_drill_is_called_one() -> None:
    drill = environment(drill="not a 3.10")
    cell = redis_broken(cause="/usr/lib/libQt5Core.so.5 asks for Linux 3.17.0", environment=drill)
    above = " ".join(failure_text(cell).partition("\nstep 2")[0].split())
    assert "Found in the image: /usr/lib/libQt5Core.so.5 asks for Linux 3.17.0." in above
    assert "This was a drill, no evidence about a real kernel: not a 3.10." in above
