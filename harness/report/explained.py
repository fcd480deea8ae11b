"""An explanation in plain words: the one text that every report shows of why a cell is as it is.

What is of unknown origin in it is not yet made safe to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from harness.explanations import Certainty, Explanation, NamedCause, Refusal
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
_CASES = 3
"""Known cases that are told whole; of more, their names."""


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
    reason = _sentence(explanation.reason)
    yield f"{what.get(explanation.verdict, 'It failed')}: {reason}"
    if explanation.verdict is Verdict.DIED:
        yield "That is never the image's fault by itself."
    if explanation.asks:
        yield f"Found in the image: {_sentence(explanation.asks)}"
    end = explanation.first
    if end is not None:
        where = f" ({end.path})" if end.path else ""
        yield f"{end.program}{where} failed: it {_how(end)}."


def _suspected(explanation: Explanation) -> Iterator[str]:
    cause = explanation.cause
    if cause is None:
        return
    yield f"{met(cause)}; {_answer(explanation, cause)}."
    if cause.confirmed is None:
        near = (
            "the last call that failed in that process"
            if explanation.last
            else ("refused in the process that failed, though other calls failed after it")
        )
        yield f"That is suspected to be why, not proven: it is {near}."
        return
    tried = next(reversed(cause.evidence), "")
    word = "Confirmed" if cause.confirmed else "Suspected at first, and not confirmed"
    yield f"{word}: {_sentence(tried)}"


def _answer(explanation: Explanation, call: Cause | Refusal) -> str:
    """Return who answered a call, and since when Linux and this kernel have it."""
    has = call.implemented if isinstance(call, Refusal) else explanation.implemented
    since = f"Linux has it since {call.since} (syscalls(2))" if call.since else ""
    older = _older(explanation.release, call.since)
    match call.origin:
        case Origin.SECCOMP:
            said = "the seccomp profile refused it before it reached the kernel"
            have = {True: ", which has the call", False: ", which lacks it as well", None: ""}[has]
            return "; ".join(filter(None, (said + have, since)))
        case Origin.KERNEL:
            said = f"this kernel ({explanation.release}) lacks it"
            if since and older is False:
                return f"{said} though {since}: it was built without, or its vendor removed it"
            return "; ".join(filter(None, (said, since)))
        case Origin.DRILL:
            return "; ".join(filter(None, ("the drill refused it", since)))
        case Origin.OTHER if call.errno == ENOSYS:
            said = f"this kernel ({explanation.release}) has the call, but not what was asked of it"
            if older:
                return f"{said}; {since}, so its vendor backported it"
            return "; ".join(filter(None, (said, since)))
        case Origin.OTHER:
            return "the kernel, which has the call, answered so"
        case _:
            return "; ".join(filter(None, ("who answered was not recorded", since)))


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
    return (
        f"Known case {one.name}{certain}: {one.text} What usually helps: {one.help} "
        f"See {', '.join(one.references)}."
    )


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
    grouped: dict[tuple[str, str, Origin], list[Refusal]] = {}
    for one in refusals:
        grouped.setdefault((one.syscall, one.errno, one.origin), []).append(one)
    said = []
    for (syscall, errno, _), same in grouped.items():
        programs = ", ".join(dict.fromkeys(one.program for one in same))
        said.append(f"{errno} for {syscall} in {programs} ({_answer(explanation, same[0])})")
    return "; ".join(said)


def _doubts(explanation: Explanation) -> Iterator[str]:
    if explanation.drill:
        yield f"This was a drill, no evidence about a real kernel: {_sentence(explanation.drill)}"
    if explanation.doubts:
        yield f"Not recorded, so that something may be missing: {'; '.join(explanation.doubts)}."


def _how(end: ProcessEnd) -> str:
    return f"was killed by SIG{end.signal}" if end.signal else f"ended with status {end.exit}"


def _sentence(text: str) -> str:
    """Return a text's first line, ended by a full stop."""
    line = text.strip().splitlines()[0].removesuffix("; output:") if text.strip() else "no reason"
    return line if line.endswith((".", "!", "?")) else f"{line}."
