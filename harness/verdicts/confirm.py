"""Whether the calls that a cause names really break a cell: what to refuse, and what came of it.

The cell is run where it works, with exactly these calls answered as they were where it broke.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.findings import Cause, Field, Finding
from harness.model.observations import Observation, Origin, Verdict
from harness.verdicts.enosys import ENOSYS
from harness.verdicts.views import RAN

Refusals = Mapping[str, str]
"""System calls by name, and the errno that each is answered with."""


def trials(finding: Finding) -> tuple[Refusals, ...]:
    """Return what to refuse, one run after the other until one reproduces the failure.

    First the suspected call alone. A program may come to it only after others were refused as
    well, so then every call that is newly missing there.
    """
    cause = finding.cause
    if cause is None:
        return ()
    alone = {cause.syscall: cause.errno}
    missing = {
        one.syscall: ENOSYS
        for one in finding.differences
        if one.field is Field.ENOSYS and one.after == ENOSYS
    }
    together = {**missing, **alone}
    return (alone,) if together == alone else (alone, together)


def confirmed(
    cause: Cause, refused: Refusals, broken: Observation, trial: Observation
) -> Cause | None:
    """Return the cause with what a trial says of it; None: the trial says nothing.

    ``broken`` is the cell where it fails. The failure is reproduced when the same step ends in
    the same way and the suspected call was really refused in the trial.
    """
    words = " and ".join(f"{errno} to {name}" for name, errno in refused.items())
    if trial.verdict not in RAN or trial.environment is None:
        return None
    met = any(
        (one.name, one.errno, one.origin) == (cause.syscall, cause.errno, Origin.SECCOMP)
        for one in trial.failures
    )
    where = f"on {trial.kernel}, where it works, with {words} as the only change"
    if not met:
        sentence = f"{where}: {cause.syscall} was never called"
    elif trial.verdict is Verdict.PASSED:
        sentence = f"{where}: it passes all the same"
    elif ending(trial) != ending(broken):
        sentence = f"{where}: it fails in another way, {trial.reason.splitlines()[0]}"
    else:
        sentence = f"{where}: it fails in the same way"
        return replace(cause, confirmed=True, evidence=(*cause.evidence, sentence))
    return replace(cause, confirmed=False, evidence=(*cause.evidence, sentence))


def ending(observation: Observation) -> tuple[object, ...]:
    """Return which step failed and how; of a service, how it ended."""
    for number, step in enumerate(observation.steps):
        if step.unmet or step.timed_out:
            return (number, step.exit, step.signal, step.timed_out)
    last = observation.steps[-1] if observation.steps else None
    return (observation.verdict, last.exit if last else None, last.signal if last else None)
