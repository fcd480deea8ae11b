from __future__ import annotations

from observations import end, failure, observation, redis_broken

from harness.findings import Cause
from harness.model.observations import Observation, Origin, Verdict
from harness.verdicts.cause import cause_of


def fine() -> Observation:
    return redis_broken("latest", verdict=Verdict.PASSED, reason="", failures=(), ends=())


def test_it_is_the_new_refusal_of_the_process_that_failed_first() -> None:
    found = cause_of(fine(), redis_broken(), {"epoll_pwait2": "5.11"})
    assert found == Cause(
        syscall="epoll_pwait2",
        errno="ENOSYS",
        program="redis-cli",
        origin=Origin.KERNEL,
        since="5.11",
        evidence=(
            "called epoll_pwait2(-100, 0x225b1, 493, 256)",
            "redis-cli (pid 310) ended with status 1",
            "stderr: warning 18",
            "stderr: warning 19",
            "stderr: epoll: not implemented",
        ),
    )


def test_a_refusal_outweighs_what_fails_after_it() -> None:
    calls = (
        *redis_broken().failures,
        failure(
            "newfstatat",
            262,
            errno="ENOENT",
            origin=Origin.OTHER,
            program="redis-cli",
            pid=310,
            offset=0.99,
        ),
    )
    found = cause_of(fine(), redis_broken(failures=calls))
    assert found is not None
    assert found.syscall == "epoll_pwait2"


def test_without_a_refusal_it_is_the_last_new_failure() -> None:
    calls = (
        failure("mount", 165, errno="EPERM", origin=Origin.OTHER, pid=310, offset=0.1),
        failure("setns", 308, errno="EINVAL", origin=Origin.OTHER, pid=310, offset=0.2),
        failure("ioctl", 16, errno="ENOTTY", origin=Origin.OTHER, pid=310, offset=0.3),
    )
    found = cause_of(fine(), redis_broken(failures=calls))
    assert found is not None
    assert (found.syscall, found.errno) == ("setns", "EINVAL")


def test_what_failed_on_the_baseline_as_well_is_no_suspect() -> None:
    assert cause_of(redis_broken("latest"), redis_broken()) is None


def test_a_process_that_fails_on_both_sides_is_no_suspect() -> None:
    usual = end(290, program="test", path="/usr/bin/test", offset=0.2, exit=1)
    odd = failure(
        "access",
        21,
        errno="EACCES",
        origin=Origin.OTHER,
        pid=290,
        program="test",
        path="/usr/bin/test",
        offset=0.1,
    )
    after = redis_broken(
        failures=(odd, *redis_broken().failures), ends=(usual, *redis_broken().ends)
    )
    found = cause_of(redis_broken("latest", failures=(), ends=(usual,)), after)
    assert found is not None
    assert found.program == "redis-cli"


def test_a_cell_whose_own_cause_was_found_has_no_suspected_call() -> None:
    too_old = "/lib/libnew.so asks for Linux 4.11"
    assert cause_of(fine(), redis_broken(cause=too_old)) is None
    assert cause_of(redis_broken(cause=too_old, failures=()), redis_broken(cause=too_old))


def test_without_the_processes_ends_a_new_refusal_is_suspected() -> None:
    found = cause_of(fine(), redis_broken(ends=()))
    assert found is not None
    assert found.syscall == "epoll_pwait2"
    assert not any("ended" in line for line in found.evidence)


def test_a_wrong_output_with_no_new_failing_call_has_no_cause() -> None:
    assert cause_of(observation(), observation(verdict=Verdict.FAILED)) is None
