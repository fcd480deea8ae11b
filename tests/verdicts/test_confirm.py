from __future__ import annotations

from typing import Any

import pytest
from observations import failure, observation, redis_broken, step, unavailable

from harness.findings import Cause, Difference, Field, Finding, Kind, Side
from harness.model.observations import Observation, Origin, Verdict
from harness.verdicts.confirm import confirmed, ending, trials

CAUSE = Cause(syscall="epoll_pwait2", errno="ENOSYS", program="redis-cli", origin=Origin.KERNEL)
REFUSED = {"epoll_pwait2": "ENOSYS"}
BROKEN = redis_broken("5.10")


def trial(*, origin: Origin = Origin.SECCOMP, **other: Any) -> Observation:
    """What the broken cell looks like where it works, with the call refused by a rule."""
    facts: dict[str, Any] = {
        "failures": (failure("epoll_pwait2", 441, program="redis-cli", origin=origin),)
    }
    return redis_broken("latest", **(facts | other))


def finding(*differences: Difference, cause: Cause | None = CAUSE) -> Finding:
    return Finding(
        scenario="s",
        file="f.yaml",
        image="redis",
        kind=Kind.BROKEN,
        before=Side(run="r", cell="a", kernel="latest"),
        after=Side(run="r", cell="b", kernel="5.10"),
        differences=differences,
        cause=cause,
    )


def missing(syscall: str, errno: str = "ENOSYS", after: str = "ENOSYS") -> Difference:
    return Difference(field=Field.ENOSYS, syscall=syscall, errno=errno, after=after)


def test_the_suspected_call_alone_is_tried_first_and_then_all_that_are_missing() -> None:
    found = trials(finding(missing("openat2"), missing("epoll_pwait2"), missing("tee", after="")))
    assert found == (REFUSED, {"openat2": "ENOSYS", "epoll_pwait2": "ENOSYS"})


def test_a_call_that_is_the_only_one_is_tried_once() -> None:
    assert trials(finding(missing("epoll_pwait2"))) == (REFUSED,)


def test_without_a_cause_there_is_nothing_to_try() -> None:
    assert trials(finding(missing("openat2"), cause=None)) == ()


def test_the_same_failure_by_that_refusal_alone_confirms_the_cause() -> None:
    found = confirmed(CAUSE, REFUSED, BROKEN, trial())
    assert found is not None
    assert found.confirmed is True
    assert found.evidence == (
        "on latest, where it works, with ENOSYS to epoll_pwait2 as the only change: it fails in "
        "the same way",
    )


OTHERWISE = trial(reason="step 2: another", steps=(step(), step(exit=127, unmet=("another",))))


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (trial(verdict=Verdict.PASSED, steps=(step(),)), "it passes all the same"),
        (OTHERWISE, "it fails in another way, step 2: another"),
        (trial(failures=()), "epoll_pwait2 was never called"),
        (trial(origin=Origin.KERNEL), "epoll_pwait2 was never called"),
    ],
)
def test_anything_else_does_not(seen: Observation, said: str) -> None:
    found = confirmed(CAUSE, REFUSED, BROKEN, seen)
    assert found is not None
    assert found.confirmed is False
    assert found.evidence[-1].endswith(said)


def test_a_trial_that_did_not_run_or_lost_its_guest_says_nothing() -> None:
    assert confirmed(CAUSE, REFUSED, BROKEN, unavailable("latest", "no kernel")) is None
    assert confirmed(CAUSE, REFUSED, BROKEN, trial(verdict=Verdict.DIED)) is None


def test_two_endings_are_the_same_when_the_same_step_ends_in_the_same_way() -> None:
    assert ending(BROKEN) == ending(redis_broken("latest"))
    timed_out = observation(verdict=Verdict.TIMED_OUT, steps=(step(timed_out=True, exit=None),))
    assert ending(timed_out) != ending(BROKEN)
    service: dict[str, Any] = {"verdict": Verdict.FAILED, "reason": "the service ended"}
    one = observation(steps=(step(name="service", exit=1),), **service)
    other = observation(steps=(step(name="service", exit=139),), **service)
    assert ending(one) != ending(other)
