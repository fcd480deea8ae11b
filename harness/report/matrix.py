"""The matrix as plain data: image and scenario down, kernels across, and what stands beneath."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.model import scenarios
from harness.model.observations import Observation, Verdict
from harness.report.plain import plural
from harness.verdicts.enosys import NewEnosys, RowKey, new_in_row, row_of
from harness.verdicts.known import Judgement
from harness.verdicts.outcome import Outcome, counts, outcome_of

Judge = Callable[[Observation], Judgement]

_SHOWN_WITH_REASON = (Verdict.UNAVAILABLE, Verdict.UNSUPPORTED, Verdict.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A kernel; ``release`` is empty when it never ran."""

    kernel: str
    release: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell that has an observation."""

    outcome: Outcome
    reason: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scenario in one image; ``cells`` are by column, None where none was run."""

    key: RowKey
    label: str
    """The scenario's name, with its file where two rows would read the same."""
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something to say once: about which kernels, and of how many cells."""

    topic: str
    text: str
    kernels: tuple[str, ...] = ()
    cells: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All that is shown at a session's end."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    enosys: tuple[NewEnosys, ...] = ()
    notes: tuple[Note, ...] = ()
    accelerator: str = ""
    """One line: which accelerator was used, and why not KVM."""

    @property
    def cells(self) -> tuple[Outcome, ...]:
        """Every cell's outcome, for the exit status."""
        return tuple(cell.outcome for row in self.rows for cell in row.cells if cell is not None)


def nothing_known(observation: Observation) -> Judgement:
    """Judge a cell of which nothing is known."""
    return Judgement()


def note_text(note: Note) -> str:
    """Return a note as one sentence; its parts are not yet made safe to show."""
    where = f" on {', '.join(note.kernels)}" if note.kernels else ""
    cells = f" ({plural(note.cells, 'cell')})" if note.cells else ""
    return f"{note.topic}{where}{cells}: {note.text}"


def build(
    observations: Iterable[Observation],
    *,
    kernels: Sequence[str],
    judge: Judge = nothing_known,
    seen: Iterable[Observation] = (),
    accelerator: str = "",
    notes: Iterable[Note] = (),
) -> Matrix:
    """Lay observations out as a matrix.

    Args:
        observations: in the order in which their rows shall stand; a cell that is there twice
            counts as it was the last time.
        kernels: the columns, in order; kernels of cells that it does not name follow.
        judge: what is known of a cell.
        seen: observations of an earlier run, whose ENOSYS are not new.
        accelerator: one line about it.
        notes: what the caller has to say besides.
    """
    cells = {(row_of(one), one.kernel): one for one in observations}
    names = tuple(dict.fromkeys([*kernels, *(kernel for _, kernel in cells)]))
    judged = {place: judge(one) for place, one in cells.items()}
    keys = tuple(dict.fromkeys(row for row, _ in cells))
    images = list(dict.fromkeys(key.image for key in keys))
    by_image = sorted(keys, key=lambda key: images.index(key.image))
    rows = tuple(
        Row(
            key=key,
            label=_label(key, keys),
            cells=tuple(
                _cell(cells[key, name], judged[key, name]) if (key, name) in cells else None
                for name in names
            ),
        )
        for key in by_image
    )
    ordered = [cells[key, name] for key in by_image for name in names if (key, name) in cells]
    return Matrix(
        columns=tuple(Column(kernel=name, release=_release(ordered, name)) for name in names),
        rows=rows,
        counts=counts(cell.outcome for row in rows for cell in row.cells if cell is not None),
        enosys=new_in_row(ordered, names, seen),
        notes=(
            *_drills(ordered, names),
            *_reasons(ordered, names),
            *_unrecorded(ordered, names),
            *_stale(judged, names),
            *notes,
        ),
        accelerator=accelerator,
    )


def _label(key: RowKey, keys: Sequence[RowKey]) -> str:
    same = [other for other in keys if (other.image, other.scenario) == (key.image, key.scenario)]
    return key.scenario if len(same) == 1 else f"{key.scenario} ({key.file})"


def _cell(observation: Observation, known: Judgement) -> Cell:
    return Cell(
        outcome=outcome_of(observation, known.state),
        reason=observation.reason,
        id=observation.id,
    )


def _release(observations: Iterable[Observation], kernel: str) -> str:
    releases = (
        one.environment.release
        for one in observations
        if one.kernel == kernel and one.environment is not None
    )
    return next(filter(None, releases), "")


def _drills(observations: Sequence[Observation], names: Sequence[str]) -> tuple[Note, ...]:
    """Which columns are drills, so that nobody takes them for the real release."""
    environments = ((one.environment, one.kernel) for one in observations)
    return _gathered([("drill", e.drill, name) for e, name in environments if e and e.drill], names)


def _reasons(observations: Sequence[Observation], names: Sequence[str]) -> tuple[Note, ...]:
    """Why cells did not run, each reason once."""
    found: list[tuple[str, str, str]] = [
        (one.verdict.value, one.reason or "no reason given", one.kernel)
        for verdict in _SHOWN_WITH_REASON
        for one in observations
        if one.verdict is verdict
    ]
    return _gathered(found, names)


def _unrecorded(observations: Sequence[Observation], names: Sequence[str]) -> tuple[Note, ...]:
    """What could not be recorded, each thing once."""
    found = [("not recorded", note, one.kernel) for one in observations for note in one.notes]
    lost = [one for one in observations if one.lost_events]
    events = sum(one.lost_events for one in lost)
    text = f"{events} events of the tracer were lost: counts are too low, origins may be unknown"
    return _gathered([*found, *(("not recorded", text, one.kernel) for one in lost)], names)


def _stale(
    judged: Mapping[tuple[RowKey, str], Judgement], names: Sequence[str]
) -> tuple[Note, ...]:
    """Known differences that did not occur."""
    found = [
        ("stale known difference", _describe(entry), kernel)
        for (_, kernel), judgement in judged.items()
        for entry in judgement.stale
    ]
    return _gathered(found, names)


def _describe(entry: scenarios.Known) -> str:
    what = " ".join(filter(None, (entry.syscall, entry.errno, entry.program, entry.field)))
    step = f" in step {entry.where}" if entry.where else ""
    return f"{what or 'failure'}{step} no longer occurs; its reason was: {entry.reason}"


def _gathered(found: Iterable[tuple[str, str, str]], names: Sequence[str]) -> tuple[Note, ...]:
    groups: dict[tuple[str, str], list[str]] = {}
    for topic, text, kernel in found:
        groups.setdefault((topic, text), []).append(kernel)
    return tuple(
        Note(
            topic=topic,
            text=text,
            kernels=tuple(name for name in names if name in kernels),
            cells=len(kernels),
        )
        for (topic, text), kernels in groups.items()
    )
