"""Selecting kernels: ``all``, names, globs, comparisons and tags, joined by commas.

A comparison is by major and minor of the locked release: ``5.14+``, ``5.10..6.12``, ``>=5.14``,
``<6``. With a major alone the minor does not matter: ``<=6`` includes 6.12.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.errors import UsageError
from harness.kernels import bzimage
from harness.kernels.schema import ALTERNATIVE
from harness.model.hosts import HostEntry, LocalSource, Lock
from harness.yamlfile import did_you_mean

DEFAULT_TAG = "default"

_NUMBER = r"(\d+(?:\.\d+)?)"
_AT_LEAST = re.compile(rf"{_NUMBER}\+")
_RANGE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}")
_COMPARISON = re.compile(rf"(>=|<=|>|<|==?)\s*{_NUMBER}")
_TAG = "tag:"

Version = tuple[int, int]
_Test = Callable[[Version], bool]


@dataclass(frozen=True, slots=True)
class _Candidate:
    names: tuple[str, ...]
    tags: tuple[str, ...]
    version: Version | None


def select(
    expression: str | None, entries: Sequence[HostEntry], locks: Mapping[str, Lock]
) -> list[HostEntry]:
    """Return the entries that an expression means, each once, in the order of its parts.

    Without an expression, those tagged ``default``.

    Raises:
        UsageError: a part is unknown, or means no kernel at all.
    """
    parts = [part.strip() for part in (expression or f"{_TAG}{DEFAULT_TAG}").split(",")]
    parts = [part for part in parts if part]
    if not parts:
        raise UsageError(f"no kernel is named in {expression!r}; {_known(entries)}")
    chosen: dict[str, HostEntry] = {}
    for part in parts:
        for entry in _meant(part, entries, locks):
            chosen.setdefault(entry.name, entry)
    return list(chosen.values())


def applies(
    expression: str,
    *,
    name: str,
    release: str,
    aliases: Sequence[str] = (),
    tags: Sequence[str] = (),
) -> bool:
    """Whether a kernel is one of those that a scenario's ``kernels:`` means; empty means all.

    A name that is no kernel's is not an error here: another catalog may have it.
    """
    parts = [part.strip() for part in expression.split(",") if part.strip()]
    candidate = _Candidate((name, *aliases), tuple(tags), version_in(release) or version_in(name))
    return not parts or any(_matches(part, candidate) for part in parts)


def version_in(text: str) -> Version | None:
    """Return major and minor that a release or name begins with, or None."""
    match = re.match(r"(\d+)\.(\d+)(?![A-Za-z0-9])", text)
    return (int(match[1]), int(match[2])) if match else None


def version_of(entry: HostEntry, locks: Mapping[str, Lock]) -> Version | None:
    """Return major and minor of an entry: its lock's, else its file's, else its name's."""
    release = locks[entry.name].release if entry.name in locks else ""
    if not release and isinstance(entry.source, LocalSource):
        try:
            release = bzimage.release_of(entry.source.image)
        except UsageError:  # said when the kernel is needed
            release = ""
    return version_in(release) or version_in(entry.name)


def _meant(part: str, entries: Sequence[HostEntry], locks: Mapping[str, Lock]) -> list[HostEntry]:
    for named in (
        [entry for entry in entries if entry.name == part],
        [entry for entry in entries if part in entry.aliases],
    ):
        if named:
            return named
    comparison = _comparison(part) is not None
    found = [
        entry
        for entry in entries
        if not (comparison and ALTERNATIVE in entry.tags)
        and _matches(
            part, _Candidate((entry.name, *entry.aliases), entry.tags, version_of(entry, locks))
        )
    ]
    if found:
        return found
    if part.startswith(_TAG):
        tags = sorted({tag for entry in entries for tag in entry.tags})
        hint = did_you_mean(part.removeprefix(_TAG), tags)
        raise UsageError(f"no kernel is tagged {part.removeprefix(_TAG)!r}; {hint}")
    if comparison or _is_glob(part) or part == "all":
        raise UsageError(f"no kernel matches {part!r}; {_known(entries)}")
    names = [name for entry in entries for name in (entry.name, *entry.aliases)]
    hint = did_you_mean(part, names)
    remark = f"{hint} " if hint.startswith("did") else ""
    raise UsageError(f"unknown kernel {part!r}; {remark}{_known(entries)}")


def _matches(part: str, candidate: _Candidate) -> bool:
    if part == "all":
        return ALTERNATIVE not in candidate.tags
    if part in candidate.names:
        return True
    if part.startswith(_TAG):
        return part.removeprefix(_TAG) in candidate.tags
    test = _comparison(part)
    if test is not None:
        return candidate.version is not None and test(candidate.version)
    return _is_glob(part) and any(fnmatchcase(name, part) for name in candidate.names)


def _comparison(part: str) -> _Test | None:
    """Return the test that a comparison means, or None when ``part`` is none."""
    if match := _AT_LEAST.fullmatch(part):
        low = _numbers(match[1])
        return lambda version: version[: len(low)] >= low
    if match := _RANGE.fullmatch(part):
        first, last = _numbers(match[1]), _numbers(match[2])
        return lambda version: version[: len(first)] >= first and version[: len(last)] <= last
    if match := _COMPARISON.fullmatch(part):
        operator, bound = match[1], _numbers(match[2])
        return lambda version: _compare(version[: len(bound)], operator, bound)
    return None


def _compare(version: tuple[int, ...], operator: str, bound: tuple[int, ...]) -> bool:
    match operator:
        case ">=":
            return version >= bound
        case "<=":
            return version <= bound
        case ">":
            return version > bound
        case "<":
            return version < bound
        case _:
            return version == bound


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split("."))


def _is_glob(part: str) -> bool:
    return any(letter in part for letter in "*?[")


def _known(entries: Sequence[HostEntry]) -> str:
    names = ", ".join(
        f"{entry.name} ({', '.join(entry.aliases)})" if entry.aliases else entry.name
        for entry in entries
    )
    return f"known kernels: {names or 'none'}"
