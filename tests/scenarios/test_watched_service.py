from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.model.scenarios import Scenario
from harness.scenarios.load import load_file


def load(tmp_path: Path, keys: str) -> Scenario:
    file = tmp_path / "a.yaml"
    file.write_text(f"scenarios:\n  one:\n    image: redis\n    {keys}\n")
    [scenario] = load_file(file, tmp_path)
    return scenario


def test_a_service_that_is_watched_needs_no_step(tmp_path: Path) -> None:
    scenario = load(tmp_path, "service: {watch: 10s, timeout: 400s}")
    assert scenario.service is not None
    assert scenario.service.watch == 10.0
    assert scenario.steps == ()
    assert scenario.timeout == 410.0


def test_the_scenarios_own_timeout_holds_for_it(tmp_path: Path) -> None:
    assert load(tmp_path, "timeout: 20s\n    service: {watch: 10s}").timeout == 20.0


def test_steps_may_follow(tmp_path: Path) -> None:
    scenario = load(tmp_path, "run: [redis-cli, ping]\n    service: {watch: 1s}")
    assert [step.run for step in scenario.steps] == [("redis-cli", "ping")]


@pytest.mark.parametrize("keys", ["service: {}", "service: {watch: 1s}\n    stdin: text"])
def test_without_either_there_is_nothing_to_expect(tmp_path: Path, keys: str) -> None:
    with pytest.raises(ConfigError, match=r"each step needs run or args; without steps, say by"):
        load(tmp_path, keys)
