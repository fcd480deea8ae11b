from __future__ import annotations

from typing import Any

import pytest

from harness import bench


def spread(median: float) -> dict[str, float]:
    return {"median": median, "min": median / 2, "max": median * 2}


def measured(**kernels: dict[str, Any]) -> dict[str, Any]:
    machine = {"cores": 2, "memory_mib": 4096, "qemu": "10.0.2", "accelerator": "tcg", "load": 0.5}
    return {
        "machine": machine,
        "repeat": 5,
        "kernels": [{"name": name, **figures} for name, figures in kernels.items()],
    }


WHOLE = {
    "cold": spread(4.0),
    "restored": spread(0.6),
    "ratio": spread(0.15),
    "cell": {"qemu": spread(0.2), "steps": spread(0.5), "cell": spread(1.2)},
    "tracing": {"ratio": spread(1.03)},
    "tracing_files": {"ratio": spread(1.2)},
    "tracing_calls": {"ratio": spread(2.0)},
}


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def test_each_kernel_is_a_row_of_medians_and_what_they_lie_between() -> None:
    header, row, parts, split = rows(bench.table(measured(mine=WHOLE)))
    assert dict(zip(header, row, strict=True)) == {
        "kernel": "mine",
        "cold boot, s": "4.00 (2.00 to 8.00)",
        "restored, s": "0.60 (0.30 to 1.20)",
        "ratio": "0.15 (0.07 to 0.30)",
        "cell, s": "1.20 (0.60 to 2.40)",
        "tracing on/off: archive": "1.03 (0.52 to 2.06)",
        "files": "1.20 (0.60 to 2.40)",
        "calls": "2.00 (1.00 to 4.00)",
    }
    assert dict(zip(parts, split, strict=True)) == {
        "a cell's seconds": "mine",
        "qemu": "0.20",
        "steps": "0.50",
        "cell": "1.20",
    }


def test_a_kernel_that_could_not_be_measured_says_why_and_keeps_what_it_has() -> None:
    half = {key: WHOLE[key] for key in ("cold", "restored", "ratio")} | {"problem": "it died"}
    lost = {"problem": "the mirror is down\nmore"}
    found = {row[0]: row for row in rows(bench.table(measured(half=half, lost=lost, mine=WHOLE)))}
    assert found["lost"][1] == "the mirror is down"
    assert found["half"][3:] == ["0.15 (0.07 to 0.30)", *["not measured"] * 4]


def test_the_matrix_is_a_line_of_its_own() -> None:
    figures = measured(mine=WHOLE)
    figures["matrix"] = {"first": 300.0, "one": 200.0, "auto": 110.0, "ratio": 0.55}
    assert bench.table(figures).splitlines()[-1] == (
        "matrix: 300.0 s at first, 200.0 s one cell at a time, 110.0 s as many as fit: 0.55"
    )


def test_a_ratio_is_of_pairs_and_not_of_medians() -> None:
    found = bench._ratio([1.0, 10.0, 3.0], [2.0, 10.0, 30.0])
    assert found == pytest.approx({"median": 0.5, "min": 0.1, "max": 1.0})
