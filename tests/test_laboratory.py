from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.assembly import Assembly, Options
from harness.laboratory import Laboratory
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Scenario

CATALOG = """kernels:
  gone:
    source: {{type: apt, suite: bookworm, bases: ["http://127.0.0.1:{port}/debian"]}}
  local:
    source: {{type: local, image: {image}}}
"""


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    """One whose mirror's port is closed, and whose only kernel at hand is none."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "image").write_text("no kernel")
    (tmp_path / "kernels").mkdir()
    catalog = CATALOG.format(port=port, image=tmp_path / "image")
    (tmp_path / "kernels" / "catalog.yaml").write_text(catalog)
    options = Options(rootdir=tmp_path, store=tmp_path / "store", accelerator="tcg")
    made = Assembly(options)
    try:
        yield Laboratory(made, {})
    finally:
        made.close()


def observe(laboratory: Laboratory, kernel: str) -> Observation:
    scenario = Scenario(name="s", file="s.yaml", line=1, images=("i",), steps=())
    return laboratory.observe("id", scenario, "i", laboratory.assembly.entry(kernel), None)


def test_a_kernel_that_cannot_be_fetched_is_told_from_what_else_a_cell_lacks(
    laboratory: Laboratory,
) -> None:
    seen = observe(laboratory, "gone")
    assert (seen.verdict, seen.kernel_missing) == (Verdict.UNAVAILABLE, True)
    assert "127.0.0.1" in seen.reason


def test_a_kernel_at_hand_that_is_none_is_no_missing_one(laboratory: Laboratory) -> None:
    seen = observe(laboratory, "local")
    assert (seen.verdict, seen.kernel_missing) == (Verdict.UNAVAILABLE, False)
    assert "not a kernel" in seen.reason
