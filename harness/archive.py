"""Entries of the store in one file, for a machine that reaches no mirror and no registry.

A tar, compressed with zstd. Its first member, ``manifest.json``, says of every entry which
directories, files and links it has; each further member is the content of files, named
``files/SHA256``, so that equal files travel once. Nothing of a path in the archive is believed:
contents are verified first, then entries are put together from the manifest, links last, so that
nothing is ever written through one. What links there may be is up to the forms.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import zstandard
from pydantic import ValidationError

from harness import archive_checks, tars
from harness.archive_forms import DirectoryForm, EntryForm, FileForm, LinkForm, Manifest
from harness.errors import StoreError, VerificationError
from harness.store import RECORD, Entry, Store, sha256_of

KINDS = ("kernels", "tools", "layouts", "disks")
"""What travels. What a guest of this machine left (snapshots, surveys) is another machine's."""

_MANIFEST = "manifest.json"
_MANIFEST_LIMIT = 16 << 20
"""Bytes; a file takes some 200, and a kernel of 1,000 modules 0.2 MiB."""
_MEMBER = re.compile(r"files/([0-9a-f]{64})")
_CHUNK = 1 << 20
_LEVEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An archive that was written: how many entries and bytes, and the sha256 of it all."""

    entries: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One entry of an archive that was read. ``new``: the store did not have it."""

    kind: str
    label: str
    size: int
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """An archive that was read, and the sha256 of it all."""

    arrived: tuple[Arrived, ...]
    sha256: str


def pack(store: Store, entries: Sequence[Entry], out: IO[bytes]) -> Packed:
    """Write entries of the store into ``out``, which need not be seekable.

    Raises:
        StoreError: an entry is damaged, of a kind or with a link that does not travel, together
            they are too many, or ``out`` takes no more.
    """
    for entry in entries:
        for problem in store.verify(entry):
            raise StoreError(f"{problem}: remove {entry.path}, it is made anew when needed")
    forms = tuple(_form(entry) for entry in entries)
    manifest = Manifest(format=1, made=time.time(), entries=forms).model_dump_json().encode()
    if len(manifest) > _MANIFEST_LIMIT:
        raise StoreError(
            f"the archive's {_MANIFEST} would take {len(manifest) / 1e6:.1f} MB, more than is "
            "taken in again: export fewer kernels and images at a time"
        )
    counted = _Counted(out)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    try:
        with (
            compressor.stream_writer(cast(IO[bytes], counted), closefd=False) as writer,
            tarfile.open(fileobj=writer, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add(tar, _MANIFEST, io.BytesIO(manifest), len(manifest))
            done: set[str] = set()
            for entry, form in zip(entries, forms, strict=True):
                for file in form.files:
                    if file.sha256 not in done:
                        done.add(file.sha256)
                        with (entry.path / file.path).open("rb") as content:
                            _add(tar, f"files/{file.sha256}", content, file.size)
        out.flush()
    except OSError as error:
        raise StoreError(f"the archive cannot be written: {error.strerror or error}") from error
    return Packed(entries=len(entries), size=counted.size, sha256=counted.sha256)


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    tar.addfile(member, content)


def _form(entry: Entry) -> EntryForm:
    try:
        return _described(entry)
    except ValidationError as error:
        raise StoreError(f"{entry.path} does not travel: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where or 'it'}: {first['msg']}"


def _described(entry: Entry) -> EntryForm:
    if entry.kind not in KINDS:
        raise StoreError(f"{entry.kind}/{entry.key} belongs to this machine and does not travel")
    directories, files, links = [], [], []
    for path in sorted(entry.path.rglob("*")):
        name = path.relative_to(entry.path).as_posix()
        if path.is_symlink():
            links.append(LinkForm(path=name, target=str(path.readlink())))
            continue
        facts = path.stat()
        mode = facts.st_mode & 0o777
        if path.is_dir():
            directories.append(DirectoryForm(path=name, mode=mode))
        elif not path.is_file():
            raise StoreError(f"{path} is neither file, directory nor link")
        elif name != RECORD:
            digest = sha256_of(path)
            files.append(FileForm(path=name, mode=mode, sha256=digest, size=facts.st_size))
    return EntryForm(
        kind=entry.kind,  # type: ignore[arg-type]  # one of KINDS
        key=entry.key,
        label=entry.label,
        directories=tuple(directories),
        files=tuple(files),
        links=tuple(links),
    )


def unpack(store: Store, source: IO[bytes], sha256: str = "") -> Unpacked:
    """Put an archive's entries into the store, once every content of it was verified.

    Raises:
        VerificationError: it is no archive, is cut short, or a content is not what its manifest
            or its entry says; the store is as it was.
        StoreError: the store is full or not writable.
    """
    counted = _Counted(source)
    with store.scratch() as scratch:
        with _reading(counted) as tar:
            manifest = _manifest(tar)
            _room(store, manifest)
            _contents(tar, manifest, scratch)
        counted.drain()
        if sha256 and counted.sha256 != sha256:
            raise VerificationError(f"the archive has the sha256 {counted.sha256}, not {sha256}")
        for form in manifest.entries:
            archive_checks.check(form, scratch)
        uses = Counter(file.sha256 for form in manifest.entries for file in form.files)
        arrived = tuple(_place(store, form, scratch, uses) for form in manifest.entries)
    return Unpacked(arrived=arrived, sha256=counted.sha256)


@contextmanager
def _reading(source: _Counted) -> Iterator[tarfile.TarFile]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    try:
        with (
            decompressor.stream_reader(cast(IO[bytes], source), closefd=False) as reader,
            tarfile.open(fileobj=reader, mode="r|", tarinfo=tars.Header) as tar,
        ):
            yield tar
    except (*tars.DAMAGED, zstandard.ZstdError) as error:
        raise VerificationError(
            f"this is no archive of a store, or it is cut short: {error}"
        ) from (error)


def _manifest(tar: tarfile.TarFile) -> Manifest:
    member = tar.next()
    content = tar.extractfile(member) if member is not None and member.isreg() else None
    if member is None or content is None or member.name != _MANIFEST:
        raise VerificationError(
            f"this is no archive of a store: it does not begin with {_MANIFEST}"
        )
    if member.size > _MANIFEST_LIMIT:
        raise VerificationError(f"{_MANIFEST} is larger than any store's")
    try:
        return Manifest.model_validate_json(content.read())
    except ValidationError as error:
        raise VerificationError(f"{_MANIFEST}: {_first(error)}") from error


def _room(store: Store, manifest: Manifest) -> None:
    needed = sum(file.size for form in manifest.entries for file in form.files)
    free = shutil.disk_usage(store.root).free
    if needed > free:
        raise StoreError(
            f"no space left in the store {store.root}: the archive unpacks to "
            f"{needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free: free some room, run "
            "`harness store gc`, or set HARNESS_STORE"
        )


def _contents(tar: tarfile.TarFile, manifest: Manifest, scratch: Path) -> None:
    """Write every content into ``scratch``, under its sha256, verified."""
    wanted = {file.sha256: file.size for form in manifest.entries for file in form.files}
    while (member := tar.next()) is not None:
        match = _MEMBER.fullmatch(member.name)
        if match is None or not member.isreg() or wanted.pop(match[1], None) != member.size:
            raise VerificationError(f"{member.name!r} of the archive is not in its manifest")
        content = tar.extractfile(member)
        assert content is not None  # noqa: S101 - a regular member has one
        digest = hashlib.sha256()
        with (scratch / match[1]).open("wb") as file:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != match[1]:
            raise VerificationError(f"{member.name} of the archive does not have that sha256")
    if wanted:
        raise VerificationError(
            f"the archive is cut short: {len(wanted)} of its files are missing, files/"
            f"{min(wanted)} for one"
        )


def _place(store: Store, form: EntryForm, scratch: Path, uses: Counter[str]) -> Arrived:
    new = False

    def build(into: Path) -> None:
        nonlocal new
        new = True
        for directory in form.directories:
            (into / directory.path).mkdir()
        for file in form.files:
            content, target = scratch / file.sha256, into / file.path
            uses[file.sha256] -= 1
            if uses[file.sha256]:
                shutil.copyfile(content, target)
            else:
                content.rename(target)
            target.chmod(file.mode)
        for link in form.links:
            (into / link.path).symlink_to(link.target)
        for directory in reversed(form.directories):
            (into / directory.path).chmod(directory.mode)

    store.make(form.kind, form.key, form.label, build)
    size = sum(file.size for file in form.files)
    return Arrived(kind=form.kind, label=form.label, size=size, new=new)


class _Counted(io.RawIOBase):
    """Hands bytes through and knows how many there were and what their sha256 is."""

    def __init__(self, inner: IO[bytes]) -> None:
        self.size = 0
        self._inner = inner
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The sha256 of all that went through so far."""
        return self._digest.hexdigest()

    def read(self, size: int = -1) -> bytes:
        """Read and take note."""
        return self._noted(self._inner.read(size))

    def write(self, data: bytes) -> int:  # type: ignore[override]  # zstandard gives bytes
        """Write and take note."""
        self._inner.write(self._noted(data))
        return len(data)

    def drain(self) -> None:
        """Read to the end."""
        while self.read(_CHUNK):
            pass

    def _noted(self, data: bytes) -> bytes:
        self.size += len(data)
        self._digest.update(data)
        return data
