"""Entries of known differences that would cover a finding, for a person to review."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.findings import Difference, Field, Finding, Kind
from harness.model.scenarios import Known
from harness.scenarios.accepted import Accepted

_ACCEPTABLE = frozenset({Kind.BROKEN, Kind.DEGRADED, Kind.CHANGED})


def proposals(findings: Iterable[Finding], when: str) -> tuple[Accepted, ...]:
    """Return an entry for each difference that is not known yet; ``when`` goes to the reason."""
    return tuple(
        Accepted(known=known, scenario=_literal(finding.scenario), image=_literal(finding.image))
        for finding in findings
        if finding.kind in _ACCEPTABLE
        for known in dict.fromkeys(_entries(finding, when))
    )


def _entries(finding: Finding, when: str) -> Iterator[Known]:
    kernels = finding.after.kernel
    reason = f"to be reviewed: {finding.kind.value} against {finding.before.kernel}, {when}"
    if finding.kind is Kind.BROKEN:
        cause = finding.cause
        if cause is None:
            yield Known(kernels=kernels, reason=reason, field=Field.VERDICT.value)
            return
        yield Known(
            kernels=kernels,
            reason=reason,
            syscall=cause.syscall,
            errno=cause.errno,
            program=cause.program,
        )
        return
    for one in finding.differences:
        yield _entry(one, kernels, reason)


def _entry(one: Difference, kernels: str, reason: str) -> Known:
    if one.syscall:
        return Known(
            kernels=kernels,
            reason=reason,
            syscall=one.syscall,
            errno=one.errno,
            program=one.program,
        )
    return Known(kernels=kernels, reason=reason, field=one.field.value)


def _literal(name: str) -> str:
    """Return the glob that matches a name alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
