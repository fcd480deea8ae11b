"""A comparison as text for a terminal or a pipe."""

from __future__ import annotations

import difflib
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.findings import Comparison, Difference, Field, Finding, Kind
from harness.report.plain import clean, clean_lines, plural, shortened
from harness.report.sentences import call_text, cause_lines, unlike_sentences

_STYLES = {
    Kind.BROKEN: "1;31",
    Kind.DEGRADED: "33",
    Kind.CHANGED: "33",
    Kind.UNKNOWN: "35",
    Kind.FIXED: "32",
}
"""SGR parameters, as the matrix has them."""
_DIFF_LINES = 8
"""Lines of an output's difference; the rest stands in the cells' files."""
_SHOWN = (Kind.BROKEN, Kind.DEGRADED, Kind.CHANGED, Kind.UNKNOWN, Kind.FIXED)
_TEXTS = (Field.STDOUT, Field.STDERR)


@dataclass(frozen=True, slots=True)
class _Page:
    width: int
    colour: bool

    def painted(self, text: str, kind: Kind) -> str:
        return f"\x1b[{_STYLES[kind]}m{text}\x1b[0m" if self.colour else text

    def hanging(self, text: str, indent: int) -> str:
        """Return a text indented, and what does not fit indented further."""
        return textwrap.fill(
            text,
            self.width,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + 4),
            break_long_words=False,
            break_on_hyphens=False,
        )

    def cut(self, text: str, indent: int) -> str:
        return " " * indent + shortened(text, self.width - indent)


def render(comparison: Comparison, *, width: int, colour: bool, unicode: bool = True) -> str:
    """Return what the comparison came to: what is unlike first, then the worst findings.

    Args:
        comparison: what to show.
        width: columns of the terminal.
        colour: whether to use ANSI colours; words say everything without.
        unicode: whether the stream takes more than ASCII.
    """
    page = _Page(max(width, 40), colour)
    shared = _shared(comparison.findings)
    blocks = [
        list(_unlike(comparison.findings, page)),
        *(
            list(_finding(finding, page, shared))
            for kind in _SHOWN
            for finding in comparison.findings
            if finding.kind is kind
        ),
        list(_known(comparison.findings, page)),
        list(_noise(comparison.findings, page)),
        [
            page.hanging(clean(text), 0)
            for text in (
                *(f"{note} ({plural(number, 'cell')})" for note, number in shared.items()),
                *comparison.notes,
                *comparison.unmatched,
            )
        ],
        [_counts(comparison.findings)],
    ]
    text = "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"
    return text if unicode else text.encode("ascii", "backslashreplace").decode()


def _unlike(findings: Sequence[Finding], page: _Page) -> Iterator[str]:
    """Yield what else is not the same on both sides, each thing once."""
    sentences = unlike_sentences(findings)
    if sentences:
        yield "Not the same on both sides, besides what is compared:"
    for sentence in sentences:
        yield page.hanging(clean(sentence), 2)


def _shared(findings: Sequence[Finding]) -> dict[str, int]:
    """Return the notes that several cells have, which are said once, and of how many cells."""
    notes = Counter(note for finding in findings for note in finding.notes)
    return {note: number for note, number in notes.items() if number > 1}


def _finding(finding: Finding, page: _Page, shared: Collection[str]) -> Iterator[str]:
    yield f"{page.painted(finding.kind.value.upper(), finding.kind)}  {_where(finding)}"
    if finding.cause is not None:
        sentence, *evidence = map(clean, cause_lines(finding.cause))
        yield page.hanging(sentence, 2)
        yield from (page.hanging(line, 6) for line in evidence)
    if finding.kind is not Kind.UNKNOWN:
        for difference in _sorted(finding):
            yield from _difference(difference, page)
    for note in finding.notes:
        if note not in shared:
            yield page.hanging(clean(note), 2)


def _where(finding: Finding) -> str:
    return f"{clean(finding.image)}, {clean(finding.scenario)} on {clean(finding.after.kernel)}"


def _sorted(finding: Finding) -> list[Difference]:
    """Return the differences to show: of a failure, what no longer fails is a consequence."""
    broken = finding.kind is Kind.BROKEN
    calls = (Field.ENOSYS, Field.ERRNO)
    return [
        one for one in finding.differences if not (broken and one.field in calls and not one.after)
    ]


def _difference(one: Difference, page: _Page) -> Iterator[str]:
    if one.field in (Field.ENOSYS, Field.ERRNO):
        yield page.hanging(clean(call_text(one)), 2)
    elif one.field in _TEXTS:
        yield f"  {_place(one)}:"
        yield from (page.cut(line, 6) for line in _changed_lines(one))
    elif one.field is Field.MESSAGES:
        sign, text = ("+", one.after) if one.after else ("-", one.before)
        yield page.hanging(f"kernel message: {sign} {clean(text)}", 2)
    else:
        before, after = clean(one.before) or "none", clean(one.after) or "none"
        yield page.hanging(f"{_place(one)}: {before} -> {after}", 2)


def _place(one: Difference) -> str:
    return one.field.value if one.step is None else f"{one.field.value} of step {one.step + 1}"


def _changed_lines(one: Difference) -> Iterator[str]:
    before, after = (clean_lines(text) if text else [] for text in (one.before, one.after))
    lines = difflib.unified_diff(before, after, n=0, lineterm="")
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    yield from changed[:_DIFF_LINES]
    if len(changed) > _DIFF_LINES:
        yield f"... and {plural(len(changed) - _DIFF_LINES, 'line')} more"


def _known(findings: Iterable[Finding], page: _Page) -> Iterator[str]:
    """Yield the known differences that occurred, and those that did not."""
    for finding in findings:
        where = _where(finding)
        for reason in dict.fromkeys(one.known for one in finding.known):
            fields = dict.fromkeys(
                one.syscall or one.field.value for one in finding.known if one.known == reason
            )
            yield page.hanging(f"known: {where}: {', '.join(fields)}: {clean(reason)}", 0)
        for reason in finding.stale:
            yield page.hanging(f"known difference is stale: {where}: {clean(reason)}", 0)


def _noise(findings: Iterable[Finding], page: _Page) -> Iterator[str]:
    for finding in findings:
        if finding.noise:
            what = ", ".join(dict.fromkeys(one.syscall or _place(one) for one in finding.noise))
            where = _where(finding)
            yield page.hanging(f"noise, not the same in every run: {where}: {what}", 0)


def _counts(findings: Sequence[Finding]) -> str:
    kinds = {kind: sum(one.kind is kind for one in findings) for kind in Kind}
    said = ", ".join(f"{number} {kind.value}" for kind, number in kinds.items() if number)
    return f"{plural(len(findings), 'cell')} compared{': ' if said else ''}{said}"
