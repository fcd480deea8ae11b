"""Counts of cells over the history, as coordinates of small line charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.contents import TrendPoint
from harness.report.looks import Tone, tone
from harness.verdicts.outcome import TABLE, Enosys, Outcome

WIDTH = 240
HEIGHT = 56
_EDGE = 4
"""Room for the last point's dot."""
_SHOWN = {
    Tone.FAILED: "failed",
    Tone.KNOWN: "failed, known",
    Tone.ENOSYS: "passed with ENOSYS",
    Tone.PASSED: "passed",
    Tone.UNAVAILABLE: "unavailable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """How many cells of one tone there were, run by run."""

    label: str
    tone: Tone
    values: tuple[int, ...]
    line: str
    """The points of an SVG polyline in a box of WIDTH x HEIGHT, the highest value on top."""
    dot: tuple[float, float]
    """Where the last value is."""


def charts(trend: Sequence[TrendPoint]) -> tuple[Chart, ...]:
    """Return a chart for each tone that occurs; none while there is but one run."""
    if len(trend) < 2:
        return ()
    tones = _tones()
    totals = [_by_tone(point.counts, tones) for point in trend]
    made = [
        _chart(label, which, tuple(total.get(which, 0) for total in totals))
        for which, label in _SHOWN.items()
    ]
    return tuple(chart for chart in made if any(chart.values))


def _chart(label: str, which: Tone, values: tuple[int, ...]) -> Chart:
    top = max(*values, 1)
    across = (WIDTH - 2 * _EDGE) / (len(values) - 1)
    down = HEIGHT - 2 * _EDGE
    points = [
        (round(_EDGE + place * across, 1), round(_EDGE + down * (1 - value / top), 1))
        for place, value in enumerate(values)
    ]
    line = " ".join(f"{x:g},{y:g}" for x, y in points)
    return Chart(label=label, tone=which, values=values, line=line, dot=points[-1])


def _tones() -> dict[str, Tone]:
    """Return the tone of every kind of cell that a run may count."""
    outcomes = (Outcome(rule=rule, enosys=int(rule.enosys is Enosys.SOME)) for rule in TABLE)
    return {outcome.kind: tone(outcome) for outcome in outcomes}


def _by_tone(counts: Mapping[str, int], tones: Mapping[str, Tone]) -> dict[Tone, int]:
    totals: dict[Tone, int] = {}
    for kind, count in counts.items():
        which = tones.get(kind, Tone.ASIDE)
        totals[which] = totals.get(which, 0) + count
    return totals
