"""The artefact store: what is expensive to get is made once, whole, and kept.

An entry is a directory ``KIND/KEY`` that was written beside its place and renamed. A key
says everything that the entry was made from, so an entry never goes stale. ``entry.json``
inside records what was made and the sha256 of each file, for :meth:`Store.verify`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from harness import ending, held
from harness.errors import StoreError

LONGEST_SESSION = 7 * 86400.0
"""Seconds after which no session goes on that looked for an entry."""
_GLANCE = 0.2
"""Seconds between two looks at whether a lock is still waited for."""
RECORD = "entry.json"
"""Name of the file that records what an entry is."""
KEY = r"^[A-Za-z0-9][A-Za-z0-9._+=@-]{0,200}$"
"""What an entry of a kind may be called."""
_SIZE = "size:"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One artefact: ``used`` is when it was last asked for, seconds since the epoch."""

    kind: str
    key: str
    path: Path
    label: str
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class Flaw:
    """An entry that was looked at, and what is wrong with it: nothing, where it is intact."""

    kind: str
    key: str
    path: Path
    label: str
    problems: tuple[str, ...]


def default_root() -> Path:
    """``HARNESS_STORE``, else the user's cache directory (XDG base directories)."""
    chosen = os.environ.get("HARNESS_STORE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("pytest-kernels"))


def digest_of(*parts: object) -> str:
    """Return a key made from everything in ``parts`` (JSON, sorted keys, paths as text)."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(path: Path) -> str:
    """Return what is recorded of a file that is not hashed."""
    return f"{_SIZE}{path.stat().st_size}"


def allocated(directory: Path) -> int:
    """Return the bytes that files below ``directory`` occupy; holes take none."""
    return sum(file.lstat().st_blocks * 512 for file in directory.rglob("*"))


def _address(entry: Path, name: str) -> str:
    """Return the sha256 that a file's place says it has, which no changed record can alter."""
    if entry.parent.name == "blobs":
        return entry.name if _SHA256.fullmatch(entry.name) else ""
    path = Path(name)
    return path.name if path.parent.name == "sha256" and _SHA256.fullmatch(path.name) else ""


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=_GLANCE)
    except Timeout:
        return False
    return True


class Store:
    """Artefacts under ``root``, shared by any number of processes; ``say`` hears of damage."""

    def __init__(self, root: Path, say: Callable[[str], object] = lambda _: None) -> None:
        self.root = root
        self._say = say
        self._held: set[Path] = set()
        """Entries that this process has held against their record."""
        self._joining = threading.Lock()
        self._descriptor: int | None = None

    def path(self, kind: str, key: str) -> Path:
        """Return where the entry is or would be."""
        if not re.fullmatch(KEY, key):
            raise StoreError(f"{key!r} is not a key of the store")
        return self.root / kind / key

    def find(self, kind: str, key: str) -> Path | None:
        """Return the entry's directory and mark it used, or None when it is not there."""
        path = self.path(kind, key)
        self._join()
        try:
            os.utime(path / RECORD)
        except FileNotFoundError:
            return None
        except OSError:  # a read-only store still serves
            return path if (path / RECORD).exists() else None
        return path

    def make(
        self,
        kind: str,
        key: str,
        label: str,
        build: Callable[[Path], None],
        *,
        hashed: bool = True,
    ) -> Path:
        """Return the entry's directory; ``build`` fills an empty one if it is not there.

        Processes that ask for the same entry wait for the one that builds it. When ``build``
        raises, nothing is left behind. Without ``hashed`` (large files that are cheaply made
        anew) only the files' sizes are recorded. An entry that is not what was recorded of it is
        made anew: sizes are compared each time, digests the first time that a process asks.

        Raises:
            StoreError: the store is full or not writable.
        """
        found = self.find(kind, key)
        if found is not None and not self._damage(found):
            return found
        with self.lock(f"{kind}-{key}"):
            found = self.find(kind, key)
            if found is not None:
                damage = self._damage(found)
                if not damage:
                    return found
                self._say(f"the store: {damage}; it is made anew")
                self.drop(kind, key)
            return self._build(kind, key, label, build, sha256_of if hashed else size_of)

    def _damage(self, path: Path) -> str:
        """Return what is wrong with an entry, empty where nothing is."""
        try:
            problems = self._problems(path, sizes_only=path in self._held)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return f"{path / RECORD} is damaged"
        if not problems:
            self._held.add(path)
        return problems[0] if problems else ""

    def _build(
        self,
        kind: str,
        key: str,
        label: str,
        build: Callable[[Path], None],
        fingerprint: Callable[[Path], str],
    ) -> Path:
        path = self.path(kind, key)
        with self.scratch() as scratch:
            fresh = scratch / "entry"
            with self._translated():
                fresh.mkdir()
            build(fresh)
            with self._translated():
                files = {
                    str(file.relative_to(fresh)): fingerprint(file)
                    for file in sorted(fresh.rglob("*"))
                    if file.is_file() and not file.is_symlink()
                }
                size = allocated(fresh)
                record = {"label": label, "made": time.time(), "size": size, "files": files}
                (fresh / RECORD).write_text(json.dumps(record, indent=1))
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():  # half an entry cannot be: it lacks only its record
                    shutil.rmtree(path)
                fresh.rename(path)
        self._held.add(path)
        return path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private directory on the store's file system, gone afterwards."""
        with self._translated():
            parent = self.root / "tmp"
            parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._join()
            with held.temporary(parent) as path:
                yield path

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other processes and threads away from ``name``.

        Raises:
            EndedError: this thread was told to end before it had the lock.
            StoreError: the store is full or not writable.
        """
        with self._translated():
            locks = self.root / "locks"
            locks.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = FileLock(locks / f"{name}.lock", is_singleton=False, thread_local=False)
            while not _acquired(lock):
                ending.heed()
        try:
            yield
        finally:
            lock.release()

    def entries(self) -> list[Entry]:
        """List every entry, by kind and key."""
        found = []
        for record in sorted(self.root.glob(f"*/*/{RECORD}")):
            path = record.parent
            try:
                used = record.stat().st_mtime
                facts = json.loads(record.read_text())
                size = facts["size"] if "size" in facts else allocated(path)
                found.append(Entry(path.parent.name, path.name, path, facts["label"], size, used))
            except FileNotFoundError:  # another process removes it
                continue
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(f"{record} is damaged: remove {path}") from error
        return found

    def audit(self) -> Iterator[Flaw]:
        """Yield every entry, with all that is wrong with it; nothing stops the look at the rest."""
        for record in sorted(self.root.glob(f"*/*/{RECORD}")):
            path = record.parent
            try:
                label = str(json.loads(record.read_text())["label"])
                problems = self._problems(path)
            except FileNotFoundError:  # another process removes it
                continue
            except (ValueError, KeyError, TypeError, AttributeError):
                label, problems = "", [f"{record} is damaged"]
            except OSError as error:
                label, problems = "", [f"{error.filename}: {error.strerror}"]
            yield Flaw(path.parent.name, path.name, path, label, tuple(problems))

    def verify(self, entry: Entry) -> list[str]:
        """Return the files of an entry that are not what was made, as sentences."""
        return self._problems(entry.path)

    def _problems(self, path: Path, *, sizes_only: bool = False) -> list[str]:
        files = json.loads((path / RECORD).read_text())["files"]
        problems = []
        for name, recorded in files.items():
            file = path / name
            if not file.is_file():
                problems.append(f"{file} is gone")
                continue
            sized = recorded.startswith(_SIZE)
            if sizes_only and not sized:
                continue
            expected = _address(path, name) or recorded
            if (size_of if sized else sha256_of)(file) != (recorded if sized else expected):
                what = "size" if sized else "sha256"
                problems.append(f"{file} is not what was made: its {what} differs")
        if sizes_only:
            return problems
        there = (file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
        names = {str(file.relative_to(path)) for file in there} - {RECORD}
        problems += [f"{path / name} was put there later" for name in sorted(names - files.keys())]
        return problems

    def drop(self, kind: str, key: str) -> None:
        """Remove an entry, its record first, so that no half of it is ever trusted."""
        path = self.path(kind, key)
        self._held.discard(path)
        with self._translated():
            (path / RECORD).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)

    def gc(self, older_than: float) -> list[Entry]:
        """Remove entries not used for ``older_than`` seconds, and what dead processes left.

        While other processes use the store, what was used in the last days stays whatever its
        age: they look for it no more.
        """
        with self._alone() as alone:
            if not alone and older_than < LONGEST_SESSION:
                days = LONGEST_SESSION / 86400
                self._say(f"the store is in use: what was used in the last {days:g} days stays")
                older_than = LONGEST_SESSION
            limit = time.time() - older_than
            gone = [entry for entry in self.entries() if entry.used < limit]
            for entry in gone:
                self.drop(entry.kind, entry.key)
        held.sweep(self.root / "tmp")
        return gone

    def _join(self) -> int | None:
        """Hold the store beside others, until this process ends; wait while one removes things."""
        with self._joining:
            if self._descriptor is None:
                with suppress(OSError):  # not made yet, or not to be read, which its user will hear
                    self._descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
                    weakref.finalize(self, os.close, self._descriptor)
                    held.share(self._descriptor)
            return self._descriptor

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Let nobody begin to use the store while the block runs, unless somebody does already."""
        descriptor = self._join()
        if descriptor is None:
            yield True
            return
        try:
            yield held.alone(descriptor)
        finally:
            held.share(descriptor)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._foreign(error):
                raise StoreError(f"{error.filename}: {error.strerror}") from error
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                remedy = "free some room, run `harness store gc`, or set HARNESS_STORE"
                raise StoreError(f"no space left in the store {self.root}: {remedy}") from error
            if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
                raise StoreError(
                    f"the store {self.root} is not writable: set HARNESS_STORE to a directory of "
                    "your own"
                ) from error
            raise

    def _foreign(self, error: OSError) -> bool:
        """Tell whether an error is another file's: a build also reads what it builds from."""
        names = [name for name in (error.filename, error.filename2) if isinstance(name, str)]
        root = self.root.absolute()
        return bool(names) and not any(Path(n).absolute().is_relative_to(root) for n in names)
