"""Single calls refused on top of a profile, as a kernel without them would answer."""

from __future__ import annotations

import errno as errnos
from collections.abc import Mapping
from dataclasses import replace

from harness.container.filtering import Traits
from harness.container.seccomp import ALLOW, ERRNO, Filter, Rule
from harness.errors import UsageError

NOTHING = Filter(
    default_action=ALLOW,
    default_errno=None,
    architectures=("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"),
    rules=(),
)
"""A filter that refuses nothing, for what runs unconfined."""


def added(
    profile: Filter, refuse: Mapping[str, str], numbers: Mapping[str, int], traits: Traits
) -> Filter:
    """Return ``profile`` with the calls of ``refuse`` answered by the errno of that name.

    Rules of the profile for these calls are dropped: of two rules for one call libseccomp keeps
    the first without conditions, and crun gives up on rules that contradict each other.

    Raises:
        UsageError: there is no such errno or call, or the runtime's libseccomp does not know the
            call and would leave the rule out.
    """
    kept = []
    for rule in profile.rules:
        names = tuple(name for name in rule.names if name not in refuse)
        if names:
            kept.append(replace(rule, names=names))
    rules = [_rule(name, errno, numbers, traits) for name, errno in refuse.items()]
    return replace(profile, rules=(*rules, *kept))


def _rule(name: str, errno: str, numbers: Mapping[str, int], traits: Traits) -> Rule:
    value = getattr(errnos, errno, None)
    if not isinstance(value, int):
        raise UsageError(f"{name} cannot be refused with {errno}: there is no errno of that name")
    if name not in numbers or not traits.knows(numbers[name]):
        raise UsageError(f"{name} cannot be refused: the runtime's libseccomp does not know it")
    return Rule(names=(name,), action=ERRNO, errno=value)
