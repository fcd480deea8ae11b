"""The catalogue of seccomp profiles: kernels/seccomp.yaml, and files that users add."""

from __future__ import annotations

import datetime
import errno as errnos
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from harness.container import seccomp
from harness.container.filtering import Traits
from harness.errors import UsageError
from harness.model.hosts import Engine
from harness.yamlfile import Text, did_you_mean, load, validate

UNCONFINED = "unconfined"
_MAX_BYTES = 4 << 20


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Change(_Part):
    """Calls, and the change that added them to (or dropped them from) the engine's profile."""

    calls: tuple[str, ...]
    change: str
    date: datetime.date | str


class Entry(_Part):
    """A profile of the catalogue: packaged (``set``, ``file``) or derived (``base``)."""

    engine: Engine
    title: str
    set: Text = ""
    file: str = ""
    newest: bool = False
    base: str = ""
    default_errno: str = ""
    stubs: bool = True
    without: tuple[Change, ...] = ()
    also: tuple[Change, ...] = ()
    limited: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()

    @property
    def derived(self) -> bool:
        """Whether it was made from another one and is no file of any engine."""
        return bool(self.base)


class _Runtime(_Part):
    newest: int
    gaps: tuple[int, ...] = ()
    stubs: bool
    default_errno: bool
    redundant: bool


class _Catalogue(_Part):
    profiles: dict[str, Entry]
    runtimes: dict[str, _Runtime] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A profile ready to be resolved. ``stubs_of_day`` as for :func:`filtering.fit`."""

    name: str
    title: str
    profile: seccomp.Profile | None
    """None: unconfined."""
    derived: bool = False
    stubs_of_day: bool = True


Read = Callable[[str, str], str]
"""Returns the text of a file (second) in a tool set (first)."""


class Catalogue:
    """kernels/seccomp.yaml."""

    def __init__(self, path: Path) -> None:
        self.path = path
        document = load(path)
        data = validate(document, _Catalogue)
        for name, entry in data.profiles.items():
            if entry.derived and not getattr(data.profiles.get(entry.base), "set", ""):
                raise document.error(
                    ("profiles", name, "base"), f"{entry.base!r} is no packaged profile"
                )
            if bool(entry.set and entry.file) == entry.derived:
                raise document.error(("profiles", name), "needs either set and file, or base")
        self.entries = data.profiles
        self._runtimes = data.runtimes

    def default(self, engine: Engine) -> str:
        """Return the name of the engine's newest profile."""
        return next(
            name for name, entry in self.entries.items() if entry.engine is engine and entry.newest
        )

    def traits(self, runtime: str) -> Traits:
        """Return what is known of a runtime, by the name of its tool set."""
        return Traits(**self._runtimes[runtime].model_dump())

    def choose(self, wanted: str, engine: Engine, read: Read, base: Path) -> Chosen:
        """Return the profile called ``wanted``: a name, ``unconfined``, a path or empty.

        Empty is the engine's newest; a path (it has a slash or ends in .json) is relative to
        ``base``.

        Raises:
            UsageError: no profile and no file is called so.
            ConfigError: the file is not a profile.
        """
        if wanted == UNCONFINED:
            return Chosen(UNCONFINED, UNCONFINED, None)
        name = wanted or self.default(engine)
        entry = self.entries.get(name)
        return self._packaged(name, entry, read) if entry else self._file(wanted, base)

    def check(self, wanted: str, base: Path) -> None:
        """Tell what is wrong with ``wanted`` before any package is had.

        Raises:
            UsageError, ConfigError: as :meth:`choose`.
        """
        if wanted and wanted != UNCONFINED and wanted not in self.entries:
            self._file(wanted, base)

    def _file(self, wanted: str, base: Path) -> Chosen:
        if "/" in wanted or wanted.endswith(".json"):
            return _from_file(base / wanted, wanted)
        known = [*self.entries, UNCONFINED]
        raise UsageError(
            f"no seccomp profile is called {wanted!r}: {did_you_mean(wanted, known)}; "
            "a path of a file has a slash in it or ends in .json"
        )

    def _packaged(self, name: str, entry: Entry, read: Read) -> Chosen:
        source = self.entries[entry.base] if entry.derived else entry
        profile = seccomp.parse(read(source.set, source.file), f"{source.set}/{source.file}")
        if entry.derived:
            profile = derive(profile, entry)
        return Chosen(name, entry.title, profile, entry.derived, entry.stubs)


def derive(profile: seccomp.Profile, entry: Entry) -> seccomp.Profile:
    """Return the profile of another day: less what it did not list, plus what it still did."""
    gone = {call for change in entry.without for call in change.calls}
    also = [call for change in entry.also for call in change.calls]
    rules = []
    for rule in profile.syscalls:
        names = rule.names or [rule.name]
        dropped = gone if rule.args else gone | set(entry.limited)
        left = [name for name in names if name not in dropped]
        if left:
            rules.append(rule.model_copy(update={"name": "", "names": left}))
    text = {"defaultAction": seccomp.ERRNO, "syscalls": [{"names": also, "action": seccomp.ALLOW}]}
    if also:
        # In front: libseccomp keeps the first of two rules without conditions.
        rules = [*seccomp.Profile.model_validate(text).syscalls, *rules]
    update: dict[str, object] = {"syscalls": rules}
    if entry.default_errno:
        update |= {
            "default_errno": "",
            "default_errno_ret": getattr(errnos, entry.default_errno),
        }
    return profile.model_copy(update=update)


def _from_file(path: Path, wanted: str) -> Chosen:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"cannot read the seccomp profile {path}: {reason}") from error
    if len(text) > _MAX_BYTES:
        raise UsageError(f"the seccomp profile {path} is larger than {_MAX_BYTES >> 20} MiB")
    return Chosen(wanted, str(path), seccomp.parse(text, str(path)))
