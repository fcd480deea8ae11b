"""What is known beforehand: differences of a session's scenarios, and causes of failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from harness.explanations import Explanation
from harness.kernels import selection
from harness.model.causes import KnownCause
from harness.model.hosts import HostEntry
from harness.model.observations import Observation
from harness.model.scenarios import Known, Scenario
from harness.scenarios import accepted, causes
from harness.trace import since
from harness.verdicts.explanation import explain
from harness.verdicts.known import Judgement, judge


class Knowledge:
    """What is known beforehand.

    Raises:
        ConfigError: a file is wrong.
    """

    def __init__(self, directories: Sequence[Path], own_causes: Sequence[Path]) -> None:
        self._own_causes = own_causes
        causes.load(own_causes)  # a mistake is told now; the packaged ones wait until needed
        self.files = [directory / accepted.FILE for directory in directories]
        self._entries = accepted.load_from(directories)

    def added(self, scenario: Scenario, image: str) -> Scenario:
        """Return a scenario with the known differences that stand apart from it."""
        more = self.apart(scenario.name, image)
        return replace(scenario, known=(*scenario.known, *more)) if more else scenario

    def apart(self, scenario: str, image: str) -> tuple[Known, ...]:
        """Return the known differences of known.yaml for a scenario in an image."""
        return accepted.of_cell(self._entries, scenario, image)

    @cached_property
    def causes(self) -> tuple[KnownCause, ...]:
        """The known causes: the packaged ones and the user's own."""
        return causes.load([causes.packaged(), *self._own_causes])

    def explain(self, observation: Observation, known: Judgement) -> Explanation:
        """Return what is known of a cell, before it is compared with any other."""
        return explain(observation, self.causes, since=since.load(), known=known.state)


def judged(scenario: Scenario, entry: HostEntry, observation: Observation) -> Judgement:
    """Return what a scenario's known differences say of a cell."""
    return judge(observation, scenario.known, _here(entry, observation))


def applying(
    known: Sequence[Known], entry: HostEntry, observation: Observation
) -> tuple[Known, ...]:
    """Return the known differences that apply to a cell's kernel."""
    here = _here(entry, observation)
    return tuple(one for one in known if here(one.kernels))


def _here(entry: HostEntry, observation: Observation) -> Callable[[str], bool]:
    release = observation.environment.release if observation.environment else ""

    def here(expression: str) -> bool:
        return selection.applies(
            expression,
            name=entry.name,
            release=release,
            aliases=entry.aliases,
            tags=entry.tags,
        )

    return here
