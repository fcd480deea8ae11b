"""An upgrade's answers as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.findings import Difference, Field, Finding, Kind
from harness.report.plain import clean, clean_lines, plural, shortened
from harness.report.sentences import call_text, cause_lines
from harness.verdicts.enosys import ENOSYS
from harness.verdicts.upgrade import NOT_MODELLED, Advice

_WIDTH = 100
"""Characters of a line of output that are shown."""
_LINES = 4
"""Lines of each side of an output that are shown."""
_NOISE = 3
"""Noisy fields that are named."""


def advice_text(title: str, releases: Mapping[str, str], advices: Sequence[Advice]) -> str:
    """Return what ``harness upgrade`` prints: each image's answer and what it rests on.

    ``releases`` are what the kernels that ran call themselves, by their names.
    """
    running = ", ".join(f"{clean(name)}: {clean(text)}" for name, text in releases.items())
    lines = [clean(title) + (f" ({running})" if running else ""), ""]
    for advice in advices:
        lines += [*_advice(advice), ""]
    lines.append(f"No answer covers what a guest does not model: {', '.join(NOT_MODELLED)}.")
    return "\n".join(lines) + "\n"


def _advice(advice: Advice) -> Iterator[str]:
    yield f"{clean(advice.image)}: {advice.answer.value}"
    for sentence in advice.could_not_run:
        yield f"  could not run: {clean(sentence)}"
    counted = Counter(note for finding in advice.findings for note in finding.notes)
    for finding in advice.findings:
        own = [note for note in finding.notes if counted[note] == 1]
        yield from (f"  {line}" for line in _finding(finding, own))
    for note, count in counted.items():
        if count > 1:
            yield f"  of {count} scenarios: {_note(note)}"
    for sentence in advice.not_exercised:
        yield f"  not exercised: {clean(sentence)}"


def _finding(finding: Finding, notes: Iterable[str]) -> Iterator[str]:
    yield f"{clean(finding.scenario)} ({clean(finding.file)}): {finding.kind.value}"
    for sentence in finding.unlike:
        yield f"  also unlike: {clean(sentence)}"
    if finding.cause is not None:
        sentence, *evidence = map(clean, cause_lines(finding.cause))
        yield f"  {sentence}"
        yield from (f"    {shortened(line, 2 * _WIDTH)}" for line in evidence)
    elif finding.kind is Kind.BROKEN:
        yield "  cause: not found: no call fails that did not"
    for difference in finding.differences:
        yield from (f"  {line}" for line in _difference(difference))
    for difference in finding.known:
        yield f"  known: {_what(difference)}: {clean(difference.known)}"
    for reason in finding.stale:
        yield f"  known, but it did not happen: {clean(reason)}"
    if finding.noise:
        names = dict.fromkeys(_what(difference) for difference in finding.noise)
        more = len(names) - _NOISE
        rest = f", and {more} more" if more > 0 else ""
        yield f"  differs from run to run on one side: {', '.join([*names][:_NOISE])}{rest}"
    for note in notes:
        yield f"  {_note(note)}"


def _note(text: str) -> str:
    return shortened(clean(text.removesuffix("; output:")), 2 * _WIDTH)


def _difference(difference: Difference) -> Iterator[str]:
    if difference.field in (Field.ENOSYS, Field.ERRNO):
        yield _refusal(difference)
        return
    what = _what(difference)
    one_line = all("\n" not in text.strip() for text in (difference.before, difference.after))
    if one_line:
        yield f"{what}: before: {_short(difference.before)}; after: {_short(difference.after)}"
        return
    yield f"{what}:"
    for mark, text in (("-", difference.before), ("+", difference.after)):
        yield from (f"  {mark} {line}" for line in _excerpt(text))


def _refusal(difference: Difference) -> str:
    if not difference.after:
        word = "no longer missing" if difference.errno == ENOSYS else "no longer fails"
    else:
        word = "fallback" if difference.coped else "fails now"
    return f"{word}: {clean(call_text(difference))}"


def _what(difference: Difference) -> str:
    if difference.syscall:
        operation = f" {clean(difference.operation)}" if difference.operation else ""
        return f"{clean(difference.program)}, {clean(difference.syscall)}{operation}"
    step = "" if difference.step is None else f" of step {difference.step + 1}"
    return f"{difference.field.value}{step}"


def _short(text: str) -> str:
    return shortened(clean(text.strip().removesuffix("; output:")), _WIDTH) or "nothing"


def _excerpt(text: str) -> Iterable[str]:
    lines = clean_lines(text) if text else []
    yield from (shortened(line, _WIDTH) for line in lines[:_LINES])
    if len(lines) > _LINES:
        yield f"... {plural(len(lines) - _LINES, 'more line')}"
    if not lines:
        yield "nothing"
