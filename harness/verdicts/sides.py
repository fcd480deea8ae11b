"""Compare two sets of cells: those of two kernels, of two images, or of two runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from harness.findings import Comparison, Finding
from harness.model.observations import Observation
from harness.results.meta import Run
from harness.verdicts.compare import Terms, compare
from harness.verdicts.unlike import Asked
from harness.verdicts.views import LOST, RAN, Recorded

_Key = tuple[str, ...]
_KEYS: dict[Asked, Callable[[Observation], _Key]] = {
    Asked.KERNEL: lambda one: (one.file, one.scenario, one.image),
    Asked.IMAGE: lambda one: (one.file, one.scenario, one.kernel),
    Asked.TIME: lambda one: (one.file, one.scenario, one.image, one.kernel),
}


def compare_sides(
    title: str, befores: Iterable[Recorded], afters: Iterable[Recorded], terms: Terms
) -> Comparison:
    """Compare each cell of ``afters`` with the one of ``befores`` that differs in what is asked.

    A cell that did not run on a side, or is there on one side alone, is no finding; it is said.
    """
    key = _KEYS[terms.asked]
    left = {key(one.observation): one for one in befores}
    findings: list[Finding] = []
    unmatched: list[str] = []
    met: set[_Key] = set()
    for after in afters:
        before = left.get(key(after.observation))
        met.add(key(after.observation))
        if before is None:
            unmatched.append(f"{_name(after)}: there is nothing to compare it with")
        elif absent := _absent(before, after):
            unmatched.append(absent)
        else:
            findings.append(compare(before, after, terms))
    unmatched += [
        f"{_name(before)}: it is on one side alone"
        for place, before in left.items()
        if place not in met
    ]
    return Comparison(title=title, findings=tuple(findings), unmatched=tuple(unmatched))


def compare_runs(before: Run, after: Run, terms: Terms) -> Comparison:
    """Compare each cell of a run with the same cell of an earlier one."""
    title = f"{after.meta.id} against {before.meta.id}"
    return compare_sides(title, recorded(before), recorded(after), terms)


def recorded(run: Run) -> Sequence[Recorded]:
    """Return a run's cells, each with its repeats."""
    repeats: dict[str, list[Observation]] = {}
    for one in run.repeats:
        repeats.setdefault(one.id, []).append(one)
    return [
        Recorded(observation=one, run=run.meta.id, repeats=tuple(repeats.get(one.id, ())))
        for one in run.observations
    ]


def _absent(before: Recorded, after: Recorded) -> str:
    """Return a sentence on a cell that did not run on a side."""
    for side in (before, after):
        one = side.observation
        if one.verdict not in RAN | LOST:
            return f"{_name(side)}: {one.verdict.value}, {one.reason or 'no reason given'}"
    return ""


def _name(side: Recorded) -> str:
    one = side.observation
    return f"{one.image}, {one.scenario} on {one.kernel}"
