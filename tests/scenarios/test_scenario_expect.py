from __future__ import annotations

import time

import pytest

from harness.model.scenarios import Expect, Step, TextExpect
from harness.scenarios.expect import unmet


def check(
    expect: Expect, exit: int | None = 0, signal: str | None = None, out: str = "", err: str = ""
) -> tuple[str, ...]:
    return unmet(Step(run=("x",), expect=expect), exit, signal, out, err)


def stdout(expect: TextExpect, text: str) -> tuple[str, ...]:
    return check(Expect(stdout=expect), out=text)


def test_a_step_that_ends_as_expected_meets_everything() -> None:
    assert check(Expect()) == ()
    assert check(Expect(exit=3), exit=3) == ()
    assert check(Expect(exit=None, signal="SEGV"), exit=None, signal="SEGV") == ()


@pytest.mark.parametrize(("exit", "signal"), [(0, None), (7, None), (None, "KILL")])
def test_any_end_is_met_where_none_is_expected(exit: int | None, signal: str | None) -> None:
    assert check(Expect(exit=None), exit=exit, signal=signal) == ()


def test_a_wrong_status_is_told_with_the_end_of_the_error_output() -> None:
    (said,) = check(Expect(), exit=2, out="fine\n", err="one\ntwo\n")
    assert said == "expected exit status 0, got exit status 2; output:\n  one\n  two"


def test_a_signal_is_told_by_its_name() -> None:
    (said,) = check(Expect(), exit=None, signal="SEGV")
    assert said == "expected exit status 0, got ended by SIGSEGV; output was empty"
    (said,) = check(Expect(exit=None, signal="TERM"), exit=143)
    assert said.startswith("expected to be ended by SIGTERM, got exit status 143")


def test_equals_lets_only_the_last_newline_be_left_out() -> None:
    assert stdout(TextExpect(equals="a"), "a\n") == ()
    assert stdout(TextExpect(equals="a\n"), "a\n") == ()
    assert stdout(TextExpect(equals="a"), "a\n\n") != ()
    assert stdout(TextExpect(equals="a\n"), "a") != ()
    assert stdout(TextExpect(equals=""), "") == ()
    assert stdout(TextExpect(equals=""), "\n") != ()


def test_equals_shows_a_short_difference() -> None:
    (said,) = stdout(TextExpect(equals="one\ntwo\nthree\n"), "one\n2\nthree\n")
    assert said.startswith("stdout is not what was expected:\n")
    assert "  -two\n  +2\n" in said


def test_a_difference_in_line_ends_alone_is_shown() -> None:
    (said,) = stdout(TextExpect(equals="a\nb"), "a\r\nb")
    assert r"'a\nb'" in said
    assert r"'a\r\nb'" in said


def test_contains_and_matches_are_told_one_by_one() -> None:
    expect = TextExpect(contains=("a", "zz"), matches=("^b$", r"^\d+$"))
    assert stdout(expect, "a\nb\n") == (
        "stdout does not contain 'zz'; stdout:\n  a\n  b",
        "stdout does not match '^\\\\d+$'; stdout:\n  a\n  b",
    )


def test_stderr_is_checked_as_well() -> None:
    (said,) = check(Expect(stderr=TextExpect(equals="")), err="warning\n")
    assert said.startswith("stderr is not what was expected")


def test_of_a_long_output_only_the_end_is_shown() -> None:
    (said,) = stdout(TextExpect(contains=("x",)), "".join(f"{n}\n" for n in range(100)))
    assert "(the last 6 of 100 lines):\n  94\n" in said
    assert len(said.splitlines()) == 7


def test_large_outputs_are_compared_in_little_time() -> None:
    wanted = "".join(f"{n}\n" for n in range(50_000))
    started = time.monotonic()
    (said,) = stdout(TextExpect(equals=wanted), wanted[::-1])
    assert time.monotonic() - started < 5
    assert len(said) < 5000
