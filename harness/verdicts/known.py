"""Known differences of a scenario against what a cell really did, and against a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.findings import Difference
from harness.model import scenarios
from harness.model.observations import Failure, Observation, Verdict
from harness.verdicts.outcome import Known
from harness.verdicts.processes import ended_well

_RAN = frozenset({Verdict.PASSED, Verdict.FAILED, Verdict.DIED, Verdict.TIMED_OUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the known differences say of a cell."""

    state: Known = Known.NO
    entry: scenarios.Known | None = None
    """The entry that covers the failure, or that said there would be one."""
    stale: tuple[scenarios.Known, ...] = ()
    """Entries that apply to this kernel and of which nothing happened."""


def judge(
    observation: Observation,
    entries: Iterable[scenarios.Known],
    applies: Callable[[str], bool],
) -> Judgement:
    """Compare a cell with the known differences of its scenario.

    ``applies`` says whether a kernel selection includes the cell's kernel. An entry that names
    a system call, an errno or a program covers a failure if such a call failed in a process
    that did not end well; one that names nothing covers any failure; one that names another
    ``field`` than a verdict is about outputs and is left to the comparison of observations.
    """
    if observation.verdict not in _RAN:
        return Judgement()
    here = [entry for entry in entries if applies(entry.kernels)]
    if observation.verdict is not Verdict.PASSED:
        covering = next((entry for entry in here if covers(entry, observation)), None)
        state = Known.NO if covering is None else Known.COVERED
        stale = tuple(e for e in here if _names_call(e) and is_stale(e, observation))
        return Judgement(state=state, entry=covering, stale=stale)
    stale = tuple(entry for entry in here if is_stale(entry, observation))
    said = next((entry for entry in stale if _about_verdict(entry)), None)
    return Judgement(state=Known.NO if said is None else Known.COVERED, entry=said, stale=stale)


def matches(entry: scenarios.Known, failure: Failure) -> bool:
    """Whether a failing call is the one that a known difference names."""
    return (
        entry.syscall in ("", failure.name)
        and entry.errno in ("", failure.errno)
        and entry.program in ("", failure.program)
    )


def covers(entry: scenarios.Known, observation: Observation) -> bool:
    """Whether a known difference explains that a cell failed."""
    if entry.where or entry.field not in ("", "verdict", observation.verdict.value):
        return False
    if not _names_call(entry):
        return True
    return any(
        matches(entry, failure) and ended_well(observation, failure) is not True
        for failure in observation.failures
    )


def explains(entry: scenarios.Known, difference: Difference, step: str) -> bool:
    """Whether a difference between two sides is the known one; ``step`` is its step's name."""
    if entry.where not in ("", step):
        return False
    if entry.field and entry.field != difference.field.value:
        return False
    if not _names_call(entry):
        return bool(entry.field or entry.where)  # else it is about the failure of a cell
    return (
        bool(difference.syscall)
        and entry.syscall in ("", difference.syscall)
        and entry.errno in ("", difference.before, difference.after)
        and entry.program in ("", difference.program)
    )


def is_stale(entry: scenarios.Known, observation: Observation) -> bool:
    """Whether nothing of what a known difference says of a cell happened in it.

    One about outputs is never stale by the cell alone: see :func:`about_outputs`.
    """
    if not _names_call(entry):
        return _about_verdict(entry) and observation.verdict is Verdict.PASSED
    if not observation.traced or observation.lost_events:
        return False  # it may have happened unseen
    return not any(matches(entry, failure) for failure in observation.failures)


def about_outputs(entry: scenarios.Known) -> bool:
    """Whether an entry is about what only a comparison shows."""
    return not _names_call(entry) and not _about_verdict(entry)


def _names_call(entry: scenarios.Known) -> bool:
    return bool(entry.syscall or entry.errno or entry.program)


def _about_verdict(entry: scenarios.Known) -> bool:
    return not _names_call(entry) and not entry.where and entry.field in ("", "verdict", *Verdict)
