"""What the corpus of documented breakages says of the harness: what it found, and what it named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.explanations import Explanation, NamedCause
from harness.model.cases import Case, Effect, Expected, Sign
from harness.model.observations import Observation, Verdict
from harness.scenarios.case_schema import KINDS
from harness.verdicts.explanation import named
from harness.verdicts.matching import BROKE
from harness.verdicts.views import RAN

TARGET = 95.0
"""Per cent of the cells with a breakage that must be found with the right cause."""

SCORE_SCHEMA = 1
"""Version of the JSON that a score is written in."""


class Mark(StrEnum):
    """What became of one case on one host."""

    RIGHT = "right"
    """It shows there, and its cause was named."""
    WRONG = "wrong"
    """It shows there; another cause was named, or none."""
    MISSED = "missed"
    """It does not show there."""
    CLEAN = "clean"
    """It works there, and nothing was named."""
    FALSE = "false"
    """It works there: what was found is not so."""
    ABSENT = "absent"
    """It was not tried: its kernel, image or requirement could not be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One case on one host."""

    case: str
    kind: str
    host: str
    effect: Effect
    cause: str
    """The one that was to be named; empty where it works."""
    named: str
    """The one that was named; empty: none."""
    mark: Mark
    why: str = ""
    """One sentence, unless it is as it should be."""
    apart: bool = False
    """Its kernel is one that has to be supplied by hand: it is counted apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """All cells of the corpus, as they were the last time."""

    started: str
    """UTC, ISO 8601."""
    accelerator: str
    releases: dict[str, str]
    """What the hosts' kernels call themselves, of those that ran."""
    cells: tuple[Scored, ...]
    schema: int = SCORE_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many cells of a kind got which mark."""

    kind: str
    cases: int
    right: int = 0
    wrong: int = 0
    missed: int = 0
    clean: int = 0
    false: int = 0
    absent: int = 0

    @property
    def shows(self) -> int:
        """The tried cells in which the breakage had to be found."""
        return self.right + self.wrong + self.missed

    @property
    def found(self) -> int:
        """Those in which it was."""
        return self.right + self.wrong


def scored(
    case: Case, expected: Expected, seen: Observation, explanation: Explanation, *, apart: bool
) -> Scored:
    """Return what an observation of a case's host is worth."""
    mark, name, why = _judged(case, expected, seen, explanation)
    return Scored(
        case=case.name,
        kind=case.kind,
        host=seen.kernel,
        effect=expected.effect,
        cause=expected.cause,
        named=name,
        mark=mark,
        why=why,
        apart=apart,
    )


def tally(kind: str, cells: Iterable[Scored]) -> Tally:
    """Count cells by their marks."""
    mine = list(cells)
    counts = {mark.value: sum(cell.mark is mark for cell in mine) for mark in Mark}
    return Tally(kind=kind, cases=len({cell.case for cell in mine}), **counts)


def by_kind(cells: Sequence[Scored]) -> tuple[Tally, ...]:
    """Return a tally for each kind that has cells, in the order of kinds."""
    kinds = [kind for kind in KINDS if any(cell.kind == kind for cell in cells)]
    return tuple(tally(kind, (cell for cell in cells if cell.kind == kind)) for kind in kinds)


def per_cent(counted: Tally) -> float:
    """Return how many of the breakages were found with the right cause, in per cent."""
    return 100.0 * counted.right / counted.shows if counted.shows else 0.0


def reached(score: Score) -> bool:
    """Tell whether a score is good enough; what counts apart is not asked."""
    total = tally("", (cell for cell in score.cells if not cell.apart))
    return per_cent(total) >= TARGET and not total.false


def complete(score: Score) -> bool:
    """Tell whether every cell was tried that this machine must be able to try."""
    return bool(score.cells) and not any(
        cell.mark is Mark.ABSENT and not cell.apart for cell in score.cells
    )


def _judged(
    case: Case, expected: Expected, seen: Observation, explanation: Explanation
) -> tuple[Mark, str, str]:
    """Return the mark, the cause that was named, and why."""
    if seen.verdict not in RAN:
        return Mark.ABSENT, "", seen.reason
    match expected.effect:
        case Effect.WORKS:
            return _where_it_works(case, seen, explanation)
        case Effect.BREAKS:
            if seen.verdict not in BROKE:
                return Mark.MISSED, "", "it passed"
            found = named(explanation)
        case Effect.DEGRADES:
            if seen.verdict is not Verdict.PASSED:
                return Mark.MISSED, "", f"it did not pass: {seen.reason}"
            causes = explanation.causes
            found = next((one for one in causes if one.name == expected.cause), None)
    if missing := _missing(expected.sign, seen):
        return Mark.MISSED, found.name if found else "", missing
    if found is None:
        return Mark.WRONG, "", "no cause was named"
    if found.name != expected.cause:
        return Mark.WRONG, found.name, f"{found.name} was named"
    unsaid = [text for text in expected.names if text not in _said(found)]
    if unsaid:
        return Mark.WRONG, found.name, f"its explanation does not say {unsaid[0]!r}"
    return Mark.RIGHT, found.name, ""


def _where_it_works(case: Case, seen: Observation, found: Explanation) -> tuple[Mark, str, str]:
    blamed = named(found)
    mine = {each.cause for each in case.expected if each.cause}
    listed = next((one for one in found.causes if one.name in mine), None)
    told = blamed or listed
    if seen.verdict is not Verdict.PASSED:
        return Mark.FALSE, told.name if told else "", f"it did not pass: {seen.reason}"
    if told is not None:
        return Mark.FALSE, told.name, f"{told.name} was named"
    return Mark.CLEAN, "", ""


def _said(cause: NamedCause) -> str:
    return " ".join((cause.text, cause.help, *cause.evidence))


def _missing(sign: Sign, seen: Observation) -> str:
    """Return what of a sign is not in an observation, as a sentence."""
    call = (sign.syscall, sign.errno, sign.origin)
    if any(call) and not any(
        all(
            wanted in ("", got)
            for wanted, got in zip(call, (one.name, one.errno, one.origin.value), strict=True)
        )
        for one in seen.failures
    ):
        return f"no call was recorded with {' '.join(filter(None, call))}"
    written = "\n".join(f"{step.stdout}\n{step.stderr}" for step in seen.steps)
    if sign.output and not re.search(sign.output, written, re.MULTILINE):
        return f"nothing was written that matches {sign.output!r}"
    if sign.message and not any(re.search(sign.message, line) for line in seen.messages):
        return f"no message of the kernel matches {sign.message!r}"
    return ""
