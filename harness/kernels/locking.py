"""``harness kernels lock``: the one place that writes lock files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.errors import UnavailableError, UsageError
from harness.kernels.catalog import by_name
from harness.kernels.lock import read_locks, update_locks
from harness.kernels.schema import describe
from harness.kernels.sources import Resolver, resolve
from harness.kernels.tools import ToolSetSpec, resolve_set
from harness.model.hosts import HostEntry, LocalSource, Lock
from harness.yamlfile import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What became of one name.

    ``before`` is None when it was not locked; ``after`` is None when it could not be locked
    now, which ``problem`` says: the file then still has ``before``.
    """

    name: str
    before: Lock | None
    after: Lock | None
    problem: str = ""

    @property
    def changed(self) -> bool:
        """Whether the lock file says something else now."""
        return self.after is not None and self.before != self.after


def lock_kernels(
    names: Sequence[str],
    entries: Sequence[HostEntry],
    *,
    file: Path,
    resolver: Resolver,
) -> list[Locked]:
    """Resolve kernels anew, all without names, and write them into ``file``.

    Local kernels have nothing to lock and are left out of all, and so are entries on the source
    of an earlier one, whose lock is theirs too. One that cannot be had now does not keep the
    others from being locked: its result says why.

    Raises:
        UsageError: a name is no entry's.
        VerificationError: a signature or checksum does not hold; nothing was written.
    """
    known = by_name(entries)
    _check(names, known, "kernel")
    chosen = [known[name] for name in names] or _one_a_source(entries)
    return _write(file, {entry.name: partial(resolve, entry, resolver) for entry in chosen})


def lock_tools(
    names: Sequence[str],
    specs: Mapping[str, ToolSetSpec],
    *,
    file: Path,
    resolver: Resolver,
) -> list[Locked]:
    """Resolve tool sets anew, all without names, and write them into ``file``.

    Raises:
        UsageError: a name is no set's.
        VerificationError: a signature or checksum does not hold; nothing was written.
    """
    _check(names, specs, "tool set")
    suites = resolver.suites
    return _write(
        file, {name: partial(resolve_set, specs[name], suites) for name in names or specs}
    )


def _one_a_source(entries: Sequence[HostEntry]) -> list[HostEntry]:
    lockable = [entry for entry in entries if not isinstance(entry.source, LocalSource)]
    first = {describe(entry.source, entry.flavour): entry for entry in reversed(lockable)}
    return [entry for entry in lockable if entry in first.values()]


def _check(names: Sequence[str], known: Mapping[str, object], what: str) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"there is no {what} {name!r}; {did_you_mean(name, list(known))}")


def _write(file: Path, wanted: Mapping[str, Callable[[], Lock]]) -> list[Locked]:
    before = read_locks([file])
    results = [_locked(name, before.get(name), resolving) for name, resolving in wanted.items()]
    fresh = {result.name: result.after for result in results if result.after is not None}
    if fresh:
        update_locks(file, fresh)
    return results


def _locked(name: str, before: Lock | None, resolving: Callable[[], Lock]) -> Locked:
    try:
        return Locked(name=name, before=before, after=resolving())
    except UnavailableError as error:
        return Locked(name=name, before=before, after=None, problem=str(error))
