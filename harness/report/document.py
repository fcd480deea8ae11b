"""The report for machines: a run's matrix, findings and ENOSYS as one JSON document."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.explanations import Certainty
from harness.findings import Comparison, Kind
from harness.model.observations import Origin, Verdict
from harness.report.contents import Report, cell_file, findings_by_cell
from harness.report.explained import paragraph
from harness.report.matrix import Cell, Note
from harness.results.codec import encode
from harness.results.meta import RunMeta
from harness.verdicts.enosys import Coped, NewEnosys

REPORT_SCHEMA = 1
"""Version of the JSON that the report is written in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """One cell of the matrix."""

    id: str
    """pytest's node id."""
    kernel: str
    verdict: Verdict
    outcome: str
    """The matrix's words: ``passed with 2 ENOSYS``."""
    enosys: int
    """How many distinct ones."""
    known: bool
    """Whether a known difference says that it fails."""
    reason: str
    file: str
    """Its observation, relative to the run's directory."""
    finding: Kind | None = None
    """Its class in the comparison; None: it was not compared."""
    why: str = ""
    """What is known of why, in a paragraph; empty where it plainly passed."""
    causes: dict[str, Certainty] = field(default_factory=dict)
    """The known causes that match, the surest first, and how sure that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """One scenario in one image, on every kernel that it was run on."""

    image: str
    scenario: str
    file: str
    cells: tuple[CellResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnosysResult:
    """One system call that one program of a row found not implemented, by one origin."""

    image: str
    scenario: str
    file: str
    syscall: str
    number: int
    abi: str
    program: str
    origin: Origin
    kernels: dict[str, Coped]
    """Kernel to what became of the program."""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The whole report."""

    run: RunMeta
    rows: tuple[RowResult, ...]
    enosys: tuple[EnosysResult, ...]
    notes: tuple[Note, ...]
    comparison: Comparison | None
    problems: tuple[str, ...] = ()
    """Files of the run that could not be read, one sentence each."""
    counts: dict[str, int] = field(default_factory=dict)
    """Cells by what became of them."""
    schema: int = REPORT_SCHEMA


def render(report: Report) -> bytes:
    """Return the report as JSON, as docs/report.schema.json describes it."""
    return encode(document(report))


def document(report: Report) -> Document:
    """Return the report's plain data."""
    kernels = [column.kernel for column in report.matrix.columns]
    found = {cell: finding.kind for cell, finding in findings_by_cell(report).items()}
    return Document(
        run=report.run.meta,
        rows=tuple(
            RowResult(
                image=row.key.image,
                scenario=row.key.scenario,
                file=row.key.file,
                cells=tuple(
                    _cell(report, cell, kernel, found.get(cell.id))
                    for kernel, cell in zip(kernels, row.cells, strict=True)
                    if cell is not None
                ),
            )
            for row in report.matrix.rows
        ),
        enosys=tuple(_enosys(new) for new in report.matrix.enosys),
        notes=report.matrix.notes,
        comparison=report.comparison,
        problems=tuple(problem.text for problem in report.run.problems),
        counts=dict(report.matrix.counts),
    )


def _cell(report: Report, cell: Cell, kernel: str, finding: Kind | None) -> CellResult:
    explanation = report.explanations.get(cell.id)
    return CellResult(
        id=cell.id,
        kernel=kernel,
        verdict=cell.outcome.rule.verdict,
        outcome=cell.outcome.text,
        enosys=cell.outcome.enosys,
        known=cell.outcome.known,
        reason=cell.reason,
        file=cell_file(report, cell.id),
        finding=finding,
        why=paragraph(explanation) if explanation else "",
        causes={one.name: one.certainty for one in explanation.causes} if explanation else {},
    )


def _enosys(new: NewEnosys) -> EnosysResult:
    return EnosysResult(
        image=new.row.image,
        scenario=new.row.scenario,
        file=new.row.file,
        syscall=new.enosys.name,
        number=new.enosys.number,
        abi=new.enosys.abi,
        program=new.enosys.program,
        origin=new.enosys.origin,
        kernels={kernel: state for state, kernels in new.coped for kernel in kernels},
        remark=new.enosys.remark,
    )
