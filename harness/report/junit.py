"""A cell's facts as JUnit properties."""

from __future__ import annotations

from harness.model.observations import Observation
from harness.report.plain import clean
from harness.verdicts.enosys import describe, distinct
from harness.verdicts.outcome import Outcome


def properties(observation: Observation, outcome: Outcome) -> tuple[tuple[str, str], ...]:
    """Return (name, value) pairs; ``enosys`` comes once for each distinct one.

    Names are stable: whoever reads them may rely on them.
    """
    pairs = [
        ("kernel", observation.kernel),
        ("image", observation.image),
        ("scenario", observation.scenario),
        ("verdict", observation.verdict.value),
        ("outcome", outcome.text),
        ("reason", observation.reason),
        *_environment(observation),
        ("enosys_count", str(outcome.enosys)),
        *(
            ("enosys", f"{describe(item)} {item.program} {item.origin.value}: {item.coped.value}")
            for item in distinct(observation)
        ),
        ("lost_events", str(observation.lost_events) if observation.lost_events else ""),
        ("traced", "" if observation.traced else "false"),
    ]
    return tuple((name, clean(value)) for name, value in pairs if value)


def _environment(observation: Observation) -> list[tuple[str, str]]:
    environment = observation.environment
    if environment is None:
        return []
    return [
        ("kernel_release", environment.release),
        ("kernel_origin", environment.kernel_origin),
        ("image_ref", environment.image_ref),
        ("image_digest", environment.image_digest),
        ("accelerator", environment.accelerator.value),
        ("cpu", environment.cpu),
        ("qemu", environment.qemu),
        ("engine", environment.engine.value),
        ("runtime", environment.runtime),
        ("seccomp", environment.seccomp),
        ("cgroup", environment.cgroup),
    ]
