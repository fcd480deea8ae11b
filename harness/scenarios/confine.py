"""The seccomp filter of one cell: what the runtime gets, and what the tracer must watch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.container import filtering, refusing, seccomp
from harness.container.filtering import Traits
from harness.container.profiles import Chosen
from harness.container.seccomp import Filter
from harness.model.hosts import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Confined:
    """A resolved profile; ``filter`` None means that nothing is refused."""

    title: str
    filter: Filter | None = None
    refusable: frozenset[int] = frozenset()
    """x86_64 numbers that it refuses, always or for some arguments."""
    conditional: frozenset[int] = frozenset()
    """Those of them that it refuses for some arguments only."""
    notes: tuple[str, ...] = ()


def confine(
    chosen: Chosen,
    *,
    engine: Engine,
    capabilities: Collection[str],
    release: str,
    traits: Traits,
    numbers: Mapping[str, int],
    refuse: Mapping[str, str] = MappingProxyType({}),
) -> Confined:
    """Resolve a profile as the engine does and fit it to the runtime at hand.

    ``numbers`` are x86_64's system calls by name; ``refuse`` are calls that are to be refused
    besides, and the errno that each is answered with.

    Raises:
        ConfigError: the profile cannot be read.
        UsageError: a call cannot be refused by this runtime.
    """
    resolved = None
    if chosen.profile is not None:
        resolved = seccomp.resolve(
            chosen.profile,
            engine=engine,
            capabilities=capabilities,
            release=release,
            where=chosen.title,
        )
    if refuse:
        resolved = refusing.added(resolved or refusing.NOTHING, refuse, numbers, traits)
    if resolved is None:
        return Confined(title=chosen.title)
    fitted = filtering.fit(resolved, traits, numbers, stubs_of_day=chosen.stubs_of_day)
    refusable = filtering.refusable(fitted, numbers)
    conditional = frozenset(
        number
        for name, number in numbers.items()
        if number in refusable and not filtering.answer(fitted, name, number).always
    )
    return Confined(
        title=chosen.title,
        filter=fitted.filter,
        refusable=refusable,
        conditional=conditional,
        notes=fitted.notes,
    )
