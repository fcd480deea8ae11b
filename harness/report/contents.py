"""What a run's reports are made of, read from its directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import ConfigError, StoreError
from harness.explanations import Explanation
from harness.findings import Comparison, Finding
from harness.model.causes import KnownCause
from harness.model.observations import Observation
from harness.report.matrix import Matrix, build
from harness.results.history import COMPLETED, HISTORY, History
from harness.results.meta import KernelFacts, Problem, Run, RunMeta
from harness.results.runs import COMPARISON, RunDir, load_comparison, load_run
from harness.scenarios import causes
from harness.trace import since
from harness.verdicts.explanation import explain, plainly_passed
from harness.verdicts.known import Judgement
from harness.verdicts.outcome import Known

TREND = 120
"""Runs of the history that are shown; the newest."""
ABI = "x86_64"
"""The table by which kernels are held against each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """One run of the history."""

    run: str
    started: str
    """UTC, ISO 8601."""
    counts: Mapping[str, int]
    """Cells by what became of them, as in run.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the reports of one run show."""

    run: Run
    matrix: Matrix
    comparison: Comparison | None = None
    trend: tuple[TrendPoint, ...] = ()
    """Runs up to this one, oldest first."""
    explanations: Mapping[str, Explanation] = field(default_factory=dict)
    """Of cells that did not plainly pass, by id."""


def load(path: Path, more_causes: Sequence[Path] = ()) -> Report:
    """Read a run and lay it out; what cannot be read becomes a problem of the run.

    Cells that did not plainly pass are explained by the known causes of the harness, of the
    files that the session used, as they are now, and of ``more_causes``.

    Raises:
        StoreError: there is no run at ``path``.
    """
    run = load_run(path)
    comparison, unread = _comparison(run)
    trend, unknown = _trend(run)
    known, wrong = _causes(run, more_causes)
    order = {id: place for place, id in enumerate(run.meta.cells)}
    ordered = sorted(
        run.observations, key=lambda one: (order.get(one.id, len(order)), one.file, one.id)
    )
    problems = (*run.problems, *filter(None, (unread, unknown, wrong)))
    run = replace(run, observations=tuple(ordered), problems=problems)
    return Report(
        run=run,
        matrix=build(
            ordered,
            kernels=[kernel.name for kernel in run.meta.kernels],
            judge=lambda one: _judgement(run.meta, one),
        ),
        comparison=comparison,
        trend=trend,
        explanations=explained(run, comparison, known),
    )


def explained(
    run: Run,
    comparison: Comparison | None,
    known: Sequence[KnownCause],
    *,
    all_cells: bool = False,
) -> dict[str, Explanation]:
    """Return the explanations of a run's cells by id: of those that did not plainly pass."""
    found = {one.after.cell: one.cause for one in comparison.findings} if comparison else {}
    table = since.load()
    return {
        one.id: explain(
            one,
            known,
            cause=found.get(one.id),
            since=table,
            known=_judgement(run.meta, one).state,
        )
        for one in run.observations
        if all_cells or not plainly_passed(one)
    }


def ended(meta: RunMeta) -> bool:
    """Whether a session ran all that it selected; one that was interrupted has an end, too."""
    return bool(meta.finished) and meta.exit_status in COMPLETED


def findings_by_cell(report: Report) -> dict[str, Finding]:
    """Return what the comparison came to, by the id of the cell of this run that it is about."""
    if report.comparison is None:
        return {}
    return {finding.after.cell: finding for finding in report.comparison.findings}


def cell_file(report: Report, id: str) -> str:
    """Return where a cell's observation lies, relative to the run's directory."""
    return str(RunDir(report.run.path).cell_path(id).relative_to(report.run.path))


def console_file(report: Report, id: str) -> str:
    """Return where a cell's console log lies, relative as above; empty when it has none."""
    file = RunDir(report.run.path).console_path(id)
    return str(file.relative_to(report.run.path)) if file.is_file() else ""


def reference(kernels: Sequence[KernelFacts]) -> KernelFacts | None:
    """Return the kernel that implements most, against which others lack calls; None: no census.

    Not the one with the highest version: vendors backport, and configurations differ.
    """
    surveyed = [kernel for kernel in kernels if ABI in kernel.syscalls]
    return max(surveyed, key=lambda kernel: kernel.syscalls[ABI], default=None)


def lacking(kernel: KernelFacts, against: KernelFacts, abi: str = ABI) -> tuple[str, ...]:
    """Return the system calls that ``against`` has and ``kernel`` lacks, by number."""
    absent = set(against.missing.get(abi, ()))
    return tuple(name for name in kernel.missing.get(abi, ()) if name not in absent)


def _comparison(run: Run) -> tuple[Comparison | None, Problem | None]:
    try:
        return load_comparison(run.path), None
    except StoreError as error:
        return None, Problem(path=run.path / COMPARISON, text=str(error))


def session_causes(run: Run) -> list[Path]:
    """Return the user's files of causes that a session used, those that are still there."""
    return [path for path in map(Path, run.meta.causes) if path.exists()]


def _causes(run: Run, more: Sequence[Path]) -> tuple[tuple[KnownCause, ...], Problem | None]:
    """Return the known causes, where there is anything to explain."""
    if all(map(plainly_passed, run.observations)):
        return (), None
    try:
        return causes.load([causes.packaged(), *session_causes(run), *more]), None
    except ConfigError as error:
        problem = Problem(path=Path(error.file), text=f"known causes are the harness's: {error}")
        return causes.load([causes.packaged()]), problem


def _trend(run: Run) -> tuple[tuple[TrendPoint, ...], Problem | None]:
    """Return the history up to a run: of a night the nights, else all runs."""
    file = run.path.parent / HISTORY
    if not file.is_file():
        return (), None
    try:
        with History.open(run.path.parent) as history:
            earlier = [one for one in history.runs() if one.id <= run.meta.id]
            alike = [
                one for one in earlier if one.night or not run.meta.night or one.id == run.meta.id
            ]
            runs = alike[-TREND:]
            counts = history.kinds(one.id for one in runs)
    except StoreError as error:
        return (), Problem(path=file, text=str(error))
    points = (TrendPoint(run=one.id, started=one.started, counts=counts[one.id]) for one in runs)
    return tuple(points), None


def _judgement(meta: RunMeta, observation: Observation) -> Judgement:
    entry = meta.known.get(observation.id)
    return Judgement(
        state=Known.NO if entry is None else Known.COVERED,
        entry=entry,
        stale=meta.stale.get(observation.id, ()),
    )
