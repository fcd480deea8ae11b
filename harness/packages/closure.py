"""Which packages belong together: dependencies followed through one index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from harness.errors import UnavailableError
from harness.packages.index import Index, Package, Relation

Group = tuple[Relation, ...]
"""Alternatives, one of which is needed."""


def exact(index: Index, name: str) -> list[Package]:
    """Return ``name`` and what it depends on in exactly one version, all the way down.

    A kernel's packages depend on each other by ``(= VERSION)``; what else they depend on
    (kmod, an initramfs builder) is not part of the kernel.

    Raises:
        UnavailableError: the index lacks one of them.
    """
    return _walk(index, [name], lambda group: all(part.operator == "=" for part in group))


def depends(index: Index, names: Iterable[str], without: Collection[str] = ()) -> list[Package]:
    """Return the packages named, and all that they depend on, sorted by name.

    Recommends are not followed; of alternatives the first that exists is taken. What
    ``without`` names is left out along with what only it needs.

    Raises:
        UnavailableError: the index lacks one of them.
    """
    found = _walk(
        index, names, lambda group: not any(relation.name in without for relation in group)
    )
    return sorted(found, key=lambda package: package.locked.name)


def _walk(index: Index, names: Iterable[str], follow: Callable[[Group], bool]) -> list[Package]:
    """Return the packages named and what they depend on by the groups to ``follow``, each once."""
    found: dict[str, Package] = {}
    waiting = [index.get(name) for name in names]
    while waiting:
        package = waiting.pop(0)
        if package.locked.name in found:
            continue
        found[package.locked.name] = package
        waiting += [_first(index, group, package) for group in package.depends if follow(group)]
    return list(found.values())


def _first(index: Index, group: Iterable[Relation], package: Package) -> Package:
    group = tuple(group)
    for relation in group:
        found = index.find(relation)
        if found is not None:
            return found
    wanted = " | ".join(
        f"{item.name} ({item.operator} {item.version})" if item.operator else item.name
        for item in group
    )
    raise UnavailableError(
        f"{index.where}: {package.locked.name} depends on {wanted}, which is not there"
    )
