"""A cell as it is compared: normalised, without what is never the same twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.findings import Field
from harness.model.observations import SERVICE, Failure, Observation, StepResult, Verdict
from harness.verdicts.normalise import Replacement, messages_of, normaliser
from harness.verdicts.profile import CallKey, profile_of

LOST = frozenset({Verdict.DIED})
"""The guest was lost: that says nothing of the image."""
RAN = frozenset({Verdict.PASSED, Verdict.FAILED, Verdict.TIMED_OUT})
"""The cell came to a verdict of its own."""


class Spot(NamedTuple):
    """A field of a step, or of the cell (None)."""

    field: Field
    step: int | None = None


class Line(NamedTuple):
    """One kernel message."""

    text: str


Key = Spot | CallKey | Line
"""Each thing that may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """What is compared of a step."""

    exit: str
    signal: str
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is compared of a cell, memory and time aside."""

    verdict: Verdict
    steps: tuple[StepView, ...]
    calls: Mapping[CallKey, Failure]
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One side of a comparison: a cell's observation, and further runs of the same cell."""

    observation: Observation
    run: str = ""
    """Id of the run that it is recorded in."""
    repeats: tuple[Observation, ...] = ()

    @property
    def usable(self) -> tuple[Observation, ...]:
        """The cell and those repeats that came to a verdict of their own, traced as it was."""
        first = self.observation
        return (
            first,
            *(o for o in self.repeats if o.verdict in RAN and o.traced == first.traced),
        )


def view(observation: Observation, extra: Sequence[Replacement], *, origins: bool) -> View:
    """Return what is compared of a cell; ``extra`` as for :func:`normaliser`."""
    normalise = normaliser(observation, extra)
    return View(
        verdict=observation.verdict,
        steps=tuple(_step(step, normalise) for step in observation.steps),
        calls=profile_of(observation, origins=origins),
        messages=messages_of(observation, normalise),
    )


def _step(step: StepResult, normalise: Callable[[str], str]) -> StepView:
    texts = [normalise(text) for text in (step.stdout, step.stderr)]
    if step.name == SERVICE:
        # Several processes write to it, beside the steps: in which order says nothing.
        texts = ["".join(sorted(set(text.splitlines(keepends=True)))) for text in texts]
    return StepView(
        exit="" if step.exit is None else str(step.exit),
        signal="timed out" if step.timed_out else step.signal or "",
        stdout=texts[0],
        stderr=texts[1],
    )


def differing(one: View, two: View) -> frozenset[Key]:
    """Return everything that is not the same; of steps that both reached."""
    found: set[Key] = set(one.calls.keys() ^ two.calls.keys())
    found |= {Line(text) for text in set(one.messages) ^ set(two.messages)}
    if one.verdict is not two.verdict:
        found.add(Spot(Field.VERDICT))
    for number, (left, right) in enumerate(zip(one.steps, two.steps, strict=False)):
        for field in (Field.EXIT, Field.SIGNAL, Field.STDOUT, Field.STDERR):
            if getattr(left, field.value) != getattr(right, field.value):
                found.add(Spot(field, number))
    return frozenset(found)


def noise(views: Iterable[View]) -> frozenset[Key]:
    """Return what differs between runs of one cell on one kernel: no finding can rest on it."""
    first, *others = views
    return frozenset().union(*(differing(first, other) for other in others))
