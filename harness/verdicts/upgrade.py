"""What an upgrade means for an image: one answer from all its findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from harness.findings import Difference, Field, Finding, Kind
from harness.verdicts.enosys import ENOSYS

NOT_MODELLED = (
    "SELinux and AppArmor",
    "the overlay on xfs that engines use (an image is on ext4 here)",
    "networks beyond loopback",
    "devices",
    "load",
)
"""What a guest does not have of the real host, so that no answer holds for it."""


class Answer(StrEnum):
    """The answer for one image."""

    BROKEN = "BROKEN"
    """A scenario that works before does not work after."""
    CHANGED = "CHANGED"
    """All works, and something else differs than which calls are refused."""
    UNKNOWN = "UNKNOWN"
    """A scenario fails on both sides, or nothing was exercised."""
    FALLBACKS = "SAFE WITH FALLBACKS"
    """All works; calls fail that did not, and the programs get by."""
    SAFE = "SAFE"


class Status(IntEnum):
    """Exit statuses, of which the first that applies is taken."""

    COULD_NOT_RUN = 2
    BROKEN = 1
    CHANGED = 4
    UNKNOWN = 3
    SAFE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """An image's answer and what it rests on."""

    image: str
    answer: Answer
    findings: tuple[Finding, ...] = ()
    not_exercised: tuple[str, ...] = ()
    """One sentence each."""
    could_not_run: tuple[str, ...] = ()
    """Why cells could not be run at all: kernel or image cannot be had."""


def advise(
    image: str,
    findings: Sequence[Finding],
    *,
    not_exercised: Iterable[str] = (),
    could_not_run: Iterable[str] = (),
) -> Advice:
    """Return the answer for an image: the worst that its findings say."""
    answers = {answer_of(finding) for finding in findings} or {Answer.UNKNOWN}
    return Advice(
        image=image,
        answer=next(answer for answer in Answer if answer in answers),
        findings=tuple(findings),
        not_exercised=tuple(not_exercised),
        could_not_run=tuple(could_not_run),
    )


def answer_of(finding: Finding) -> Answer:
    """Return what a single finding means."""
    match finding.kind:
        case Kind.BROKEN:
            return Answer.BROKEN
        case Kind.UNKNOWN:
            return Answer.UNKNOWN
        case Kind.FIXED | Kind.SAME:
            return Answer.SAFE
    if any(not is_refusal(one) for one in finding.differences):
        return Answer.CHANGED
    return Answer.FALLBACKS if any(one.after for one in finding.differences) else Answer.SAFE


def is_refusal(difference: Difference) -> bool:
    """Tell whether it is a call that fails now, or one that is no longer missing."""
    if difference.field is Field.ENOSYS and not difference.after:
        return difference.before == ENOSYS
    return difference.field in (Field.ENOSYS, Field.ERRNO) and bool(difference.after)


def exit_status(advices: Iterable[Advice], *, fail_on_changed: bool) -> Status:
    """Return the command's exit status for all images."""
    advices = tuple(advices)
    answers = {advice.answer for advice in advices}
    if any(advice.could_not_run for advice in advices):
        return Status.COULD_NOT_RUN
    if Answer.BROKEN in answers:
        return Status.BROKEN
    if Answer.CHANGED in answers and fail_on_changed:
        return Status.CHANGED
    return Status.UNKNOWN if Answer.UNKNOWN in answers else Status.SAFE
