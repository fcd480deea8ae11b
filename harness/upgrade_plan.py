"""What an upgrade's question comes to: which scenarios run where, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.errors import HarnessError, UsageError
from harness.images import catalog
from harness.laboratory import Laboratory
from harness.model.hosts import HostEntry
from harness.model.scenarios import Scenario
from harness.scenarios import fitting
from harness.scenarios.generic import generic
from harness.verdicts.unlike import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a cell runs."""

    entry: HostEntry
    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scenario on both sides."""

    scenario: Scenario
    before: Place
    after: Place


@dataclass(slots=True, kw_only=True)
class Question:
    """One image, or an image and the one that is to take its place."""

    title: str
    rows: list[Row] = field(default_factory=list)
    not_exercised: list[str] = field(default_factory=list)
    could_not_run: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is asked."""

    title: str
    asked: Asked
    questions: tuple[Question, ...]


def of_kernels(
    laboratory: Laboratory,
    before: HostEntry,
    after: HostEntry,
    images: Sequence[str],
    scenarios: Sequence[str],
) -> Plan:
    """Ask what changes for images from one kernel to another.

    ``scenarios`` are names or files; without any, those are taken that fit each image. Without
    images, the scenarios' own are taken.

    Raises:
        UsageError: nothing is asked, or a name is unknown.
        ConfigError: a scenario file is wrong.
    """
    if before == after:
        raise UsageError(f"both kernels are {before.name}: name two")
    chosen = _chosen(laboratory, scenarios)
    if not images and not scenarios:
        raise UsageError("say which images by --image, or which scenarios by --scenario")
    names = images or list(dict.fromkeys(name for one in chosen for name in one.images))
    questions = []
    for name in names:
        mine = chosen if images else [one for one in chosen if name in one.images]
        sides = (Place(entry=before, image=name), Place(entry=after, image=name))
        questions.append(_question(laboratory, name, sides, mine, given=bool(scenarios)))
    title = f"{before.name} to {after.name}"
    return Plan(title=title, asked=Asked.KERNEL, questions=tuple(questions))


def of_images(
    laboratory: Laboratory, entry: HostEntry, before: str, after: str, scenarios: Sequence[str]
) -> Plan:
    """Ask what changes on one kernel from an image to the one that takes its place.

    Raises:
        UsageError, ConfigError: as for :func:`of_kernels`.
    """
    if before == after:
        raise UsageError(f"both images are {before}: name two")
    chosen = _chosen(laboratory, scenarios)
    sides = (Place(entry=entry, image=before), Place(entry=entry, image=after))
    title = f"{before} to {after}"
    question = _question(laboratory, title, sides, chosen, given=bool(scenarios))
    return Plan(title=f"{title} on {entry.name}", asked=Asked.IMAGE, questions=(question,))


def _chosen(laboratory: Laboratory, wanted: Sequence[str]) -> Sequence[Scenario]:
    options = laboratory.assembly.options
    known = fitting.collect(options.rootdir, options.scenarios)
    return fitting.named(wanted, known, options.rootdir) if wanted else known


def _question(
    laboratory: Laboratory,
    title: str,
    sides: tuple[Place, Place],
    scenarios: Iterable[Scenario],
    *,
    given: bool,
) -> Question:
    made = Question(title=title)
    names = list(dict.fromkeys(side.image for side in sides))
    entries = [catalog.pick(laboratory.images, name) for name in names]
    base = laboratory.assembly.options.rootdir
    fits = list(scenarios)
    if not given:
        found = [fitting.fitting(one, fits, laboratory.images, base) for one in entries]
        fits = [one for one in fits if any(one in each for each in found)]
    if not fits:
        try:
            fits = list(generic(*(laboratory.image(name) for name in names)))
        except HarnessError as error:
            made.could_not_run.append(f"the image cannot be had: {error}")
    for scenario in fits:
        outside = [
            side.entry.name
            for side in sides
            if not laboratory.applies(scenario.kernels, side.entry)
        ]
        if outside:
            made.not_exercised.append(
                f"{scenario.name}: it is for kernels {scenario.kernels}, not for {outside[0]}"
            )
        else:
            made.rows.append(Row(scenario=scenario, before=sides[0], after=sides[1]))
    return made
