"""The paragraph that explains a cell: what is certain, what is suspected, what is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from observations import end, environment, failure, observation, redis_broken, step, unavailable

from harness.findings import Cause
from harness.model.causes import KnownCause, Pattern
from harness.model.observations import Observation, Origin, Verdict
from harness.report.explained import paragraph, sentences
from harness.verdicts.explanation import explain

SINCE = {"epoll_pwait2": "5.11", "fchmodat2": "6.6", "copy_file_range": "4.5", "uselib": "2.0"}
KNOWN = KnownCause(
    name="no-epoll-pwait2",
    text="epoll_pwait2 is new.",
    help="A newer kernel.",
    references=("epoll_wait(2)",),
    when=(Pattern(syscall=("epoll_pwait2",), errno=("ENOSYS",)),),
)


def text(seen: Observation, *known: KnownCause, **other: Any) -> str:
    return paragraph(explain(seen, known, since=SINCE, **other))


def test_a_suspicion_is_called_one_with_what_it_rests_on() -> None:
    assert text(redis_broken(), KNOWN) == (
        "It failed: step 2 (bgsave): exit status is 1, expected 0. "
        "redis-cli (/usr/bin/redis-cli) failed: it ended with status 1. "
        "redis-cli gets ENOSYS from kernel for epoll_pwait2; this kernel (5.10.0-35-cloud-amd64) "
        "lacks it; Linux has it since 5.11 (syscalls(2)). "
        "That is suspected to be why, not proven: it is the last call that failed in that process. "
        "Known case no-epoll-pwait2 (suspected): epoll_pwait2 is new. "
        "What usually helps: A newer kernel. See epoll_wait(2)."
    )


@pytest.mark.parametrize(
    ("confirmed", "said"),
    [
        (
            True,
            "Confirmed: on latest it fails in the same way. Known case no-epoll-pwait2 (conf",
        ),
        (False, "Suspected at first, and not confirmed: on latest it fails in the same way."),
    ],
)
def test_what_a_run_said_of_a_suspicion_is_told(confirmed: bool, said: str) -> None:
    cause = Cause(
        syscall="epoll_pwait2",
        errno="ENOSYS",
        program="redis-cli",
        origin=Origin.KERNEL,
        confirmed=confirmed,
        evidence=("on latest it fails in the same way",),
    )
    told = text(redis_broken(), KNOWN, cause=cause)
    assert said in told
    assert "That is suspected" not in told


def test_what_is_not_known_is_said() -> None:
    seen = redis_broken(failures=())
    assert "Why is not known: no call was refused in what failed" in text(seen, KNOWN)
    assert "No known case fits." in text(redis_broken())


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"origin": Origin.SECCOMP, "errno": "EPERM", "implemented": True},
            "the seccomp profile refused it before it reached the kernel, which has it; Linux has",
        ),
        (
            {"origin": Origin.SECCOMP, "errno": "EPERM", "implemented": False},
            "the seccomp profile refused it before it reached the kernel, which lacks it as well",
        ),
        ({"origin": Origin.DRILL}, "the drill refused it; Linux has it since 5.11"),
        ({"origin": Origin.UNKNOWN}, "who answered was not recorded; Linux has it since 5.11"),
        (
            {"origin": Origin.OTHER, "implemented": True},
            "has the call, but not what was asked of it; Linux has it since 5.11 (syscalls(2)), so "
            "its vendor backported it",
        ),
    ],
    ids=["profile", "profile and kernel", "drill", "unknown", "backported"],
)
def test_who_answered_is_told_apart(facts: dict[str, Any], said: str) -> None:
    calls = tuple(replace(one, **facts) for one in redis_broken().failures[1:])
    assert said in text(redis_broken(failures=calls))


def test_a_call_that_an_older_linux_has_is_not_put_down_to_the_version() -> None:
    call = failure("uselib", 134, program="redis-cli", path="", pid=310, steps=(1,))
    said = "Linux has it since 2.0 (syscalls(2)), so it was built without it"
    assert said in text(redis_broken(failures=(call,)))


def test_a_cell_that_passed_tells_how_one_sees_that_its_programs_coped() -> None:
    calls = (
        failure(),
        failure("copy_file_range", 326, origin=Origin.OTHER, implemented=True, program="cp"),
        *(failure("fchmodat2", program=f"app{n}", pid=300 + n) for n in range(6)),
    )
    ends = (end(), *(end(300 + n, program=f"app{n}") for n in range(6)))
    told = text(observation(failures=calls, ends=ends, environment=environment(release="3.10.0")))
    assert told == (
        "It passed. Coped with, as the process ended with status 0 and the step as expected: this "
        "kernel lacks fchmodat2 (in Linux since 6.6) in systemd-tmpfiles, app0, app1, app2 and 3 "
        "more; with the call in this kernel by its vendor's backport, ENOSYS to what was asked of "
        "copy_file_range (in Linux since 4.5) in cp."
    )


def test_calls_are_told_by_what_became_of_their_programs() -> None:
    calls = (
        failure(),
        failure("openat2", 437, program="tar", pid=9),
        failure("statx", 332, program="ls", pid=8),
    )
    told = text(observation(failures=calls, ends=(end(), end(8, program="ls", exit=1))))
    assert "Coped with, as the process ended with status 0 and the step as expected: this" in told
    assert "Refused in processes that failed, whether or not for that reason: this kernel" in told
    assert "Refused, and not known whether the program coped: this kernel lacks openat2" in told


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (observation(), "It passed, and no system call was refused."),
        (unavailable("5.10", "the mirror is down"), "It did not run: the mirror is down."),
        (
            observation(verdict=Verdict.DIED, reason="QEMU ended with status 137"),
            "The guest was lost: QEMU ended with status 137. That is never the image's fault by "
            "itself. Why is not known.",
        ),
        (
            observation(
                verdict=Verdict.FAILED,
                reason="step 1: stdout is not what was expected:",
                steps=(step(unmet=("stdout is not what was expected:\n  --- a\n  +++ b\n  +x",)),),
                lost_events=3,
            ),
            "It failed: step 1: stdout is not what was expected (+x). Why is not known: no call "
            "was refused in what failed, beyond those that programs cope with, and no known case "
            "fits. To be borne in mind: 3 events of the tracer were lost.",
        ),
    ],
    ids=["passed", "did not run", "lost", "another output"],
)
def test_a_cell_without_a_refusal_is_told_as_it_is(seen: Observation, said: str) -> None:
    assert text(seen) == said


def test_every_sentence_ends_as_one() -> None:
    reasons = ("", "one:\ntwo", "expected exit status 0, got 1; output (the last 6 of 14 lines):")
    for verdict in Verdict:
        for reason in reasons:
            told = sentences(explain(redis_broken(verdict=verdict, reason=reason), (KNOWN,)))
            assert all(one.endswith((".", "!")) for one in told), told
            assert not any(".." in one or ":." in one for one in told), told
