from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.scenarios import Scenario
from harness.scenarios.detect import is_scenario_file
from harness.scenarios.load import load_file

ROOT = Path(__file__).parents[2]
IMAGES = {
    "debian-bullseye", "debian-trixie", "python", "node", "java", "redis", "postgres", "nginx",
    "systemd-tools",
}  # fmt: skip


@pytest.fixture(scope="module")
def scenarios() -> list[Scenario]:
    files = [file for file in sorted((ROOT / "scenarios").glob("*.yaml")) if is_scenario_file(file)]
    return [scenario for file in files for scenario in load_file(file, ROOT)]


def test_every_default_image_is_exercised(scenarios: list[Scenario]) -> None:
    assert {image for scenario in scenarios for image in scenario.images} >= IMAGES
    assert len(scenarios) >= 15


def test_every_scenario_says_why(scenarios: list[Scenario]) -> None:
    assert [scenario.name for scenario in scenarios if not scenario.why] == []


def test_every_scenario_checks_more_than_its_exit_status(scenarios: list[Scenario]) -> None:
    for scenario in scenarios:
        outputs = [step.expect.stdout for step in scenario.steps]
        assert any(each.equals or each.contains or each.matches for each in outputs), scenario.name
