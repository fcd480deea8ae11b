"""The catalog of images, and the lock of the digests that registries gave.

The packaged ``images/catalog.yaml`` comes first; entries of a user's add to it or replace its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from harness import defaults, oci, yamlfile
from harness.errors import UsageError
from harness.images.schema import CatalogForm, ImageForm, LockForm
from harness.model.images import ImageConfig
from harness.oci import Reference, Transport
from harness.progress import Progress, Silent
from harness.yamlfile import Document

CATALOG_FILE = "catalog.yaml"
LOCK_FILE = "images.lock.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFile:
    """A file that a recipe adds, owned by root."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An image made from Debian packages alone; no command of a catalog is ever run."""

    suite: str
    components: tuple[str, ...] = ("main",)
    packages: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    """Architectures beside amd64, whose packages are named ``PACKAGE:ARCHITECTURE``."""
    exclude: tuple[str, ...] = ()
    """Glob patterns of paths that are left out; ``*`` matches slashes too."""
    files: tuple[RecipeFile, ...] = ()
    config: ImageConfig = field(default_factory=ImageConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """A catalog entry; ``locked`` is the digest that the lock has for exactly this reference."""

    name: str
    source: Reference | Recipe
    locked: str = ""
    where: str = ""
    """File and line, for messages."""


def directories(user: Path | None = None) -> tuple[Path, ...]:
    """Return the directories of catalogs and locks: the packaged one, then a user's."""
    packaged = defaults.directory("images")
    if user is None or user.resolve() == packaged.resolve():
        return (packaged,)
    return (packaged, user)


def load_catalog(where: Iterable[Path]) -> dict[str, ImageEntry]:
    """Read the catalog and the lock of each directory that has them, one over the other.

    Raises:
        ConfigError: one is not as it should be; the text has file, line and key.
    """
    entries: dict[str, ImageEntry] = {}
    locks: dict[str, tuple[str, str]] = {}
    for directory in where:
        locks.update(read_lock(directory / LOCK_FILE))
        file = directory / CATALOG_FILE
        if not file.is_file():
            continue
        document = yamlfile.load(file)
        entries |= entries_of(document, yamlfile.validate(document, CatalogForm).images)
    return {name: _with_lock(entry, locks) for name, entry in entries.items()}


def entries_of(document: Document, forms: Mapping[str, ImageForm]) -> dict[str, ImageEntry]:
    """Return the entries of a document's ``images:``.

    Raises:
        ConfigError: one is not as it should be.
    """
    return {name: _entry(document, name, form) for name, form in forms.items()}


def pick(entries: Mapping[str, ImageEntry], name: str, *, where: str = "") -> ImageEntry:
    """Return one entry by name; ``where`` begins the message when there is none.

    Raises:
        UsageError: no such image; the text lists the known ones.
    """
    found = entries.get(name)
    if found is None:
        known = ", ".join(sorted(entries)) or "none"
        raise UsageError(f"{where + ': ' if where else ''}unknown image {name!r}; known: {known}")
    return found


def adhoc(text: str, *, base: Path) -> ImageEntry:
    """Return the entry of ``--image REF``, named after the reference.

    Raises:
        UsageError: it is no reference.
    """
    return ImageEntry(name=text, source=oci.reference(text, base=base), where="--image")


def _entry(document: Document, name: str, form: ImageForm) -> ImageEntry:
    keys = ("images", name)
    where = f"{document.path}:{document.line_of(*keys)}"
    if (form.ref is None) == (form.debian is None):
        raise document.error(keys, "needs one of 'ref' and 'debian'")
    if form.ref is not None:
        if form.files or form.config is not None:
            raise document.error(keys, "'files' and 'config' go with 'debian' only, not with 'ref'")
        try:
            found = oci.reference(
                form.ref, base=document.path.parent.resolve(), insecure=form.insecure
            )
        except UsageError as error:
            raise document.error((*keys, "ref"), str(error)) from error
        return ImageEntry(name=name, source=found, where=where)
    assert form.debian is not None  # noqa: S101 - for the type checker
    if form.insecure:
        raise document.error((*keys, "insecure"), "goes with 'ref' only, not with 'debian'")
    return ImageEntry(name=name, source=_recipe(form), where=where)


def _recipe(form: ImageForm) -> Recipe:
    debian = form.debian
    assert debian is not None  # noqa: S101 - for the type checker
    files = tuple(
        RecipeFile(path=path, content=file.content, mode=file.mode)
        for path, file in sorted(form.files.items())
    )
    config = ImageConfig() if form.config is None else form.config.plain()
    return Recipe(
        suite=debian.suite,
        components=debian.components,
        packages=debian.packages,
        foreign=debian.foreign,
        exclude=debian.exclude,
        files=files,
        config=config,
    )


def _with_lock(entry: ImageEntry, locks: Mapping[str, tuple[str, str]]) -> ImageEntry:
    ref, digest = locks.get(entry.name, ("", ""))
    if not isinstance(entry.source, Reference) or str(entry.source) != ref:
        return entry
    return ImageEntry(name=entry.name, source=entry.source, locked=digest, where=entry.where)


def read_lock(file: Path) -> dict[str, tuple[str, str]]:
    """Return (reference, digest) by image name; nothing when there is no such file.

    Raises:
        ConfigError: the file is not as :func:`lock_images` writes it.
    """
    if not file.is_file():
        return {}
    form = yamlfile.validate(yamlfile.load(file), LockForm)
    return {name: (lock.ref, lock.digest) for name, lock in form.images.items()}


def lock_images(
    entries: Mapping[str, ImageEntry],
    file: Path,
    *,
    names: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, str]:
    """Ask each registry for its images' digests, write them into ``file``, and return them.

    Images that are no registry's have nothing to lock. Without ``names`` all are asked for, and
    locks of images that the catalog no longer has are dropped. Nothing is written unless every
    one could be had.

    Raises:
        UsageError: a name is unknown, or is no registry's image.
        UnavailableError, ImageError, ToolError: as for :func:`harness.oci.resolve`.
    """
    show = progress or Silent()
    old = read_lock(file)
    kept = {name: lock for name, lock in old.items() if names and name in entries}
    fresh: dict[str, tuple[str, str]] = {}
    for name in names or entries:
        source = pick(entries, name).source
        if not isinstance(source, Reference) or source.transport is not Transport.DOCKER:
            if names:
                raise UsageError(f"image {name} is from no registry: there is nothing to lock")
            continue
        fresh[name] = (str(source), oci.resolve(source).digest)
        show.say(f"image {name}: {fresh[name][1]}")
    _write_lock(file, {**kept, **fresh})
    return {name: digest for name, (_, digest) in fresh.items()}


def _write_lock(file: Path, locks: Mapping[str, tuple[str, str]]) -> None:
    images = {name: {"ref": ref, "digest": digest} for name, (ref, digest) in sorted(locks.items())}
    yaml = YAML()
    yaml.width = 1000
    fresh = file.with_name(f".{file.name}.new")
    with fresh.open("w", encoding="utf-8") as out:
        out.write("# Written by `harness images lock`; read by everything else.\n")
        yaml.dump({"images": images}, out)
    fresh.replace(file)
