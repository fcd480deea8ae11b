"""Take out of outputs and kernel messages what is never the same twice.

The rules are the table of docs/differences.md. What they do not know is left to the repeats of a
cell (:mod:`harness.verdicts.noise`), and to a scenario's own rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from harness.model.observations import Observation

NEAR = timedelta(days=2)
"""A date this near to the cell's own beginning is taken for a clock that was read; another one
is content, and may tell of a kernel that keeps times wrongly."""


class Rule(NamedTuple):
    """What is replaced: the words of the documentation, a pattern and its replacement."""

    title: str
    pattern: str
    replacement: str


RULES = (
    Rule(
        "kernel builds",  # uname(2) has at most 64 characters for one
        r"#\d+(?:-\S{1,80})? SMP\b[^\n(]{0,120}?(?:\(\d{4}-\d\d-\d\d\)"
        r"|[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ [\d:]{8} \w+ \d{4})",
        "<build>",
    ),
    Rule(
        "boot ids and other UUIDs",
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        "<uuid>",
    ),
    Rule(
        "addresses",
        r"\b0x[0-9a-f]{6,16}\b|\b(?:ffff[0-9a-f]{12}|(?:5[56]|7f)[0-9a-f]{10})\b",
        "<address>",
    ),
    Rule("pids named as such", r"(?i)\b(pid[ =:#]{1,2}|process )\d+\b", r"\1<pid>"),
    Rule("pids of log lines", r"\[\d+\](?=:| [A-Z]{3,}:)", "[<pid>]"),
    Rule("pids of nginx's log lines", r"\b\d+#\d+(?=: )|(?<= received from )\d+", "<pid>"),
    Rule("pids of redis's log lines", r"(?m)^\d+(?=:[CMSX] )", "<pid>"),
    Rule("thread ids of OpenSSL's errors", r"\b[0-9A-F]{12,16}(?=:error:)", "<thread>"),
    Rule("pids in /proc", r"(?<![\w.])/proc/\d+\b", "/proc/<pid>"),
    Rule("names of mktemp", r"\btmp\.[A-Za-z0-9]{6,12}\b", "<temporary>"),
    Rule(
        "names of Python's tempfile",
        r"(?<=/)tmp[a-z0-9_]{8}\b|\btmp(?=[a-z_]*\d)[a-z0-9_]{8}\b",
        "<temporary>",
    ),
    Rule(
        "other random names in temporary directories",
        r"(?<=/tmp/)([\w-]*[.-])?(?=[A-Za-z0-9]*[A-Z0-9])[A-Za-z0-9]{6,12}(?![\w.])",
        r"\1<temporary>",
    ),
    Rule("uptimes of kernel messages", r"\[ *\d+\.\d{6}\]", "[<uptime>]"),
    Rule(
        "durations and rates",
        r"(?i)\b\d+m\d+\.\d+s\b|(?<![\w.])\d+(?:\.\d+)? ?(?:(?:ns|us|µs|ms|s|secs?|seconds?|"
        r"minutes?)\b|[kmgt]?i?(?:b|bytes?)/s(?:ec)?\b)",
        "<duration>",
    ),
)
"""Applied in this order, after the kernel's own release and before the clock."""

_CLOCK = re.compile(
    r"""
    (?P<iso>\b\d{4}(?P<dash>[-/])\d\d(?P=dash)\d\d
        (?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\ ?(?:Z|[+-]\d\d:?\d\d))?)?)
  | (?P<words>\b(?:[A-Z][a-z]{2},?\ +)?(?:[A-Z][a-z]{2}\ +\d{1,2}|\d{1,2}\ [A-Z][a-z]{2})
        (?:,?\ \d{4})?\ +\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:\ [AP]M)?(?:\ [A-Z]{3,4})?(?:\ \d{4})?)
  | (?P<epoch>(?<![\w.])1[6-9]\d{8}(?:\d{3})?(?:\.\d+)?\b|(?<![\w.])2\d{9}(?:\d{3})?(?:\.\d+)?\b)
  | (?P<time>(?<![\w:.])\d\d:\d\d:\d\d(?:[.,]\d+)?(?![\w:]))
    """,
    re.VERBOSE,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = re.compile(r"([A-Z][a-z]{2}) +(\d{1,2})\b|\b(\d{1,2}) ([A-Z][a-z]{2})\b")
_YEAR = re.compile(r"\b\d{4}\b")

_OF_LOAD = re.compile(
    r"hrtimer: interrupt took|perf: interrupt took too long|sched: DL replenish lagged"
    r"|^(?>.*?clocksource: ).*(?:unstable|skew)"
)
"""Kernel messages of a guest whose processor was kept waiting, whatever runs in it."""

Replacement = tuple[str, str]


def normaliser(observation: Observation, extra: Sequence[Replacement] = ()) -> Callable[[str], str]:
    """Return the function that normalises a cell's texts.

    ``extra`` are (pattern, replacement) pairs, applied after the built-in rules.
    """
    release = observation.environment.release if observation.environment else ""
    began = _moment(observation.started)
    own = [_pair(pattern, by) for pattern, by in extra]

    def clock(match: re.Match[str]) -> str:
        return "<time>" if _is_near(match, began) else match[0]

    def normalise(text: str) -> str:
        if release:
            text = text.replace(release, "<release>")
        for pattern, replacement in _compiled():
            text = pattern.sub(replacement, text)
        text = _CLOCK.sub(clock, text)
        for pattern, replacement in own:
            text = pattern.sub(replacement, text)
        return text

    return normalise


def messages_of(observation: Observation, normalise: Callable[[str], str]) -> tuple[str, ...]:
    """Return a cell's distinct kernel messages, normalised, without those of a machine's load."""
    told = (line for line in observation.messages if not _OF_LOAD.search(line))
    return tuple(dict.fromkeys(map(normalise, told)))


# Memos of pure functions: patterns are the same for every cell of a run.
@cache
def _compiled() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(rule.pattern), rule.replacement) for rule in RULES)


@cache
def _pair(pattern: str, replacement: str) -> tuple[re.Pattern[str], str]:
    return re.compile(pattern, re.MULTILINE), replacement


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _is_near(match: re.Match[str], began: datetime | None) -> bool:
    """Tell whether a moment is the cell's own time; a time of day alone always is."""
    if match["time"] or began is None:
        return True
    try:
        found = _read(match, began)
    except (ValueError, OverflowError):
        return False  # no date after all
    return abs(found - began) <= NEAR


def _read(match: re.Match[str], began: datetime) -> datetime:
    if match["iso"]:
        return _iso(match[0])
    return _words(match[0], began) if match["words"] else _epoch(match[0])


def _iso(text: str) -> datetime:
    return datetime(int(text[:4]), int(text[5:7]), int(text[8:10]), tzinfo=UTC)


def _words(text: str, began: datetime) -> datetime:
    day = _DAY.search(text)
    if day is None:
        raise ValueError(text)
    month = _MONTHS.index(day[1] or day[4]) + 1
    years = _YEAR.findall(text.replace(":", "x"))
    return datetime(
        int(years[-1]) if years else began.year, month, int(day[2] or day[3]), tzinfo=UTC
    )


def _epoch(text: str) -> datetime:
    seconds = float(text)
    return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
