"""What a runtime makes of a resolved profile: which calls it refuses, and with what.

The runtime and its libseccomp have a say in the answer: rules for calls that this libseccomp
does not know are dropped, runc answers ENOSYS by itself to calls newer than the profile, old
runtimes do not honour ``defaultErrnoRet``. What is handed to a runtime is therefore fitted to
it, and the answers are those of the pair.
"""

from __future__ import annotations

import errno as errnos
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.container.seccomp import ERRNO, Filter, Rule, outcome, permits

_NATIVE = "SCMP_ARCH_X86_64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is known of a runtime (``runtimes`` of kernels/seccomp.yaml says where from)."""

    newest: int
    gaps: tuple[int, ...] = ()
    stubs: bool = False
    default_errno: bool = True
    redundant: bool = True

    def knows(self, number: int) -> bool:
        """Tell whether the runtime's libseccomp knows the call."""
        return number <= self.newest and number not in self.gaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A profile as a certain runtime gets it. ``notes`` say what is not as the engine had it."""

    filter: Filter
    traits: Traits
    stub_above: int | None = None
    """Above this number the runtime itself answers ENOSYS."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a call. ``always`` is False where it depends on the call's arguments."""

    refused: bool
    always: bool
    errno: int | None
    """What the program sees of a refusal; None when it is allowed, or killed for it."""


def fit(
    resolved: Filter, traits: Traits, numbers: Mapping[str, int], *, stubs_of_day: bool = True
) -> Fitted:
    """Fit a profile to a runtime; ``numbers`` are x86_64's system calls by name.

    ``stubs_of_day`` False: the runtimes of the profile's day answered nothing of their own to
    calls newer than it, so this one shall not either (kernels/seccomp.yaml, ``stubs``).
    """
    if permits(resolved.default_action):
        return Fitted(filter=resolved, traits=traits)
    notes: list[str] = []
    fitted = resolved
    if not traits.default_errno and resolved.default != (ERRNO, errnos.EPERM):
        fitted = replace(fitted, rules=(*fitted.rules, _rest(fitted, traits, numbers)))
        fitted = replace(fitted, default_errno=None)
        if not traits.stubs:
            notes.append(
                f"this runtime ignores the profile's default errno: numbers above {traits.newest} "
                "answer EPERM"
            )
    if not traits.redundant:
        kept = tuple(
            rule for rule in fitted.rules if outcome(rule.action, rule.errno) != fitted.default
        )
        fitted = replace(fitted, rules=kept)
    if traits.stubs and not stubs_of_day:
        fitted, note = _without_stub(fitted, traits, numbers)
        notes.append(note)
    return Fitted(
        filter=fitted,
        traits=traits,
        stub_above=_stub_above(fitted, traits, numbers),
        notes=tuple(notes),
    )


def _rest(resolved: Filter, traits: Traits, numbers: Mapping[str, int]) -> Rule:
    """Return a rule that says the default for each call that no rule names."""
    named = {name for rule in resolved.rules for name in rule.names}
    names = sorted(
        name for name, number in numbers.items() if name not in named and traits.knows(number)
    )
    action, errno = resolved.default
    return Rule(names=tuple(names), action=action, errno=errno)


def _without_stub(
    resolved: Filter, traits: Traits, numbers: Mapping[str, int]
) -> tuple[Filter, str]:
    if traits.redundant:
        rules = (*resolved.rules, _rest(resolved, traits, numbers))
        return replace(resolved, rules=rules), (
            f"runc answers ENOSYS to calls above {traits.newest}, where the runtimes of the "
            "profile's day answered as to any other that is not listed"
        )
    left = tuple(name for name in resolved.architectures if name != _NATIVE)
    return replace(resolved, architectures=left), (
        "runc answers ENOSYS to 32-bit programs' calls newer than the profile, where the runtimes "
        "of its day answered as to any other that is not listed"
    )


def _stub_above(resolved: Filter, traits: Traits, numbers: Mapping[str, int]) -> int | None:
    if not traits.stubs:
        return None
    if traits.default_errno and resolved.default == (ERRNO, errnos.ENOSYS):
        return None
    if not traits.redundant and _NATIVE not in resolved.architectures:
        return None  # runc 1.0.0-rc93 makes stubs for the listed architectures only
    known = [
        numbers[name]
        for rule in resolved.rules
        for name in rule.names
        if name in numbers and traits.knows(numbers[name])
    ]
    return max(known, default=None)


def answer(fitted: Fitted, name: str, number: int | None) -> Answer:
    """Return what becomes of a call; ``number`` None: one that x86_64 does not have."""
    if number is not None and fitted.stub_above is not None and number > fitted.stub_above:
        return Answer(True, True, errnos.ENOSYS)
    default = fitted.filter.default
    known = number is None or fitted.traits.knows(number)
    outcomes = {default}
    conditional = False
    for rule in fitted.filter.rules:
        said = outcome(rule.action, rule.errno)
        # Runtimes drop a rule that says the default before it can matter.
        if name not in rule.names or said == default or not known:
            continue
        if not rule.args:
            # libseccomp: the first rule without conditions stands, whatever comes after or before.
            outcomes, conditional = {said}, False
            break
        outcomes.add(said)
        conditional = True
    refusals = [said for said in outcomes if not permits(said[0])]
    if not refusals:
        return Answer(False, True, None)
    errno = next((number for _, number in refusals if number is not None), None)
    return Answer(True, not conditional or len(refusals) == len(outcomes), errno)


def refusable(fitted: Fitted, numbers: Mapping[str, int]) -> frozenset[int]:
    """Return the numbers, of the given table, that the filter refuses always or at times.

    A call that the table does not have falls to the default or the stub: arm what lies above
    the table as well.
    """
    return frozenset(
        number for name, number in numbers.items() if answer(fitted, name, number).refused
    )
