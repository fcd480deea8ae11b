"""How outcomes and findings look, wherever they are shown: a symbol, a word, and a tone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.findings import Kind
from harness.model.observations import Verdict
from harness.verdicts.outcome import Outcome


class Tone(StrEnum):
    """What a colour stands for; each way of showing it has colours of its own."""

    PASSED = "passed"
    ENOSYS = "enosys"
    KNOWN = "known"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    ASIDE = "aside"
    """Did not run, and was not meant to."""


@dataclass(frozen=True, slots=True)
class Look:
    """One verdict, or one class of finding."""

    symbol: str
    ascii: str
    short: str
    tone: Tone


LOOKS = {
    Verdict.PASSED: Look("✓", "+", "passed", Tone.PASSED),
    Verdict.FAILED: Look("✗", "x", "failed", Tone.FAILED),
    Verdict.DIED: Look("†", "!", "guest died", Tone.FAILED),
    Verdict.TIMED_OUT: Look("◔", "@", "timed out", Tone.FAILED),
    Verdict.UNSUPPORTED: Look("⊘", "-", "unsupported", Tone.ASIDE),
    Verdict.UNAVAILABLE: Look("?", "?", "unavailable", Tone.UNAVAILABLE),
    Verdict.SKIPPED: Look("○", "o", "skipped", Tone.ASIDE),
}
NOT_RUN = Look("·", ".", "not run", Tone.ASIDE)
KINDS = {
    Kind.BROKEN: Look("✗", "x", "broken", Tone.FAILED),
    Kind.DEGRADED: Look("▼", "v", "degraded", Tone.ENOSYS),
    Kind.CHANGED: Look("≠", "~", "changed", Tone.ENOSYS),
    Kind.UNKNOWN: Look("?", "?", "unknown", Tone.UNAVAILABLE),
    Kind.FIXED: Look("▲", "^", "fixed", Tone.PASSED),
    Kind.SAME: Look("=", "=", "same", Tone.PASSED),
}


def tone(outcome: Outcome) -> Tone:
    """Return what a cell's colour says."""
    if outcome.known:
        return Tone.KNOWN
    if outcome.enosys and outcome.rule.verdict is Verdict.PASSED:
        return Tone.ENOSYS
    return LOOKS[outcome.rule.verdict].tone


def brief(outcome: Outcome) -> str:
    """Return a cell's words where room is scarce: ``passed +2``, ``failed, known``."""
    count = f" +{outcome.enosys}" if outcome.enosys else ""
    return f"{LOOKS[outcome.rule.verdict].short}{count}{', known' if outcome.known else ''}"
