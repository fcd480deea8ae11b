from __future__ import annotations

from typing import Any

import pytest

from harness import bench
from harness.bench import figures


def spread(median: float) -> dict[str, float]:
    return {"median": median, "min": median / 2, "max": median * 2}


def measured(**kernels: dict[str, Any]) -> dict[str, Any]:
    machine = {"cores": 2, "memory_mib": 4096, "qemu": "10.0.2", "accelerator": "tcg", "load": 0.5}
    return {
        "machine": machine,
        "repeat": 5,
        "kernels": [{"name": name, **figures} for name, figures in kernels.items()],
    }


WHOLE: dict[str, Any] = {
    "cold": spread(4.0),
    "restored": spread(0.6),
    "ratio": spread(0.15),
    "boot": {"firmware": spread(0.7), "kernel": spread(2.0), "init": spread(1.0)},
    "memory": {"guests": 8, "one": 201.2, "all": 480.7},
    "cell": {"qemu": spread(0.2), "steps": spread(0.5), "cell": spread(1.2)},
    "tracing": {
        "archive": {"ratio": spread(1.03), "strace_ratio": spread(9.0), "instructions": 1.034},
        "redis": {"ratio": spread(1.01), "strace_ratio": spread(7.0)},
        "files": {"ratio": spread(1.2)},
        "calls": {"ratio": spread(2.0)},
    },
}


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def test_each_kernel_is_a_row_of_medians_and_what_they_lie_between() -> None:
    header, row, loops, traced, counted, *rest = rows(bench.table(measured(mine=WHOLE)))
    boot, booted, parts, split = rest
    assert dict(zip(header, row, strict=True)) == {
        "kernel": "mine",
        "cold boot, s": "4.00 (2.00 to 8.00)",
        "restored, s": "0.60 (0.30 to 1.20)",
        "ratio": "0.15 (0.07 to 0.30)",
        "cell, s": "1.20 (0.60 to 2.40)",
        "1 guest, MiB": "201",
        "8 guests": "481",
    }
    assert dict(zip(loops, traced, strict=True)) == {
        "tracing on/off": "mine",
        "archive": "1.03 (0.52 to 2.06)",
        "redis": "1.01 (0.51 to 2.02)",
        "files": "1.20 (0.60 to 2.40)",
        "calls": "2.00 (1.00 to 4.00)",
        "strace -f: archive": "9.00 (4.50 to 18.00)",
        "strace -f: redis": "7.00 (3.50 to 14.00)",
    }
    assert counted[:3] == ["mine, instructions", "1.034", "not measured"]
    assert dict(zip(boot, booted, strict=True)) == {
        "a cold boot's seconds": "mine",
        "firmware": "0.70",
        "kernel": "2.00",
        "init": "1.00",
    }
    assert dict(zip(parts, split, strict=True)) == {
        "a cell's seconds": "mine",
        "qemu": "0.20",
        "steps": "0.50",
        "cell": "1.20",
    }


def test_a_kernel_that_could_not_be_measured_says_why_and_keeps_what_it_has() -> None:
    half = {key: WHOLE[key] for key in ("cold", "restored", "ratio")} | {"problem": "it died"}
    late = {**half, "tracing": {"archive": WHOLE["tracing"]["archive"]}}
    lost = {"problem": "the mirror is down\nmore"}
    text = bench.table(measured(half=half, lost=lost, late=late, mine=WHOLE))
    found = [row for row in rows(text) if row[0] in ("half", "lost", "late")]
    assert [row[:2] for row in found] == [
        ["half", "4.00 (2.00 to 8.00)"],
        ["lost", "the mirror is down"],
        ["late", "4.00 (2.00 to 8.00)"],
        ["late", "1.03 (0.52 to 2.06)"],
    ]
    assert found[0][3:] == ["0.15 (0.07 to 0.30)", *["not measured"] * 3]
    assert found[3][2:] == [*["not measured"] * 3, "9.00 (4.50 to 18.00)", "not measured"]


def test_the_matrix_is_a_line_of_its_own() -> None:
    figures = measured(mine=WHOLE)
    figures["matrix"] = {"first": 300.0, "one": 200.0, "auto": 110.0, "ratio": 0.55}
    assert bench.table(figures).splitlines()[-1] == (
        "matrix: 300.0 s at first, 200.0 s one cell at a time, 110.0 s as many as fit: 0.55"
    )


def test_the_neighbour_is_a_line_of_its_own() -> None:
    beside = {"virtme_ng": spread(10.0), "cell": spread(2.0), "ratio": spread(0.2)}
    figures = measured(mine={**WHOLE, "virtme_ng": beside})
    assert bench.table(figures).splitlines()[-1] == (
        "mine, /bin/true: virtme-ng 10.00 (5.00 to 20.00) s, a cell 2.00 (1.00 to 4.00) s: "
        "0.20 (0.10 to 0.40)"
    )


def test_growth_is_a_line_a_size() -> None:
    figures = measured(mine=WHOLE)
    figures["growth"] = [{"cells": 10, "seconds": 18.2, "a_cell": 1.82, "peak_mib": 91.5}]
    assert bench.table(figures).splitlines()[-1] == (
        "10 cells: 18.2 s, 1.82 s a further cell, at most 91.5 MiB"
    )


def test_a_ratio_is_of_pairs_and_not_of_medians() -> None:
    found = figures.ratio([1.0, 10.0, 3.0], [2.0, 10.0, 30.0])
    assert found == pytest.approx({"median": 0.5, "min": 0.1, "max": 1.0})
