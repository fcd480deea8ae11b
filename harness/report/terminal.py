"""The matrix as text for a terminal or a pipe.

What an observation says is of unknown origin: it passes through :mod:`harness.report.plain`
and is never read as rich's markup.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.report.failure import failure_text as failure_text
from harness.report.looks import LOOKS, NOT_RUN, Tone, brief, tone
from harness.report.matrix import Cell, Column, Matrix, Row, note_text
from harness.report.plain import clean, listed, plural
from harness.verdicts.enosys import NewEnosys, RowKey, coped_text, describe
from harness.verdicts.outcome import Outcome

_GAP = 2
_NARROWEST = 40
_LABEL = 34
"""Widest a column of names becomes; longer ones are folded."""
_LABEL_NARROW = 18
"""What names are folded to before kernels go to a table below."""
_RELEASE = 13
_RELEASE_LONG = 25
"""Room for a kernel's release under its name; a longer one is folded."""


_STYLES = {
    Tone.PASSED: "green",
    Tone.ENOSYS: "yellow",
    Tone.KNOWN: "yellow",
    Tone.FAILED: "bold red",
    Tone.UNAVAILABLE: "bold magenta",
    Tone.ASIDE: "cyan",
}
_NOT_RUN_STYLE = "dim"


@dataclass(frozen=True, slots=True)
class _Layout:
    """How wide, with which words, and whether images have a column of their own."""

    width: int
    unicode: bool
    long: bool
    grouped: bool


def render(matrix: Matrix, *, width: int, colour: bool, unicode: bool = True) -> str:
    """Return the matrix, its legend, the new ENOSYS and the notes.

    Args:
        matrix: what to show.
        width: columns of the terminal; kernels that do not fit go to a table below.
        colour: whether to use ANSI colours; words and symbols say everything without.
        unicode: whether the stream takes more than ASCII; else symbols are ASCII.
    """
    width = max(width, _NARROWEST)
    out = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    with out.capture() as captured:
        if matrix.rows:
            layout = _tables(out, matrix, width, unicode)
            _legend(out, matrix, layout)
            _enosys(out, matrix.enosys)
        _notes(out, matrix)
    lines = [line.rstrip() for line in captured.get().split("\n")]
    text = "\n".join(lines).strip("\n") + "\n"
    return text if unicode else text.encode("ascii", "backslashreplace").decode()


# --- the tables -------------------------------------------------------------------------


def _tables(out: Console, matrix: Matrix, width: int, unicode: bool) -> _Layout:
    layout, per_table = _layout(matrix, width, unicode)
    for start in range(0, len(matrix.columns), per_table):
        chosen = range(start, min(start + per_table, len(matrix.columns)))
        out.print("\n" if start else "", end="")
        out.print(_table(matrix, layout, chosen))
    return layout


def _layout(matrix: Matrix, width: int, unicode: bool) -> tuple[_Layout, int]:
    """Return the roomiest layout that has all kernels side by side, else how many fit."""
    for long, grouped in ((True, False), (False, False), (True, True), (False, True)):
        layout = _Layout(width, unicode, long, grouped)
        room = width - _names_width(matrix, grouped)
        needed = sum(_column_width(matrix, layout, n) for n in range(len(matrix.columns)))
        if needed <= room:
            return layout, len(matrix.columns)
    if needed <= width - _LABEL_NARROW:  # folding long names beats a second table
        return layout, len(matrix.columns)
    widest = max(_column_width(matrix, layout, n) for n in range(len(matrix.columns)))
    return layout, max(room // widest, 1)


def _names_width(matrix: Matrix, grouped: bool) -> int:
    images = max(cell_len(clean(row.key.image)) for row in matrix.rows)
    scenarios = max(cell_len(clean(row.label)) for row in matrix.rows)
    if grouped:
        return min(max(images, scenarios + 2), _LABEL) + _GAP
    return min(images, _LABEL) + min(scenarios, _LABEL) + 2 * _GAP


def _column_width(matrix: Matrix, layout: _Layout, number: int) -> int:
    column = matrix.columns[number]
    name = cell_len(clean(column.kernel))
    release = min(cell_len(clean(column.release)), _RELEASE_LONG if layout.long else _RELEASE)
    cells = (cell_len(_words(row.cells[number], layout)) for row in matrix.rows)
    return max(name, release, *cells) + _GAP


def _table(matrix: Matrix, layout: _Layout, chosen: Sequence[int]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD if layout.unicode else box.ASCII2,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),  # the box adds one
        header_style="bold",
    )
    if not layout.grouped:
        table.add_column("image", max_width=_LABEL + _GAP, overflow="fold")
    table.add_column(
        "image, scenario" if layout.grouped else "scenario",
        max_width=_LABEL + _GAP,
        overflow="fold",
    )
    widths = {number: _column_width(matrix, layout, number) - _GAP for number in chosen}
    headings = {n: _heading(matrix.columns[n], width) for n, width in widths.items()}
    height = max(len(lines) for lines in headings.values())
    for number, width in widths.items():
        # Names stand on one line: rich would let short headings sink to the bottom.
        lines = headings[number] + [""] * (height - len(headings[number]))
        heading = Text(lines[0]).append("\n".join(["", *lines[1:]]), style="not bold dim")
        table.add_column(heading, width=width, overflow="fold")
    for image, group in groupby(matrix.rows, key=lambda row: row.key.image):
        _add_rows(table, layout, clean(image), tuple(group), chosen)
    return table


def _add_rows(
    table: Table, layout: _Layout, image: str, rows: Sequence[Row], chosen: Sequence[int]
) -> None:
    if layout.grouped:
        table.add_row(Text(image, style="bold"))
    for number, row in enumerate(rows):
        cells = [_shown(row.cells[column], layout) for column in chosen]
        label = clean(row.label)
        if layout.grouped:
            table.add_row(Padding(Text(label), (0, 0, 0, 2)), *cells)
        else:
            table.add_row(Text("" if number else image, style="bold"), Text(label), *cells)


def _heading(column: Column, width: int) -> list[str]:
    return [clean(column.kernel), *_folded(clean(column.release), width)]


def _folded(text: str, width: int) -> list[str]:
    """Break a kernel release into lines of ``width``, after its dashes, dots and pluses."""
    lines: list[str] = []
    rest = text
    while len(rest) > width:
        breaks = [place for place in range(1, width + 1) if rest[place - 1] in "-.+_"]
        place = breaks[-1] if breaks else width
        lines.append(rest[:place])
        rest = rest[place:]
    return [*lines, rest] if rest else lines


def _words(cell: Cell | None, layout: _Layout) -> str:
    if cell is None:
        return NOT_RUN.symbol if layout.unicode else NOT_RUN.ascii
    look = LOOKS[cell.outcome.rule.verdict]
    symbol = look.symbol if layout.unicode else look.ascii
    return f"{symbol} {cell.outcome.text if layout.long else brief(cell.outcome)}"


def _shown(cell: Cell | None, layout: _Layout) -> Text:
    style = _NOT_RUN_STYLE if cell is None else _style(cell.outcome)
    return Text(_words(cell, layout), style=style)


def _style(outcome: Outcome) -> str:
    return _STYLES[tone(outcome)]


# --- what stands beneath ----------------------------------------------------------------


def _legend(out: Console, matrix: Matrix, layout: _Layout) -> None:
    kinds = {cell.kind: cell for cell in reversed(matrix.cells)}
    line = Text(f"{plural(len(matrix.cells), 'cell')}:")
    out.print()
    for number, (kind, count) in enumerate(matrix.counts.items(), 1):
        look = LOOKS[kinds[kind].rule.verdict]
        comma = "," if number < len(matrix.counts) else ""
        part = f"{look.symbol if layout.unicode else look.ascii} {count} {kind}"
        if line.cell_len + len(part) + 2 > out.width:
            out.print(line)
            line = Text(" ")
        line.append(" ").append(part, _style(kinds[kind])).append(comma)
    out.print(line)
    meanings = []
    if not layout.long and any(cell.enosys for cell in matrix.cells):
        meanings.append("+N: N different ENOSYS (by system call, program and origin)")
    if any(cell is None for row in matrix.rows for cell in row.cells):
        meanings.append(f"{NOT_RUN.symbol if layout.unicode else NOT_RUN.ascii}: not run")
    if meanings:
        out.print(Text("; ".join(meanings), style="dim"))


def _enosys(out: Console, found: Sequence[NewEnosys]) -> None:
    """One line each, beneath the rows they are of; rows with the same ones share them."""
    rows: dict[RowKey, list[NewEnosys]] = {}
    for new in found:
        rows.setdefault(new.row, []).append(new)
    shared: dict[tuple[str, ...], list[RowKey]] = {}
    for key, items in rows.items():
        shared.setdefault(tuple(_enosys_line(item) for item in items), []).append(key)
    for lines, keys in shared.items():
        out.print()
        out.print(Text("; ".join(f"{clean(key.image)}, {clean(key.scenario)}" for key in keys)))
        for line in lines:
            out.print(_hanging(line, out.width), soft_wrap=True)


def _enosys_line(new: NewEnosys) -> str:
    item = new.enosys
    parts = (
        "ENOSYS",
        clean(describe(item)),
        clean(item.program),
        f"on {listed(new.kernels)}",
        f"from {item.origin.value}{f' ({clean(item.remark)})' if item.remark else ''}",
        coped_text(new),
    )
    return "  ".join(parts)


def _hanging(line: str, width: int) -> str:
    """Indent by two, and what does not fit by six; a long word is left whole."""
    return textwrap.fill(
        line,
        width,
        initial_indent="  ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _notes(out: Console, matrix: Matrix) -> None:
    if not matrix.notes and not matrix.accelerator:
        return
    out.print()
    for note in matrix.notes:
        out.print(_hanging(clean(note_text(note)), out.width), soft_wrap=True)
    if matrix.accelerator:
        out.print(_hanging(clean(matrix.accelerator), out.width), soft_wrap=True)
