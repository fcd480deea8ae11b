import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.trace.operations import FCNTL
from harness.trace.plan import (
    EXITS,
    FILTER_LIMIT,
    HOT,
    Armed,
    Plan,
    enter_filter,
    enter_ranges,
    exit_filters,
)


def predicate(text: str) -> Callable[[int], bool]:
    """Read a filter as the kernel does: && binds closer than ||."""
    python = text.replace("||", " or ").replace("&&", " and ").replace("id", "number")
    made: Callable[[int], bool] = eval(f"lambda number: {python}")  # noqa: S307 - numbers alone
    return made


def taken(text: str, number: int) -> bool:
    return predicate(text)(number)


def test_exits_and_multiplexed_calls_are_always_armed() -> None:
    text = enter_filter(enter_ranges(Plan()))
    for number in (60, 231, 16, 157, 321, 54, 55, 317, 250):
        assert taken(text, number)


def test_fcntl_is_armed_by_number_only_where_a_profile_can_refuse_it() -> None:
    assert not taken(enter_filter(enter_ranges(Plan())), FCNTL)
    assert taken(enter_filter(enter_ranges(Plan(refusable=frozenset({FCNTL})))), FCNTL)


def test_the_commonest_calls_are_dismissed_by_the_first_questions() -> None:
    text = enter_filter(enter_ranges(Plan(missing=frozenset({134, 156, 205}))))
    first = re.match(r"id>(\d+)&&\(id<(\d+)\|\|id>(\d+)\)&&", text)
    assert first
    assert int(first[1]) >= 1  # read and write
    assert int(first[2]) <= 257 < 262 <= int(first[3])  # openat and newfstatat


def test_hot_calls_are_not_armed_by_themselves() -> None:
    text = enter_filter(enter_ranges(Plan(missing=frozenset({156, 236, 452}))))
    assert not any(taken(text, number) for number in HOT)


def test_what_is_beyond_the_table_is_armed_without_end() -> None:
    text = enter_filter(enter_ranges(Plan(beyond=471)))
    assert not taken(text, 471)
    assert taken(text, 472)
    assert taken(text, 100_000)


def test_write_is_armed_only_for_32_bit_programs() -> None:
    assert not taken(enter_filter(enter_ranges(Plan())), 1)
    assert taken(enter_filter(enter_ranges(Plan(ia32=True))), 1)


@settings(max_examples=40, deadline=None)
@given(
    missing=st.frozensets(st.integers(0, 471)),
    refusable=st.frozensets(st.integers(0, 471)),
    drill=st.integers(314, 471),
)
def test_a_filter_takes_all_that_was_asked_for_and_is_short_enough(
    missing: frozenset[int], refusable: frozenset[int], drill: int
) -> None:
    plan = Plan(missing=missing, refusable=refusable, drill={"x86_64": drill})
    ranges = enter_ranges(plan)
    text = enter_filter(ranges)
    assert len(text) <= FILTER_LIMIT
    armed = Armed(traced=True, enters=ranges)
    takes = predicate(text)
    assert all(takes(number) == armed.covers(number) for number in range(600))
    wanted = missing | refusable | EXITS | frozenset(range(drill, 600))
    assert all(armed.covers(number) for number in wanted)


def test_a_filter_that_would_be_too_long_takes_more_but_few_hot_calls() -> None:
    every_other = frozenset(range(2, 471, 2))
    ranges = enter_ranges(Plan(missing=every_other))
    text = enter_filter(ranges)
    assert len(text) <= FILTER_LIMIT
    assert all(taken(text, number) for number in every_other)
    assert sum(taken(text, number) for number in set(HOT) - every_other) <= 4


def test_a_filter_asks_few_questions_of_a_call_that_it_does_not_take() -> None:
    plan = Plan(missing=frozenset(range(5, 470, 7)))
    depth = max(
        text.count("(") for text in re.findall(r"\(*id<\d+", enter_filter(enter_ranges(plan)))
    )
    assert depth <= 8


@pytest.mark.parametrize("which", [0, 1])
def test_successes_are_recorded_for_conditional_calls_alone(which: int) -> None:
    text = exit_filters(Plan(conditional=frozenset({41, 135})))[which]
    assert text.endswith("||id==41||id==135")
    assert exit_filters(Plan())[which] in ("(ret<0&&ret>-4096)", "ret<0")


def test_the_plain_filter_has_no_negative_number() -> None:
    assert "-" not in exit_filters(Plan(conditional=frozenset({41})))[1]
