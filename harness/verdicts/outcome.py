"""The one place that says what a cell counts as: to a reader, to pytest, to JUnit, to a shell.

:data:`TABLE` is the table of docs/outcomes.md, line by line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from harness.model.observations import Observation, Verdict
from harness.verdicts.enosys import distinct

FAILED_STATUS = 1
"""Exit status when a cell failed: pytest's own for failed tests."""
MISSING_STATUS = 6
"""Exit status when none failed but some were unavailable; pytest's own end at 5."""


class Enosys(StrEnum):
    """Which cells a rule is for, by the distinct ENOSYS that they met."""

    NONE = "none"
    SOME = "some"
    ANY = "any"


class Known(StrEnum):
    """What is known of a cell beforehand."""

    NO = "no"
    COVERED = "yes"
    """A known difference says that this cell fails."""


class PytestOutcome(StrEnum):
    """How pytest counts an item."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    XFAILED = "xfailed"


class JUnit(StrEnum):
    """Which element the test case has in JUnit's XML."""

    NONE = "none"
    FAILURE = "failure"
    SKIPPED = "skipped"


class Status(StrEnum):
    """What a cell does to the session's exit status."""

    ZERO = "0"
    FAILED = "1"
    MISSING = "6 unless allowed"
    """What can be allowed is the want of a kernel, not that of an image."""


class Rule(NamedTuple):
    """A line of the table; in ``text``, ``N`` stands for the number of distinct ENOSYS."""

    verdict: Verdict
    enosys: Enosys
    known: Known
    text: str
    pytest: PytestOutcome
    junit: JUnit
    status: Status
    notice: str = ""
    """What is said besides, under the matrix."""


STALE = "known difference is stale"
_REASON = "reason"

# fmt: off
TABLE = (
    Rule(Verdict.PASSED, Enosys.NONE, Known.NO, "passed",
         PytestOutcome.PASSED, JUnit.NONE, Status.ZERO),
    Rule(Verdict.PASSED, Enosys.SOME, Known.NO, "passed with N ENOSYS",
         PytestOutcome.PASSED, JUnit.NONE, Status.ZERO),
    Rule(Verdict.PASSED, Enosys.NONE, Known.COVERED, "passed",
         PytestOutcome.PASSED, JUnit.NONE, Status.ZERO, STALE),
    Rule(Verdict.PASSED, Enosys.SOME, Known.COVERED, "passed with N ENOSYS",
         PytestOutcome.PASSED, JUnit.NONE, Status.ZERO, STALE),
    Rule(Verdict.FAILED, Enosys.NONE, Known.NO, "failed",
         PytestOutcome.FAILED, JUnit.FAILURE, Status.FAILED),
    Rule(Verdict.FAILED, Enosys.SOME, Known.NO, "failed with N ENOSYS",
         PytestOutcome.FAILED, JUnit.FAILURE, Status.FAILED),
    Rule(Verdict.FAILED, Enosys.NONE, Known.COVERED, "failed, known",
         PytestOutcome.XFAILED, JUnit.SKIPPED, Status.ZERO, _REASON),
    Rule(Verdict.FAILED, Enosys.SOME, Known.COVERED, "failed with N ENOSYS, known",
         PytestOutcome.XFAILED, JUnit.SKIPPED, Status.ZERO, _REASON),
    Rule(Verdict.DIED, Enosys.ANY, Known.NO, "guest died",
         PytestOutcome.FAILED, JUnit.FAILURE, Status.FAILED),
    Rule(Verdict.DIED, Enosys.ANY, Known.COVERED, "guest died, known",
         PytestOutcome.XFAILED, JUnit.SKIPPED, Status.ZERO, _REASON),
    Rule(Verdict.TIMED_OUT, Enosys.ANY, Known.NO, "timed out",
         PytestOutcome.FAILED, JUnit.FAILURE, Status.FAILED),
    Rule(Verdict.TIMED_OUT, Enosys.ANY, Known.COVERED, "timed out, known",
         PytestOutcome.XFAILED, JUnit.SKIPPED, Status.ZERO, _REASON),
    Rule(Verdict.UNSUPPORTED, Enosys.ANY, Known.NO, "unsupported by this kernel",
         PytestOutcome.SKIPPED, JUnit.SKIPPED, Status.ZERO, _REASON),
    Rule(Verdict.UNAVAILABLE, Enosys.ANY, Known.NO, "unavailable",
         PytestOutcome.SKIPPED, JUnit.SKIPPED, Status.MISSING, _REASON),
    Rule(Verdict.SKIPPED, Enosys.ANY, Known.NO, "skipped",
         PytestOutcome.SKIPPED, JUnit.SKIPPED, Status.ZERO, _REASON),
)
# fmt: on

_NEVER_RAN = frozenset({Verdict.UNSUPPORTED, Verdict.UNAVAILABLE, Verdict.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one cell counts as."""

    rule: Rule
    enosys: int
    kernel_missing: bool = False
    """Whether nothing but its kernel could not be had."""

    @property
    def text(self) -> str:
        """The matrix's words: ``passed with 2 ENOSYS``."""
        return self.rule.text.replace(" N ", f" {self.enosys} ")

    @property
    def kind(self) -> str:
        """The matrix's words without the number, which cells are counted by."""
        return self.rule.text.replace(" N ", " ")

    @property
    def known(self) -> bool:
        """Whether a known difference turns its failure into an expected one."""
        return self.rule.pytest is PytestOutcome.XFAILED

    @property
    def stale(self) -> bool:
        """Whether it passed although a known difference says that it fails."""
        return self.rule.notice == STALE


def outcome(
    verdict: Verdict, enosys: int, known: Known = Known.NO, *, kernel_missing: bool = False
) -> Outcome:
    """Return what a cell with this verdict and number of distinct ENOSYS counts as.

    A cell that never ran has nothing to be known of: ``known`` is ignored there.
    """
    known = Known.NO if verdict in _NEVER_RAN else known
    fits = {Enosys.ANY, Enosys.SOME if enosys else Enosys.NONE}
    rule = next(r for r in TABLE if (r.verdict, r.known) == (verdict, known) and r.enosys in fits)
    return Outcome(rule=rule, enosys=enosys, kernel_missing=kernel_missing)


def outcome_of(observation: Observation, known: Known = Known.NO) -> Outcome:
    """Return what an observed cell counts as."""
    return outcome(
        observation.verdict,
        len(distinct(observation)),
        known,
        kernel_missing=observation.kernel_missing,
    )


def exit_status(cells: Iterable[Outcome], allow_missing: bool) -> int:
    """Return what the cells make of the session's exit status; a failure outweighs the rest.

    ``allow_missing`` lets cells pass whose kernel could not be had.
    """
    statuses = {cell.rule.status for cell in cells if not (allow_missing and cell.kernel_missing)}
    if Status.FAILED in statuses:
        return FAILED_STATUS
    if Status.MISSING in statuses:
        return MISSING_STATUS
    return 0


def counts(cells: Iterable[Outcome]) -> dict[str, int]:
    """Return how many cells there are of each kind, in the table's order."""
    found = Counter(cell.kind for cell in cells)
    kinds = dict.fromkeys(Outcome(rule=rule, enosys=0).kind for rule in TABLE)
    return {kind: found[kind] for kind in kinds if found[kind]}
