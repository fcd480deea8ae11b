"""Which known cause is named for a cell, and how surely."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from observations import end, environment, failure, observation, step

from harness.explanations import Certainty, Tie
from harness.findings import Cause
from harness.model.causes import KnownCause
from harness.model.observations import Observation, Origin, Verdict
from harness.scenarios import causes
from harness.verdicts.explanation import explain, named


@pytest.fixture(scope="module")
def known() -> tuple[KnownCause, ...]:
    return causes.load([causes.packaged()])


def refused(name: str = "clone3", number: int = 435, **other: Any) -> Observation:
    """Return a failed cell in which python3 was refused a call and ended with status 1."""
    facts: dict[str, Any] = {
        "errno": "EPERM",
        "origin": Origin.SECCOMP,
        "program": "python3.12",
        "path": "/usr/bin/python3.12",
    }
    call = failure(name, number, **(facts | other))
    return observation(
        "5.10",
        "threads",
        "debian-trixie",
        Verdict.FAILED,
        reason="step 1: exit status is 1, expected 0",
        steps=(step(exit=1, unmet=("exit status is 1, expected 0",)),),
        failures=(call,),
        ends=(end(exit=1, program="python3.12", path=call.path),),
    )


def names(seen: Observation, known: tuple[KnownCause, ...]) -> dict[str, Certainty]:
    return {one.name: one.certainty for one in explain(seen, known).causes}


def test_the_refusal_in_the_process_that_failed_is_suspected(known: tuple[KnownCause, ...]) -> None:
    assert names(refused(), known) == {"profile-refuses-clone3": Certainty.SUSPECTED}


def test_what_a_run_with_that_refusal_alone_reproduced_is_confirmed(
    known: tuple[KnownCause, ...],
) -> None:
    tried = Cause(syscall="clone3", errno="EPERM", program="python3.12", origin=Origin.SECCOMP)
    seen = refused()
    for confirmed, certainty in (
        (None, Certainty.SUSPECTED),
        (False, Certainty.SUSPECTED),
        (True, Certainty.CONFIRMED),
    ):
        (one,) = explain(seen, known, cause=replace(tried, confirmed=confirmed)).causes
        assert one.certainty is certainty


def test_a_call_that_programs_cope_with_is_never_suspected(known: tuple[KnownCause, ...]) -> None:
    seen = refused(errno="ENOSYS", origin=Origin.KERNEL)
    assert names(seen, known) == {"no-clone3": Certainty.UNCLEAR}
    assert named(explain(seen, known)) is None


def test_in_a_cell_that_passed_a_refusal_is_coped_with(known: tuple[KnownCause, ...]) -> None:
    seen = observation(failures=(failure("openat2", 437, program="tar", pid=211),))
    assert names(seen, known) == {"no-openat2": Certainty.COPED}


def test_another_answer_to_the_same_call_is_no_evidence(known: tuple[KnownCause, ...]) -> None:
    assert names(refused(origin=Origin.OTHER), known) == {}


def test_what_the_kernel_says_itself_is_stated(known: tuple[KnownCause, ...]) -> None:
    seen = observation(
        verdict=Verdict.FAILED,
        messages=("bash[211] vsyscall attempted with vsyscall=none ip:ffffffffff600400",),
        steps=(step(exit=None, signal="SEGV", unmet=("killed by SIGSEGV",)),),
        ends=(end(program="bash", exit=None, signal="SEGV"),),
        environment=environment("6.1", cmdline="vsyscall=none"),
    )
    (one,) = explain(seen, known).causes
    assert (one.name, one.certainty) == ("vsyscall-none", Certainty.STATED)
    assert one.evidence == (
        "the kernel says: bash[211] vsyscall attempted with vsyscall=none ip:ffffffffff600400",
        "bash (pid 211) ended by SIGSEGV",
    )
    passed = replace(seen, verdict=Verdict.PASSED)
    assert names(passed, known) == {}


def test_what_the_output_is_known_to_come_of_is_suspected_before_what_failed_last(
    known: tuple[KnownCause, ...],
) -> None:
    seen = refused()
    last = failure("openat2", 437, program="python3.12", path="/usr/bin/python3.12", offset=0.5)
    said = step(exit=1, stderr="RuntimeError: can't start new thread", unmet=("it failed",))
    seen = replace(seen, failures=(*seen.failures, last), steps=(said,))
    explanation = explain(seen, known)
    assert explanation.tie is Tie.KNOWN
    assert {one.name: one.certainty for one in explanation.causes} == {
        "profile-refuses-clone3": Certainty.SUSPECTED,
        "no-openat2": Certainty.UNCLEAR,
    }
