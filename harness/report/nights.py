"""A night against the nights before, as plain text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.findings import Finding, Kind
from harness.nights import Change, Night, Standing, Unlearnt, findings_of
from harness.report.markdown import escaped
from harness.report.plain import clean, plural
from harness.report.sentences import cause_lines, difference_text
from harness.results.timeline import Renewed

_SHOWN = 8
"""Differences of one cell that are shown; the night's JSON has all."""
_BUILD = 40
"""Characters of a kernel's release or of an image's digest that are shown."""


@dataclass(frozen=True, slots=True)
class Line:
    """A cell, what is said of it on the same line, and lines below."""

    head: str
    said: str = ""
    below: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Cells of one kind."""

    title: str
    lines: tuple[Line, ...]


def date_of(run: str) -> str:
    """Return when a run began, from its id: ``2026-11-24 20:30`` in UTC."""
    return f"{run[:4]}-{run[4:6]}-{run[6:8]} {run[9:11]}:{run[11:13]}"


def text(night: Night) -> str:
    """Return the report for a terminal, a mail or a log."""
    lines = [_title(night), *_summary(night)]
    for section in _sections(night):
        lines += ["", f"{section.title}: {len(section.lines)}"]
        for line in section.lines:
            lines.append(f"  {line.head}{f'  {line.said}' if line.said else ''}")
            lines += [f"      {below}" for below in line.below]
    return "\n".join(map(clean, lines)) + "\n"


def markdown(night: Night) -> str:
    """Return the report in GitHub-flavoured Markdown."""
    lines = [f"## {escaped(_title(night))}", "", *_list(map(escaped, _summary(night)))]
    for section in _sections(night):
        lines += ["", f"### {escaped(section.title)}: {len(section.lines)}", ""]
        for line in section.lines:
            said = f": {escaped(line.said)}" if line.said else ""
            lines.append(f"- **{escaped(line.head)}**{said}")
            lines += [f"  - {escaped(below)}" for below in line.below]
    return "\n".join(lines) + "\n"


def _list(items: Iterable[str]) -> Iterator[str]:
    return (f"- {item}" for item in items)


def _title(night: Night) -> str:
    return f"Night of {date_of(night.run)} ({night.run})"


def _summary(night: Night) -> Iterator[str]:
    if night.against:
        yield f"against the night of {date_of(night.against)} ({night.against})"
    else:
        yield "the first night that came to its end: there is nothing to compare it with"
    counts = [
        f"{sum(change.standing is standing for change in night.changes)} {standing.value}"
        for standing in Standing
    ]
    yield f"{plural(night.cells, 'cell')}: {', '.join(counts)}"
    yield from (f"newer {one.what}: {_build(one)}" for one in night.renewed)
    unlike = dict.fromkeys(one for finding in findings_of(night) for one in finding.unlike)
    yield from (f"not the same besides: {sentence}" for sentence in unlike)


def _build(renewed: Renewed) -> str:
    before, after = (build[:_BUILD] for build in (renewed.before, renewed.after))
    return f"{renewed.name}: {before} -> {after}"


def _sections(night: Night) -> Iterator[Section]:
    made = (
        *(
            Section(standing.value, tuple(map(_changed, _standing(night, standing))))
            for standing in Standing
        ),
        *(Section(kind.value, tuple(map(_differing, _kind(night, kind)))) for kind in _KINDS),
        Section("guest lost: nothing was learnt", _unlearnt(night.lost)),
        Section("unavailable", _unlearnt(night.unavailable)),
        Section("compared by their verdict alone", _unlearnt(night.uncompared)),
        Section("not run this time", tuple(map(Line, night.absent))),
    )
    return (section for section in made if section.lines)


_KINDS = (Kind.DEGRADED, Kind.CHANGED)


def _standing(night: Night, standing: Standing) -> Iterator[Change]:
    return (change for change in night.changes if change.standing is standing)


def _kind(night: Night, kind: Kind) -> Iterator[Finding]:
    return (finding for finding in night.differences if finding.kind is kind)


def _changed(change: Change) -> Line:
    said = {
        Standing.NEW: change.kind,
        Standing.STILL: f"{change.kind}, still broken since {date_of(change.since)}",
        Standing.GONE: f"{change.kind}, was broken since {date_of(change.since)}",
        Standing.FLAPS: change.kind,
    }[change.standing]
    below = []
    if change.reason:
        below.append(change.reason)
    if change.turns:
        below.append(f"flaps: changed on {', '.join(map(date_of, change.turns))}")
    if change.standing is Standing.NEW and change.finding and change.finding.cause:
        below += cause_lines(change.finding.cause)
    return Line(change.cell, said, tuple(below))


def _differing(finding: Finding) -> Line:
    shown = [difference_text(one) for one in finding.differences[:_SHOWN]]
    more = len(finding.differences) - len(shown)
    return Line(finding.after.cell, below=(*shown, *([f"and {more} more"] if more else ())))


def _unlearnt(cells: Sequence[Unlearnt]) -> tuple[Line, ...]:
    return tuple(Line(each.cell, below=(each.reason,) if each.reason else ()) for each in cells)
