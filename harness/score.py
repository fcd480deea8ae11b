"""Run the corpus of documented breakages, each case on its hosts, and score what is named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.cells import Cell, running
from harness.errors import ConfigError, UsageError
from harness.kernels.catalog import by_name, parse_adhoc
from harness.laboratory import Laboratory, not_run
from harness.model.cases import Case, Expected
from harness.model.causes import KnownCause
from harness.model.hosts import HostEntry
from harness.model.observations import Observation, Verdict
from harness.results.runs import RunDir
from harness.verdicts.explanation import explain
from harness.verdicts.score import Scored, scored
from harness.yamlvalues import did_you_mean

BY_HAND = "enterprise"
"""Tag of hosts whose kernels no mirror has that every machine reaches: they count apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One case on one host."""

    case: Case
    expected: Expected
    entry: HostEntry

    @property
    def cell(self) -> Cell:
        """What runs."""
        return Cell(scenario=self.case.scenario, image=self.case.image, entry=self.entry)


def supplied(entries: Sequence[HostEntry], texts: Sequence[str]) -> list[HostEntry]:
    """Return the hosts with the kernels that were given by path instead of their own.

    ``NAME=PATH[,modules=DIR]`` names a host of the catalog; every host on the same source gets
    that kernel, and keeps its engine, profile and settings.

    Raises:
        UsageError: a text is not of that form, or names no host.
    """
    given = [parse_adhoc(text) for text in texts]
    hosts = by_name(entries)
    for one in given:
        if one.name not in hosts:
            hint = did_you_mean(one.name, list(hosts))
            raise UsageError(f"--kernel {one.name}=...: there is no such host; {hint}")
    found = []
    for entry in entries:
        own = next((one for one in given if hosts[one.name].source == entry.source), None)
        found.append(replace(entry, source=own.source, flavour="") if own else entry)
    return found


def plan(
    cases: Sequence[Case], entries: Sequence[HostEntry], causes: Collection[KnownCause]
) -> list[Try]:
    """Return each case on each of its hosts, host by host.

    Raises:
        ConfigError: a case names a host or a cause that there is not.
    """
    hosts = by_name(entries)
    known = {cause.name for cause in causes}
    tries = []
    for case in cases:
        for expected in case.expected:
            if expected.cause and expected.cause not in known:
                raise _error(case, expected, "cause", expected.cause, known)
            for host in expected.hosts:
                if host not in hosts:
                    raise _error(case, expected, "host", host, hosts)
                tries.append(Try(case=case, expected=expected, entry=hosts[host]))
    order = list(dict.fromkeys(entry.name for entry in entries))
    return sorted(tries, key=lambda one: order.index(one.entry.name))


def carry_out(
    tries: Sequence[Try],
    laboratory: Laboratory,
    causes: Sequence[KnownCause],
    run: RunDir,
    say: Callable[[str], None],
) -> tuple[list[Scored], list[Observation]]:
    """Run the cells, recorded in ``run``, and return what each is worth and what was seen.

    Raises:
        StoreError: a cell cannot be recorded.
    """
    cells, observations = [], []
    with running([one.cell for one in tries], laboratory, run) as ran:
        for one in tries:
            seen = ran.of(one.cell)
            cell = score_of(one, seen, causes)
            cells.append(cell)
            observations.append(seen)
            said = f": {cell.why}" if cell.why else ""
            say(f"{one.case.name} on {one.entry.name}: {cell.mark.value}{said}")
    return cells, observations


def score_of(one: Try, seen: Observation, causes: Sequence[KnownCause]) -> Scored:
    """Return what an observation of a case on a host is worth."""
    apart = BY_HAND in one.entry.tags
    return scored(one.case, one.expected, seen, explain(seen, causes), apart=apart)


def recorded(tries: Sequence[Try], seen: Iterable[Observation]) -> list[Observation]:
    """Return what runs hold of each cell, of several the last; one that they lack is unavailable.

    What was recorded of another text of the scenario does not count.
    """
    by_id = {one.id: one for one in seen}
    found = []
    for one in tries:
        cell = one.cell
        blank = not_run(cell.id, cell.scenario, cell.image, cell.entry)
        kept = by_id.get(cell.id)
        if kept is None or kept.scenario_digest != blank.scenario_digest:
            why = "no run has it" if kept is None else "its scenario was another one then"
            kept = replace(blank, verdict=Verdict.UNAVAILABLE, reason=why)
        found.append(kept)
    return found


def _error(
    case: Case,
    expected: Expected,
    what: str,
    name: str,
    known: Collection[str] | Mapping[str, object],
) -> ConfigError:
    path = case.scenario.file
    hint = did_you_mean(name, sorted(known))
    return ConfigError(path, expected.line, f"there is no {what} {name!r}; {hint}".rstrip("; "))
