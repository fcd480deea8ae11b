"""Which refused call probably broke a cell, and what ties it to the failure."""

from __future__ import annotations

from typing import Any

import pytest
from observations import end, failure, observation, step

from harness.explanations import Tie
from harness.model.observations import Failure, Observation, Origin, Verdict
from harness.verdicts.suspects import Suspect, suspect_of


def cell(*calls: Failure, said: str = "", **other: Any) -> Observation:
    """Return a failed cell of one step, in which app (pid 211) ended with status 1."""
    facts: dict[str, Any] = {
        "steps": (step(exit=1, stderr=said, unmet=("exit status is 1, expected 0",)),),
        "ends": (end(exit=1, program="app", path="/bin/app"),),
    }
    return observation(verdict=Verdict.FAILED, failures=calls, **(facts | other))


def call(name: str, offset: float = 0.4, **other: Any) -> Failure:
    facts: dict[str, Any] = {"program": "app", "path": "/bin/app", "offset": offset}
    return failure(name, 400, **(facts | other))


def found(seen: Observation, *harmless: str) -> tuple[str, Tie] | None:
    one: Suspect | None = suspect_of(seen, lambda failure: failure.name in harmless)
    return None if one is None else (one.failure.name, one.tie)


def test_the_last_refusal_of_the_process_that_failed_is_suspected() -> None:
    read = call("read", 0.5, errno="EIO", origin=Origin.OTHER)
    calls = (call("openat2", 0.3), call("clone3", 0.4), read)
    ended = end(exit=1, program="app", path="/bin/app", last_failure="read EIO")
    assert found(cell(*calls, ends=(ended,))) == ("clone3", Tie.EARLIER)
    ended = end(exit=1, program="app", path="/bin/app", last_failure="clone3 ENOSYS")
    assert found(cell(*calls, ends=(ended,))) == ("clone3", Tie.LAST)


def test_one_that_the_output_names_comes_before_the_last() -> None:
    calls = (call("openat2", 0.3), call("clone3", 0.4))
    assert found(cell(*calls, said="openat2: failed")) == ("openat2", Tie.NAMED)
    assert found(cell(*calls, said="no_openat2_here")) == ("clone3", Tie.EARLIER)


def test_a_harmless_one_is_suspected_only_if_nothing_else_is_and_the_output_tells_of_it() -> None:
    calls = (call("openat2", 0.3), call("rseq", 0.4))
    assert found(cell(*calls), "rseq") == ("openat2", Tie.EARLIER)
    assert found(cell(call("rseq")), "rseq") is None
    told = cell(call("rseq"), said="app: Function not implemented")
    assert found(told, "rseq") == ("rseq", Tie.TOLD)
    both = cell(call("rseq"), call("statx"), said="app: Function not implemented")
    assert found(both, "rseq", "statx") is None


def test_where_no_process_failed_the_output_must_tell_of_it() -> None:
    ends = (end(program="app", path="/bin/app"),)
    assert found(cell(call("openat2"), ends=ends)) is None
    assert found(cell(call("openat2"), said="+openat2 -38", ends=ends)) == ("openat2", Tie.NAMED)
    said = "cannot open: Function not implemented"
    assert found(cell(call("openat2"), said=said, ends=ends)) == ("openat2", Tie.TOLD)


def test_what_the_same_program_met_in_a_step_that_ended_as_expected_is_no_suspect() -> None:
    steps = (step(), step(exit=1, unmet=("exit status is 1, expected 0",)))
    assert found(cell(call("clone3", steps=(0, 1)), steps=steps)) is None
    assert found(cell(call("clone3", steps=(1,)), steps=steps)) == ("clone3", Tie.EARLIER)


@pytest.mark.parametrize(
    "seen",
    [
        cell(call("openat", errno="ENOENT", origin=Origin.OTHER)),
        cell(call("openat2"), cause="the program's C library takes 3.10 for too old"),
        cell(call("openat2", program="other", path="/bin/other", pid=7)),
    ],
    ids=["no refusal", "a file asks for more", "met by a program that did not fail"],
)
def test_nothing_is_suspected_without_a_tie(seen: Observation) -> None:
    assert suspect_of(seen) is None


def test_a_process_that_ended_as_the_step_did_comes_before_one_that_merely_failed_first() -> None:
    ends = (
        end(7, exit=3, program="child", path="/bin/child", offset=0.1),
        end(exit=1, program="app", path="/bin/app", offset=0.5),
    )
    other = call("close_range", 0.05, program="child", path="/bin/child", pid=7)
    assert found(cell(other, call("clone3"), ends=ends)) == ("clone3", Tie.EARLIER)
