"""The report in GitHub-flavoured Markdown, for CI's step summaries and comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from harness.findings import Finding, Kind
from harness.report.contents import Report, ended
from harness.report.explained import paragraph
from harness.report.looks import KINDS, LOOKS, NOT_RUN, Tone, brief, tone
from harness.report.matrix import Cell, note_text
from harness.report.plain import clean, listed, plural, shortened
from harness.report.sentences import cause_lines, difference_text, kernels_text, unlike_sentences
from harness.verdicts.enosys import NewEnosys, coped_text, describe

_WIDTH = 300
"""Characters of a text of unknown length that are shown."""
_PARAGRAPH = 3000
"""Characters of an explanation that are shown."""
_DIFFERENCES = 4
"""Differences of one cell that are named."""
# What begins or ends a construct of Markdown inside a line, or a cell of a table.
_ACTIVE = re.compile(r"([\\`*_\[\]<>|~&$#])")


def render(report: Report) -> str:
    """Return the summary: what differs, what failed, the matrix, ENOSYS, notes."""
    blocks = (
        _head(report),
        _findings(report),
        _failed(report),
        _matrix(report),
        _enosys(report.matrix.enosys),
        _notes(report),
    )
    return "\n\n".join("\n".join(lines) for block in blocks if (lines := list(block))) + "\n"


def escaped(text: str, width: int = _WIDTH) -> str:
    r"""Return text of unknown origin as Markdown that shows it: on one line, nothing active.

    It may stand in a table's cell: GFM takes ``\|`` for a bar there.
    """
    return _ACTIVE.sub(r"\\\1", shortened(clean(text), width))


def _head(report: Report) -> Iterator[str]:
    matrix, meta = report.matrix, report.run.meta
    kinds = {cell.kind: LOOKS[cell.rule.verdict].symbol for cell in matrix.cells}
    counted = ", ".join(f"{kinds[kind]} {count} {kind}" for kind, count in matrix.counts.items())
    yield f"## Kernels: {plural(len(matrix.cells), 'cell')}"
    yield ""
    yield counted or "No cell was recorded."
    yield ""
    facts = [f"run {meta.id}", meta.accelerator.upper(), meta.harness and f"harness {meta.harness}"]
    yield escaped(", ".join(filter(None, facts)))
    if not ended(meta):
        yield ""
        yield "**This run did not come to its end: cells may be missing.**"


# --- what differs and what failed -------------------------------------------------------


def _findings(report: Report) -> Iterator[str]:
    if report.comparison is None:
        return
    found = [finding for finding in report.comparison.findings if finding.kind is not Kind.SAME]
    yield f"### Compared: {escaped(report.comparison.title)}"
    yield ""
    unlike = unlike_sentences(report.comparison.findings)
    if unlike:
        yield from (f"- {escaped(sentence)}" for sentence in unlike)
        yield ""
    same = len(report.comparison.findings) - len(found)
    if found:
        ordered = sorted(found, key=lambda finding: list(Kind).index(finding.kind))
        rows = [
            (
                f"{KINDS[finding.kind].symbol} {finding.kind.value}",
                escaped(finding.image),
                escaped(finding.scenario),
                escaped(kernels_text(finding)),
                escaped(_why(finding)),
            )
            for finding in ordered
        ]
        yield from table(("class", "image", "scenario", "kernels", "what"), rows)
        yield ""
    yield f"{plural(same, 'cell')} the same."
    sentences = [*report.comparison.notes, *report.comparison.unmatched]
    if sentences:
        yield ""
        yield from (f"- {escaped(sentence)}" for sentence in sentences)


def _why(finding: Finding) -> str:
    if finding.cause is not None:
        return cause_lines(finding.cause)[0]
    said = [*map(difference_text, finding.differences[:_DIFFERENCES]), *finding.notes]
    more = len(finding.differences) - _DIFFERENCES
    return "; ".join([*said, *([f"{more} more"] if more > 0 else [])])


def _failed(report: Report) -> Iterator[str]:
    columns = [column.kernel for column in report.matrix.columns]
    bad = [
        (row, kernel, cell)
        for row in report.matrix.rows
        for kernel, cell in zip(columns, row.cells, strict=True)
        if cell is not None and tone(cell.outcome) is Tone.FAILED
    ]
    if not bad:
        return
    yield "### Failed"
    yield ""
    for row, kernel, cell in bad:
        where = escaped(f"{row.key.image}, {row.label} on {kernel}")
        reason = f": {escaped(cell.reason)}" if cell.reason else ""
        yield f"- {_words(cell)}: **{where}**{reason}"
        if cell.id in report.explanations:
            yield f"  - {escaped(paragraph(report.explanations[cell.id]), _PARAGRAPH)}"


# --- the matrix and what stands beneath -------------------------------------------------


def _matrix(report: Report) -> Iterator[str]:
    matrix = report.matrix
    if not matrix.rows:
        return
    yield "### Matrix"
    yield ""
    columns = [
        f"{escaped(column.kernel)}<br>{escaped(column.release)}"
        if column.release
        else escaped(column.kernel)
        for column in matrix.columns
    ]
    rows = [
        (escaped(row.key.image), escaped(row.label), *map(_words, row.cells)) for row in matrix.rows
    ]
    yield from table(("image", "scenario", *columns), rows)
    if any(outcome.enosys for outcome in matrix.cells):
        yield ""
        yield "+N: N different ENOSYS (by system call, program and origin)"


def _words(cell: Cell | None) -> str:
    if cell is None:
        return NOT_RUN.symbol
    return f"{LOOKS[cell.outcome.rule.verdict].symbol} {brief(cell.outcome)}"


def _enosys(found: Sequence[NewEnosys]) -> Iterator[str]:
    """One line for each call, however many rows met it the same way."""
    if not found:
        return
    rows: dict[tuple[str, ...], list[str]] = {}
    for new in found:
        item = new.enosys
        line = (
            describe(item),
            item.program,
            listed(new.kernels),
            f"{item.origin.value}{f' ({item.remark})' if item.remark else ''}",
            coped_text(new),
        )
        rows.setdefault(line, []).append(f"{new.row.image}, {new.row.scenario}")
    yield "### ENOSYS"
    yield ""
    yield from table(
        ("system call", "program", "on", "from", "program afterwards", "in"),
        [
            (*map(escaped, line), escaped("; ".join(dict.fromkeys(where))))
            for line, where in rows.items()
        ],
    )


def _notes(report: Report) -> Iterator[str]:
    problems = [problem.text for problem in report.run.problems]
    if not report.matrix.notes and not problems:
        return
    yield "### Notes"
    yield ""
    for note in report.matrix.notes:
        yield f"- {escaped(note_text(note))}"
    yield from (f"- {escaped(f'not read: {problem}')}" for problem in problems)


def table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a table whose cells are Markdown already."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
