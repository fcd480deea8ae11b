"""Run the corpus of documented breakages, each case on its hosts, and score what is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import process
from harness.errors import ConfigError, UsageError
from harness.kernels.catalog import parse_adhoc
from harness.laboratory import Laboratory, not_run
from harness.model.cases import Case, Expected
from harness.model.causes import KnownCause
from harness.model.hosts import HostEntry
from harness.model.observations import Observation, Verdict
from harness.results.runs import RunDir
from harness.scenarios.ahead import Ahead
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
    def id(self) -> str:
        """The cell's id, which is pytest's for the same cell."""
        scenario = self.case.scenario
        return f"{scenario.file}::{scenario.name}[{self.case.image}-{self.entry.name}]"


def supplied(entries: Sequence[HostEntry], texts: Sequence[str]) -> list[HostEntry]:
    """Return the hosts with the kernels that were given by path instead of their own.

    ``NAME=PATH[,modules=DIR]`` names a host of the catalog; every host on the same source gets
    that kernel, and keeps its engine, profile and settings.

    Raises:
        UsageError: a text is not of that form, or names no host.
    """
    given = [parse_adhoc(text) for text in texts]
    by_name = {name: entry for entry in entries for name in (entry.name, *entry.aliases)}
    for one in given:
        if one.name not in by_name:
            hint = did_you_mean(one.name, list(by_name))
            raise UsageError(f"--kernel {one.name}=...: there is no such host; {hint}")
    found = []
    for entry in entries:
        own = next((one for one in given if by_name[one.name].source == entry.source), None)
        found.append(replace(entry, source=own.source, flavour="") if own else entry)
    return found


def plan(
    cases: Sequence[Case], entries: Sequence[HostEntry], causes: Collection[KnownCause]
) -> list[Try]:
    """Return each case on each of its hosts, host by host.

    Raises:
        ConfigError: a case names a host or a cause that there is not.
    """
    by_name = {name: entry for entry in entries for name in (entry.name, *entry.aliases)}
    known = {cause.name for cause in causes}
    tries = []
    for case in cases:
        for expected in case.expected:
            if expected.cause and expected.cause not in known:
                raise _error(case, expected, "cause", expected.cause, known)
            for host in expected.hosts:
                if host not in by_name:
                    raise _error(case, expected, "host", host, by_name)
                tries.append(Try(case=case, expected=expected, entry=by_name[host]))
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

    def observe(one: Try) -> Observation:
        scenario = one.case.scenario
        seen = laboratory.observe(
            one.id, scenario, one.case.image, one.entry, run.console_path(one.id)
        )
        run.write_cell(seen)
        return seen

    def interrupt() -> None:
        laboratory.assembly.apparatus.keeper.end()
        process.end_running()

    jobs = [(one.id, _job(observe, one)) for one in tries]
    ahead = Ahead(jobs, 2 * len(os.sched_getaffinity(0)))
    cells, observations = [], []
    try:
        for one in tries:
            seen = ahead.result(one.id, _job(observe, one))
            cell = score_of(one, seen, causes)
            cells.append(cell)
            observations.append(seen)
            said = f": {cell.why}" if cell.why else ""
            say(f"{one.case.name} on {one.entry.name}: {cell.mark.value}{said}")
    finally:
        ahead.close(interrupt)
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
        blank = not_run(one.id, one.case.scenario, one.case.image, one.entry)
        kept = by_id.get(one.id)
        if kept is None or kept.scenario_digest != blank.scenario_digest:
            why = "no run has it" if kept is None else "its scenario was another one then"
            kept = replace(blank, verdict=Verdict.UNAVAILABLE, reason=why)
        found.append(kept)
    return found


def _job(observe: Callable[[Try], Observation], one: Try) -> Callable[[], Observation]:
    return lambda: observe(one)


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
