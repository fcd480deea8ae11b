from __future__ import annotations

from harness.report.charts import HEIGHT, WIDTH, charts
from harness.report.contents import TrendPoint
from harness.report.looks import Tone


def trend(*counts: dict[str, int]) -> list[TrendPoint]:
    return [
        TrendPoint(run=f"run-{place}", started="2026-11-24T20:30:15+00:00", counts=each)
        for place, each in enumerate(counts)
    ]


def test_kinds_of_one_tone_are_counted_together() -> None:
    made = charts(trend({"failed": 1, "guest died": 2}, {"failed with ENOSYS": 4, "passed": 9}))
    values = {chart.tone: chart.values for chart in made}
    assert values == {Tone.FAILED: (3, 4), Tone.PASSED: (0, 9)}


def test_the_highest_value_is_on_top_and_the_last_on_the_right() -> None:
    [chart] = charts(trend({"passed": 5}, {"passed": 0}, {"passed": 10}))
    points = [tuple(map(float, point.split(","))) for point in chart.line.split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert points[2][1] < points[0][1] < points[1][1]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert chart.dot == points[-1]


def test_one_run_makes_no_trend_and_what_never_occurs_no_chart() -> None:
    assert charts(trend({"passed": 5})) == ()
    assert [chart.label for chart in charts(trend({"passed": 5}, {"passed": 5}))] == ["passed"]


def test_a_kind_that_this_version_does_not_know_breaks_nothing() -> None:
    assert len(charts(trend({"passed": 5, "a novelty": 1}, {"passed": 5}))) == 1
