"""Findings and explanations in words; what is of unknown origin is not yet made safe to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.findings import Cause, Difference, Field, Finding
from harness.model.observations import Origin
from harness.report.plain import plural
from harness.verdicts.cause import met

ORIGINS = {
    Origin.SECCOMP: "refused by the seccomp profile",
    Origin.KERNEL: "not implemented by this kernel",
    Origin.DRILL: "refused by the drill",
    Origin.OTHER: "answered by the kernel, which implements the call",
    Origin.UNKNOWN: "",
}
"""Who answered a refused call, in words."""
COPED = {None: "not known whether it coped", True: "coped", False: "its process failed"}
"""What became of a program that was refused a call."""


def cause_lines(cause: Cause) -> tuple[str, ...]:
    """Return what probably broke a cell: a sentence, then the evidence."""
    sure = {None: "suspected", True: "confirmed", False: "not confirmed"}[cause.confirmed]
    since = f", a call that Linux has since {cause.since}" if cause.since else ""
    return (f"cause, {sure}: {met(cause)}{since}", *cause.evidence)


def difference_text(difference: Difference) -> str:
    """Return which field differs; of a failing call what failed in which program."""
    step = "" if difference.step is None else f", step {difference.step + 1}"
    if not difference.syscall:
        return f"{difference.field.value}{step}"
    operation = f"({difference.operation})" if difference.operation else ""
    call = f"{difference.syscall}{operation} in {difference.program}{step}"
    if not difference.after:  # nobody refuses it any more
        return call
    missing = difference.field is Field.ENOSYS
    plain = not missing and difference.origin is Origin.OTHER  # it failed as calls do
    said = [ORIGINS[difference.origin]] if difference.origin and not plain else []
    said += [COPED[difference.coped]] if missing or difference.coped is not None else []
    return ", ".join([call, *filter(None, said)])


def call_text(difference: Difference) -> str:
    """Return how a failing call is answered on both sides, in which program, by whom."""
    before, after = difference.before or "no failure", difference.after or "no failure"
    return f"{before} -> {after}: {difference_text(difference)}"


def unlike_sentences(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return what else differs between the sides, each sentence once and of how many cells."""
    counts = Counter(sentence for finding in findings for sentence in finding.unlike)
    return tuple(f"{sentence} ({plural(count, 'cell')})" for sentence, count in counts.items())


def kernels_text(finding: Finding) -> str:
    """Return which kernel was compared with which."""
    before, after = finding.before.kernel, finding.after.kernel
    return after if before == after else f"{before} → {after}"
