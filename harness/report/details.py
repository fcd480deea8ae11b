"""What report.html shows of single cells, as JSON that is small: bounded, nothing in it twice."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.explanations import Explanation
from harness.findings import Difference, Field, Finding, Side
from harness.model.observations import Environment, Failure, Observation, Origin, StepResult
from harness.report.contents import Report, cell_file, console_file, findings_by_cell
from harness.report.explained import paragraph
from harness.report.failure import ending, how, typed
from harness.report.looks import KINDS, LOOKS, tone
from harness.report.matrix import Cell
from harness.report.plain import clean, clean_lines
from harness.report.sentences import ORIGINS, difference_text
from harness.report.sidebyside import pairs
from harness.verdicts.cause import refused
from harness.verdicts.enosys import ENOSYS, distinct
from harness.verdicts.processes import failed_processes

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of each cell is shown; the cell's own file has all of it."""

    characters: int
    """Of an output, a command, a list of lines."""
    rows: int
    """Of a table."""


@dataclass(slots=True)
class Interned:
    """Values that are kept once and named by their place."""

    values: list[Any] = field(default_factory=list)
    _places: dict[Hashable, int] = field(default_factory=dict)

    def place(self, value: Any, key: Hashable = None) -> int:
        """Return a value's place; ``key`` stands for it where it cannot be hashed itself."""
        known = self._places.setdefault(value if key is None else key, len(self.values))
        if known == len(self.values):
            self.values.append(value)
        return known


class Details:
    """Gathers cells; :meth:`data` is what the page is given."""

    def __init__(self, report: Report, limits: Limits) -> None:
        self._report = report
        self._limits = limits
        self._texts = Interned()
        self._calls = Interned()
        self._environments = Interned()
        self._findings = findings_by_cell(report)
        self.cut = False
        """Whether anything was left out."""

    def data(self) -> Json:
        """Return all cells, in the order in which the matrix has them."""
        observations = {one.id: one for one in self._report.run.observations}
        cells = [
            self._cell(cell, observations[cell.id], column)
            for row in self._report.matrix.rows
            for column, cell in enumerate(row.cells)
            if cell is not None
        ]
        return {
            "cells": cells,
            "texts": self._texts.values,
            "calls": self._calls.values,
            "environments": self._environments.values,
        }

    def _cell(self, cell: Cell, seen: Observation, column: int) -> Json:
        outcome, look = cell.outcome, LOOKS[cell.outcome.rule.verdict]
        found = self._findings.get(seen.id)
        explanation = self._report.explanations.get(seen.id)
        failed = failed_processes(seen)
        return _slim(
            {
                "id": clean(seen.id),
                "title": clean(f"{seen.scenario} in {seen.image} on {seen.kernel}"),
                "column": column,
                "outcome": outcome.text,
                "symbol": look.symbol,
                "tone": tone(outcome),
                "reason": self._text(seen.reason),
                "why": explanation and self._text(paragraph(explanation)),
                "cases": explanation and _cases(explanation),
                "finding": found and self._finding(found),
                "steps": [self._step(*numbered) for numbered in enumerate(seen.steps, 1)],
                "calls": self._table([self._call(*pair) for pair in _by_weight(seen)]),
                "ends": self._table(
                    [
                        [clean(end.program), end.pid, how(end.exit, end.signal), end.last_failure]
                        for end in failed
                    ]
                ),
                "messages": self._text("\n".join(seen.messages)),
                "console": self._text("\n".join(seen.console)),
                "notes": self._text("\n".join(_notes(seen))),
                "environment": seen.environment and self._environment(seen.environment),
                "file": cell_file(self._report, seen.id),
                "log": console_file(self._report, seen.id),
            }
        )

    def _step(self, number: int, step: StepResult) -> Json:
        named = step.name not in ("", f"step {number}")
        memory = "" if step.peak_memory is None else f"{step.peak_memory / 2**20:.1f} MiB"
        return _slim(
            {
                "name": clean(step.name) if named else "",
                "command": self._text("\n".join(typed(step.argv))),
                "ending": ending(step),
                "memory": memory and f"{memory} at most, by {clean(step.peak_memory_way)}",
                "unmet": [self._text(sentence) for sentence in step.unmet],
                "stdout": self._text(step.stdout),
                "stdout_dropped": step.stdout_dropped or None,
                "stderr": self._text(step.stderr),
                "stderr_dropped": step.stderr_dropped or None,
            }
        )

    def _call(self, failure: Failure, coped: str) -> list[Any]:
        operation = f"({failure.operation})" if failure.operation else ""
        table = "" if failure.abi == "x86_64" else f", {failure.abi}"
        said = [ORIGINS[failure.origin] if refused(failure) else "", failure.remark]
        call = (
            clean(f"{failure.name}{operation} ({failure.number}{table})"),
            clean(failure.errno),
            clean(failure.program),
            clean("; ".join(filter(None, said))),
        )
        steps = ", ".join(str(step + 1) for step in failure.steps)
        return [self._calls.place(call), failure.count, steps, *([coped] if coped else [])]

    def _environment(self, environment: Environment) -> int:
        facts = {
            "kernel": environment.release,
            "drill": environment.drill,
            "from": environment.kernel_origin,
            "command line": environment.cmdline,
            "engine": environment.engine.value,
            "runtime": environment.runtime,
            "seccomp profile": environment.seccomp,
            "control groups": environment.cgroup,
            "image": environment.image_ref,
            "image's digest": environment.image_digest,
            "accelerator": environment.accelerator.value,
            "CPU": environment.cpu,
            "QEMU": environment.qemu,
        }
        shown = {name: clean(value) for name, value in facts.items() if value}
        return self._environments.place(shown, tuple(shown.items()))

    # --- against the baseline -----------------------------------------------------------

    def _finding(self, finding: Finding) -> Json:
        look = KINDS[finding.kind]
        return _slim(
            {
                "kind": finding.kind.value,
                "symbol": look.symbol,
                "tone": look.tone,
                "before": _side(finding.before, finding.after),
                "after": _side(finding.after, finding.before),
                "evidence": finding.cause and [self._text(one) for one in finding.cause.evidence],
                "differences": self._table(list(map(self._difference, finding.differences))),
                "known": self._table(list(map(self._difference, finding.known))),
                "noise": self._table(list(map(self._difference, finding.noise))),
                "said": [
                    self._text(sentence)
                    for sentence in (
                        *finding.unlike,
                        *finding.notes,
                        *(f"known difference no longer occurs: {one}" for one in finding.stale),
                    )
                ],
            }
        )

    def _difference(self, one: Difference) -> Json:
        lines: list[list[int | None]] = []
        if one.field in (Field.STDOUT, Field.STDERR):
            lines = [
                [side if side is None else self._text(side) for side in pair]
                for pair in pairs(one.before, one.after)
            ]
        return _slim(
            {
                "what": clean(difference_text(one)),
                "before": self._text(one.before) if not lines else None,
                "after": self._text(one.after) if not lines else None,
                "lines": lines[: self._limits.rows],
                "known": clean(one.known),
            }
        )

    # --- bounds -------------------------------------------------------------------------

    def _text(self, text: str) -> int | None:
        """Return a text's place, its middle left out where it is long; None: it is empty."""
        if not text:
            return None
        safe = "\n".join(clean_lines(text))
        limit = self._limits.characters
        if len(safe) > limit:
            self.cut = True
            head, tail = limit // 3, limit - limit // 3
            left_out = f"\n[... {len(safe) - limit} characters left out ...]\n"
            safe = safe[:head] + left_out + safe[-tail:]
        return self._texts.place(safe)

    def _table(self, rows: list[Any]) -> Json | None:
        """Return a table's first rows, and how many there are besides."""
        if not rows:
            return None
        more = len(rows) - self._limits.rows
        self.cut = self.cut or more > 0
        return _slim({"rows": rows[: self._limits.rows], "more": more if more > 0 else None})


def _side(side: Side, other: Side) -> str:
    """Return a side's kernel, and its run where the other side's is another."""
    run = f", run {side.run}" if side.run != other.run else ""
    return clean(f"{side.kernel} {side.release}".strip() + run)


def _cases(explanation: Explanation) -> list[list[str]]:
    """Return the known cases' names and where they are documented on the web."""
    return [
        [clean(one.name), *(clean(page) for page in one.references if page.startswith("https://"))]
        for one in explanation.causes
    ]


def _by_weight(seen: Observation) -> Iterable[tuple[Failure, str]]:
    """Return failing calls and what became of the program; refused ones come first."""
    coped = {item.key: item.coped.value for item in distinct(seen)}

    def weight(failure: Failure) -> tuple[bool, bool, float]:
        refused = failure.origin is Origin.SECCOMP
        return (failure.errno != ENOSYS, not refused, failure.offset)

    for failure in sorted(seen.failures, key=weight):
        key = (failure.abi, failure.number, failure.program, failure.origin.value)
        yield failure, coped.get(key, "") if failure.errno == ENOSYS else ""


def _notes(seen: Observation) -> Iterable[str]:
    yield from seen.notes
    if not seen.traced:
        yield "system calls were not traced in this cell"
    if seen.lost_events:
        yield f"{seen.lost_events} events of the tracer were lost"


def _slim(data: Json) -> Json:
    """Leave out what is empty; a page that lacks a key shows nothing of it."""
    return {key: value for key, value in data.items() if value not in (None, "", [], {})}
