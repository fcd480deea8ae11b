"""Findings in words; what is of unknown origin in them is not yet made safe to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.findings import Cause, Difference, Finding
from harness.report.failure import ORIGINS
from harness.report.plain import plural


def cause_lines(cause: Cause) -> tuple[str, ...]:
    """Return what probably broke a cell: a sentence, then the evidence."""
    sure = {None: "suspected", True: "confirmed", False: "not confirmed"}[cause.confirmed]
    since = f", a call that Linux has since {cause.since}" if cause.since else ""
    return (
        f"cause, {sure}: {cause.program} gets {cause.errno} from {cause.origin.value} for "
        f"{cause.syscall}{since}",
        *cause.evidence,
    )


def difference_text(difference: Difference) -> str:
    """Return which field differs; of a failing call what failed in which program."""
    step = "" if difference.step is None else f", step {difference.step + 1}"
    if not difference.syscall:
        return f"{difference.field.value}{step}"
    operation = f"({difference.operation})" if difference.operation else ""
    call = f"{difference.syscall}{operation} in {difference.program}{step}"
    origin = f", {ORIGINS[difference.origin]}" if difference.origin else ""
    coped = {None: "", True: ", coped", False: ", its process failed"}[difference.coped]
    return f"{call}{origin}{coped}"


def unlike_sentences(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return what else differs between the sides, each sentence once and of how many cells."""
    counts = Counter(sentence for finding in findings for sentence in finding.unlike)
    return tuple(f"{sentence} ({plural(count, 'cell')})" for sentence, count in counts.items())


def kernels_text(finding: Finding) -> str:
    """Return which kernel was compared with which."""
    before, after = finding.before.kernel, finding.after.kernel
    return after if before == after else f"{before} → {after}"
