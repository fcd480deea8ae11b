"""The catalog: which kernels there are, where each comes from, and what its host is like.

The packaged catalog comes first; a user's extends it, and overrides it key by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import defaults, yamlfile
from harness.errors import UsageError
from harness.homes import expanded
from harness.kernels import bzimage
from harness.kernels.schema import CatalogForm, KernelForm, MirrorsForm, Settings
from harness.model.hosts import HostEntry, LocalSource
from harness.yamlfile import Document

CATALOG_FILE = "catalog.yaml"
MIRRORS_FILE = "mirrors.yaml"
ALL = "all"

_SETTINGS = tuple(Settings.model_fields)


@dataclass(slots=True)
class _Draft:
    """An entry while catalogs are laid over each other."""

    document: Document
    values: dict[str, Any] = field(default_factory=dict)


def directories(user: Path | None = None) -> tuple[Path, ...]:
    """Return the directories of catalogs, locks and keys: the packaged one, then a user's."""
    packaged = defaults.directory("kernels")
    if user is None or user.resolve() == packaged.resolve():
        return (packaged,)
    return (packaged, user)


def load_catalog(files: Iterable[Path]) -> list[HostEntry]:
    """Read catalogs, those that exist, one over the other; entries keep their order.

    Raises:
        ConfigError: one is not as it should be; the text has file, line and key.
    """
    drafts: dict[str, _Draft] = {}
    common: dict[str, Any] = {}
    for file in dict.fromkeys(path.resolve() for path in files):
        if not file.is_file():
            continue
        document = yamlfile.load(file)
        form = yamlfile.validate(document, CatalogForm)
        common = _over(common, _given(form.defaults))
        for name, entry in form.kernels.items():
            drafts[name] = _drafted(document, name, entry, drafts.get(name))
    entries = [_entry(name, draft, common) for name, draft in drafts.items()]
    _check_names(entries, drafts)
    return entries


def load_mirrors(files: Iterable[Path]) -> dict[str, str]:
    """Read ``mirrors.yaml`` files, those that exist, for :class:`Fetcher`.

    Raises:
        ConfigError: one is not as it should be.
    """
    mirrors: dict[str, str] = {}
    for file in files:
        if file.is_file():
            mirrors.update(yamlfile.validate(yamlfile.load(file), MirrorsForm).mirrors)
    return mirrors


def by_name(entries: Iterable[HostEntry]) -> dict[str, HostEntry]:
    """Return entries by their names and aliases; a name goes before another's alias."""
    found = {alias: entry for entry in entries for alias in entry.aliases}
    return found | {entry.name: entry for entry in entries}


def parse_adhoc(text: str) -> HostEntry:
    """Return the entry of ``--kernel NAME=PATH[,modules=DIR]``.

    Raises:
        UsageError: not of that form, or the file is not a kernel.
    """
    name, equals, rest = text.partition("=")
    path, *options = rest.split(",")
    if not equals or not name or not path:
        raise UsageError(f"--kernel {text!r}: expected NAME=PATH/bzImage[,modules=DIR]")
    if not name[0].isalnum() or not all(letter.isalnum() or letter in "._-" for letter in name):
        raise UsageError(f"--kernel {text!r}: {name!r} is not a name (letters, digits, . _ -)")
    if name == ALL or ".." in name:
        raise UsageError(f"--kernel {text!r}: a kernel cannot be named {name!r}")
    modules: Path | None = None
    for option in options:
        key, equals, value = option.partition("=")
        if key != "modules" or not value:
            raise UsageError(
                f"--kernel {text!r}: unknown {option!r}; the only option is modules=DIR"
            )
        modules = expanded(value).absolute()
        if not modules.is_dir():
            raise UsageError(f"--kernel {text!r}: {modules} is not a directory")
    image = expanded(path).absolute()
    bzimage.release_of(image)
    return HostEntry(
        name=name, source=LocalSource(image=image, modules=modules), flavour="", where="--kernel"
    )


def _given(form: Settings) -> dict[str, Any]:
    """Return what a file sets, without what it leaves out."""
    return {
        name: getattr(form, name)
        for name in form.model_fields_set
        if getattr(form, name) is not None
    }


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay settings over others; ``sysctl`` is laid over name by name."""
    merged = {**below, **above}
    if "sysctl" in below and "sysctl" in above:
        merged["sysctl"] = {**below["sysctl"], **above["sysctl"]}
    return merged


def _drafted(document: Document, name: str, entry: KernelForm, below: _Draft | None) -> _Draft:
    values = _given(entry)
    if entry.source is not None:
        try:
            values["source"] = entry.source.source(document.path.parent)
        except UsageError as error:
            raise document.error(("kernels", name, "source"), str(error)) from error
    elif below is None:
        raise document.error(("kernels", name, "source"), "is required")
    return _Draft(document, _over(below.values if below else {}, values))


def _entry(name: str, draft: _Draft, common: Mapping[str, Any]) -> HostEntry:
    where = f"{draft.document.path}:{draft.document.line_of('kernels', name)}"
    return HostEntry(name=name, where=where, **_over(common, draft.values))


def _check_names(entries: Iterable[HostEntry], drafts: Mapping[str, _Draft]) -> None:
    """Refuse an alias that is another entry's name or alias, and the name ``all``."""
    owners: dict[str, str] = {name: name for name in drafts}
    for entry in entries:
        document = drafts[entry.name].document
        if ALL in (entry.name, *entry.aliases):
            raise document.error(("kernels", entry.name), f"{ALL!r} means every kernel")
        for alias in entry.aliases:
            owner = owners.setdefault(alias, entry.name)
            if owner != entry.name:
                problem = f"{alias!r} is already a name of the kernel {owner!r}"
                raise document.error(("kernels", entry.name, "aliases"), problem)
