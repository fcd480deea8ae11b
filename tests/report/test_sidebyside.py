from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.report.sidebyside import Pair, pairs

GAP = Pair(None, None)


def test_a_changed_line_stands_beside_what_it_became_with_lines_around_it() -> None:
    before = "\n".join(map(str, range(12)))
    assert list(pairs(before, before.replace("6", "six"))) == [
        GAP,
        *(Pair(str(n), str(n)) for n in (3, 4, 5)),
        Pair("6", "six"),
        *(Pair(str(n), str(n)) for n in (7, 8, 9)),
        GAP,
    ]


def test_lines_of_one_side_stand_alone() -> None:
    assert list(pairs("", "a\nb")) == [Pair(None, "a"), Pair(None, "b")]
    assert list(pairs("a\nb", "b")) == [Pair("a", None), Pair("b", "b")]


def test_a_missing_line_end_is_a_difference() -> None:
    assert list(pairs("a\n", "a")) == [Pair("a", "a"), Pair("", None)]


@given(st.text("ab\n", max_size=40), st.text("ab\n", max_size=40))
def test_all_that_differs_is_shown_and_equal_texts_show_nothing(before: str, after: str) -> None:
    found = list(pairs(before, after))
    assert bool(found) == (before != after)
    for side, text in ((0, before), (1, after)):
        lines = iter(text.split("\n"))
        for pair in found:
            line = pair[side]
            assert line is None or line in lines  # in order: `in` moves the iterator on
