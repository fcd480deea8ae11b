"""An explanation in plain words: the one text that every report shows of why a cell is as it is.

What is of unknown origin in it is not yet made safe to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from harness.explanations import Certainty, Explanation, NamedCause, Refusal, Tie
from harness.findings import Cause
from harness.model.observations import Origin, ProcessEnd, Verdict
from harness.verdicts.cause import met
from harness.verdicts.enosys import ENOSYS
from harness.verdicts.explanation import TELLING

_NEVER_RAN = (Verdict.UNSUPPORTED, Verdict.UNAVAILABLE, Verdict.SKIPPED)
_CERTAIN = {
    Certainty.CONFIRMED: "confirmed",
    Certainty.STATED: "it is said outright",
    Certainty.SUSPECTED: "suspected",
}
_ANNOUNCED = re.compile(r"; (output|stdout|stderr)( \([^)]*\))?$")
_TIES = {
    Tie.LAST: "it is the last call that failed in that process",
    Tie.EARLIER: "it was refused in that process, though other calls failed after it",
    Tie.KNOWN: "what the step printed is known to come of that",
    Tie.NAMED: "what the step printed, or was to print, names that call",
    Tie.TOLD: "what the step printed tells of that error, and no other call was answered so",
    Tie.NEW: "it does not fail where the cell passes, but the process that met it did not fail",
}
_UNBUILT = ", so it was built without it, or its vendor took it out"
_BACKPORTED = ", so its vendor backported it"
_CASES = 3
"""Known cases that are told whole; of more, their names."""
_PROGRAMS = 4
"""Programs that are named of a refused call."""


def sentences(explanation: Explanation) -> tuple[str, ...]:
    """Return what is known of a cell, as sentences that make a paragraph.

    What a run confirmed, what a program or the kernel said itself, and what is merely suspected
    are worded apart; where nothing is known, that is said.
    """
    if explanation.verdict in _NEVER_RAN:
        return (f"It did not run: {_sentence(explanation.reason)}",)
    if explanation.verdict is Verdict.PASSED:
        return (*_passed(explanation), *_doubts(explanation))
    return (
        *_failed(explanation),
        *_suspected(explanation),
        *_cases(explanation, TELLING),
        *_unexplained(explanation),
        *_also(explanation),
        *_doubts(explanation),
    )


def paragraph(explanation: Explanation) -> str:
    """Return the sentences as one paragraph."""
    return " ".join(sentences(explanation))


# --- a cell that passed -----------------------------------------------------------------


def _passed(explanation: Explanation) -> Iterator[str]:
    if not explanation.refusals:
        yield "It passed, and no system call was refused."
        return
    yield "It passed."
    yield from _by_coping(explanation, explanation.refusals)
    yield from _cases(explanation, tuple(Certainty))


# --- a cell that did not ----------------------------------------------------------------


def _failed(explanation: Explanation) -> Iterator[str]:
    what = {Verdict.DIED: "The guest was lost", Verdict.TIMED_OUT: "It did not end in time"}
    reason = explanation.reason
    if explanation.differs:
        reason = f"{first_line(reason)} ({'  '.join(explanation.differs)})"
    yield f"{what.get(explanation.verdict, 'It failed')}: {_sentence(reason)}"
    if explanation.verdict is Verdict.DIED:
        yield "That is never the image's fault by itself."
    if explanation.asks:
        yield f"Found in the image: {_sentence(explanation.asks)}"
    end = explanation.first
    if end is not None and explanation.verdict is not Verdict.DIED:
        where = f" ({end.path})" if end.path else ""
        yield f"{end.program}{where} failed: it {_how(end)}."


def _suspected(explanation: Explanation) -> Iterator[str]:
    cause = explanation.cause
    if cause is None:
        return
    yield f"{met(cause)}; {_answer(explanation, cause)}."
    if cause.confirmed is None:
        tie = f": {_TIES[explanation.tie]}" if explanation.tie else ""
        yield f"That is suspected to be why, not proven{tie}."
        return
    tried = next(reversed(cause.evidence), "")
    word = "Confirmed" if cause.confirmed else "Suspected at first, and not confirmed"
    yield f"{word}: {_sentence(tried)}"


def _answer(explanation: Explanation, cause: Cause) -> str:
    """Return who answered a call, and since when Linux and this kernel have it."""
    has = explanation.implemented
    since = f"Linux has it since {cause.since} (syscalls(2))" if cause.since else ""
    older = _older(explanation.release, cause.since)
    match cause.origin:
        case Origin.SECCOMP:
            has_it = {True: ", which has it", False: ", which lacks it as well", None: ""}[has]
            said = f"the seccomp profile refused it before it reached the kernel{has_it}"
        case Origin.KERNEL:
            said = f"this kernel ({explanation.release}) lacks it"
            since += _UNBUILT if older is False else ""
        case Origin.OTHER if cause.errno == ENOSYS:
            said = f"this kernel ({explanation.release}) has the call, but not what was asked of it"
            since += _BACKPORTED if older else ""
        case Origin.DRILL:
            said = "the drill refused it"
        case Origin.OTHER:
            return "the kernel, which has the call, answered so"
        case _:
            said = "who answered was not recorded"
    return "; ".join(filter(None, (said, since)))


def _older(release: str, since: str) -> bool | None:
    """Tell whether a kernel's own version is older than a call's; None: not known."""
    numbers = [re.findall(r"\d+", text)[:2] for text in (release, since)]
    if any(len(found) < 2 for found in numbers):
        return None
    running, needed = (tuple(map(int, found)) for found in numbers)
    return running < needed


def _unexplained(explanation: Explanation) -> Iterator[str]:
    if explanation.asks or any(one.certainty in TELLING for one in explanation.causes):
        return
    if explanation.cause is not None:
        yield "No known case fits."
        return
    if explanation.verdict is Verdict.DIED:
        yield "Why is not known."
        return
    yield (
        "Why is not known: no call was refused in what failed, beyond those that programs cope "
        "with, and no known case fits."
    )


def _also(explanation: Explanation) -> Iterator[str]:
    others = _cases_of(explanation, (Certainty.UNCLEAR,))
    if others:
        names = ", ".join(one.name for one in others)
        yield f"Seen as well, without a tie to the failure: {names}."
    yield from _by_coping(explanation, explanation.refusals)


# --- both -------------------------------------------------------------------------------


def _cases(explanation: Explanation, certain: tuple[Certainty, ...]) -> Iterator[str]:
    found = _cases_of(explanation, certain)
    for one in found[:_CASES]:
        yield _case(one, explanation.cause)
    if len(found) > _CASES:
        yield f"Known cases besides: {', '.join(one.name for one in found[_CASES:])}."


def _cases_of(explanation: Explanation, certain: tuple[Certainty, ...]) -> list[NamedCause]:
    return [one for one in explanation.causes if one.certainty in certain]


def _case(one: NamedCause, cause: Cause | None) -> str:
    own = met(cause) if cause is not None else ""
    seen = [text for text in one.evidence if text != own]
    how = _CERTAIN.get(one.certainty, "")
    if how and seen:
        how = f"{how}, as {' and '.join(seen)}"
    certain = f" ({how})" if how else ""
    # Where it was coped with one page is enough.
    pages = one.references if how else one.references[:1]
    helps = one.help if one.help.startswith("Nothing") else f"What usually helps: {one.help}"
    return f"Known case {one.name}{certain}: {one.text} {helps} See {', '.join(pages)}."


def _by_coping(explanation: Explanation, refusals: Iterable[Refusal]) -> Iterator[str]:
    """Tell of refused calls, those together of which the same became."""
    for coped, begin in (
        (True, "Coped with, as the process ended with status 0 and the step as expected"),
        (False, "Refused in processes that failed, whether or not for that reason"),
        (None, "Refused, and not known whether the program coped"),
    ):
        found = [one for one in refusals if one.coped is coped]
        if found:
            yield f"{begin}: {_listed(explanation, found)}."


def _listed(explanation: Explanation, refusals: Iterable[Refusal]) -> str:
    """Return refused calls by who answered; of each the Linux that has it, and the programs."""
    grouped: dict[str, dict[str, list[str]]] = {}
    for one in refusals:
        since = f" (in Linux since {one.since})" if one.since else ""
        programs = grouped.setdefault(_answered(explanation, one), {})
        programs.setdefault(f"{one.syscall}{since}", []).append(one.program)
    return "; ".join(
        f"{who} {', '.join(f'{call} in {_programs(names)}' for call, names in calls.items())}"
        for who, calls in grouped.items()
    )


def _answered(explanation: Explanation, one: Refusal) -> str:
    older = _older(explanation.release, one.since)
    match one.origin:
        case Origin.SECCOMP:
            well = ", as this kernel would," if one.implemented is False else ""
            return f"the seccomp profile answers {one.errno}{well} to"
        case Origin.KERNEL:
            return "this kernel lacks" + (", though not older," if older is False else "")
        case Origin.DRILL:
            return "the drill refuses"
        case Origin.OTHER:
            backport = " by its vendor's backport" if older else ""
            return f"with the call in this kernel{backport}, {one.errno} to what was asked of"
        case _:
            return f"{one.errno}, not recorded from whom, for"


def _programs(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    more = len(names) - _PROGRAMS
    return ", ".join(names[:_PROGRAMS]) + (f" and {more} more" if more > 0 else "")


def _doubts(explanation: Explanation) -> Iterator[str]:
    if explanation.drill:
        yield f"This was a drill, no evidence about a real kernel: {_sentence(explanation.drill)}"
    if explanation.doubts:
        yield f"To be borne in mind: {'; '.join(explanation.doubts)}."


def _how(end: ProcessEnd) -> str:
    return f"was killed by SIG{end.signal}" if end.signal else f"ended with status {end.exit}"


def _sentence(text: str) -> str:
    """Return a text's first line, ended by a full stop."""
    first = first_line(text)
    return first if first.endswith((".", "!", "?")) else f"{first}."


def first_line(text: str) -> str:
    """Return a text's first line, without the announcement of an output that follows it."""
    if not text.strip():
        return "no reason was recorded"
    return _ANNOUNCED.sub("", text.strip().splitlines()[0].rstrip(":"))
