"""The way to a guest under stress, in small; `harness bench --channel` does it at full length."""

from __future__ import annotations

import pytest

from harness.bench.channel import Load, channel, lines
from harness.laboratory import Laboratory

pytestmark = pytest.mark.guest

SMALL = Load(commands=200, transfer=5_000_000, sessions=8, cuts=3)


@pytest.mark.parametrize("kernel", ["5.10", "latest"])
def test_nothing_is_lost_on_the_way_to_a_restored_guest_under_stress(
    laboratory: Laboratory, kernel: str
) -> None:
    ready = laboratory.ready(laboratory.assembly.entry(kernel))
    figures = channel(laboratory, ready, SMALL)
    assert figures["commands"]["number"] == SMALL.commands
    assert figures["sessions"]["at once"] == SMALL.sessions
    assert figures["in"]["MB"] == figures["out"]["MB"] == 5.0
    assert figures["cuts"]["number"] == SMALL.cuts
    assert len(lines(kernel, figures)) == len(figures)
