"""Patterns that are searched for in outputs, over as much hostile text as is kept of one."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from harness.container.runtime import KEEP
from harness.model.causes import Pattern
from harness.scenarios import causes
from harness.verdicts import normalise

PARSER: Any = importlib.import_module("re._parser")
SIZES = (4 << 10, 16 << 10, 64 << 10, KEEP)
"""The smaller ones first, so that a pattern that is slow is told before it takes hours."""
ENOUGH = 2.0
"""Seconds of processor time for one text. The slowest takes a fiftieth; a pattern whose time
grows with the square of a line takes minutes."""

SHORT = 16
"""A repeat of no more costs little wherever it begins."""
CATEGORIES = {"DIGIT": "1", "SPACE": " ", "WORD": "a"}


def hostile(pattern: re.Pattern[str], size: int) -> Iterator[str]:
    """Yield texts of ``size`` that begin to match again and again, on one line and on many."""
    parsed = PARSER.parse(pattern.pattern, pattern.flags)
    for unit in sorted({*beginnings(parsed)} - {""}):
        times = size // (2 * len(unit) + 1)
        yield unit * times + f"\n{unit}" * times


def beginnings(parts: Any) -> Iterator[str]:
    """Yield what a parsed pattern's matches may begin with, up to each repeat; a whole one last."""
    before = ""
    for kind, what in parts:
        *some, whole = of_part(str(kind), what)
        yield from (before + text for text in some)
        if str(kind).endswith("_REPEAT") and what[1] > SHORT:
            yield before
            yield before + whole
        if str(kind) != "ASSERT" or what[0] < 0:
            before += whole
    yield before


def of_part(kind: str, what: Any) -> list[str]:
    """Return beginnings of what one part matches, a whole one last."""
    if kind == "LITERAL":
        return [chr(what)]
    if kind == "IN":
        return [of_set(what)]
    if kind in ("ANY", "NOT_LITERAL"):
        return ["x"]
    if kind == "BRANCH":
        return [text for branch in reversed(what[1]) for text in beginnings(branch)]
    if kind in ("SUBPATTERN", "ASSERT"):
        return list(beginnings(what[-1]))
    if kind == "ATOMIC_GROUP":
        return list(beginnings(what))
    if kind.endswith("_REPEAT"):
        *some, whole = beginnings(what[-1])
        return [*some, whole * max(what[0], 1)]
    if kind == "GROUPREF":
        return ["-"]  # the clock's
    assert kind in ("AT", "ASSERT_NOT"), f"what does {kind} match?"
    return [""]


def of_set(members: Any) -> str:
    """Return a character of a set."""
    kind, what = members[0]
    if str(kind) == "CATEGORY":
        return CATEGORIES.get(str(what).removeprefix("CATEGORY_"), "x")
    if str(kind) == "NEGATE":
        return "x"
    return chr(what if str(kind) == "LITERAL" else what[0])


def check(patterns: Iterable[re.Pattern[str]]) -> None:
    for size in SIZES:
        for pattern in patterns:
            for text in hostile(pattern, size):
                began = time.process_time()
                pattern.sub("", text)
                assert time.process_time() - began < ENOUGH, (pattern.pattern, text[:60], size)


def searched(pattern: Pattern) -> Iterator[str]:
    """Yield the regular expressions of a known cause's evidence."""
    yield from (pattern.message, pattern.stdout, pattern.stderr, pattern.output)
    yield from (pattern.reason, pattern.asks)


def test_the_time_to_normalise_an_output_grows_with_its_length_alone() -> None:
    rules = [re.compile(rule.pattern) for rule in normalise.RULES]
    check([*rules, normalise._CLOCK, normalise._OF_LOAD])


def test_the_time_to_look_for_known_causes_grows_with_an_outputs_length_alone() -> None:
    known = causes.load([causes.packaged()])
    found = {each for cause in known for pattern in cause.when for each in searched(pattern)}
    assert len(found) > 30
    check([re.compile(each, re.MULTILINE) for each in sorted(found - {""})])
