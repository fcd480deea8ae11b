"""``harness kernels add``: kernels at hand become entries of a user's catalog, offline.

What is needed of a kernel is copied beside the catalog, into ``added/NAME``, which no clean-up
of the store touches; the entry's paths are relative, so that the directory can be moved.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pydantic
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from harness import defaults
from harness.errors import UsageError
from harness.kernels import local_kernel, sources
from harness.kernels.catalog import ALL, CATALOG_FILE, directories, load_catalog
from harness.kernels.layout import MODULES, VMLINUZ
from harness.kernels.pick import choose, is_wanted, without_usr
from harness.kernels.schema import Name
from harness.model.hosts import HostEntry, Kernel, LocalSource
from harness.packages import deb, rpm
from harness.packages.download import Fetcher

ADDED = "added"
"""Directory beside a user's catalog that holds the kernels added to it."""

_HEADER = "# Kernels of your own; the catalog of the harness says what may stand here.\n"
_IGNORE = "# Kernels are large, and `harness kernels add` makes them anew.\n*\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A kernel that was added: its catalog entry, and itself in the store."""

    entry: HostEntry
    kernel: Kernel


def add(
    paths: Sequence[Path], name: str, *, user: Path, fetcher: Fetcher, modules: Path | None = None
) -> Added:
    """Add a kernel from files and name it in the user's catalog.

    Args:
        paths: One bzImage, or the rpm or deb packages that the kernel is spread over. Their
            signatures are not checked: no key is known for a file at hand.
        name: Of the new entry.
        user: The directory of the user's catalog; made when it is not there.
        fetcher: Gives the store; nothing is fetched.
        modules: With a bzImage, the directory of its modules, if it has any.

    Raises:
        UsageError: the name is taken or none, or the files hold no kernel or several.
        VerificationError: a package is broken.
        ConfigError: the user's catalog is not as it should be.
        ToolError: rpm, which unpacks its packages, is missing.
    """
    kinds = {path.suffix for path in paths}
    for path in paths:
        if not path.is_file():
            raise UsageError(f"there is no file {path}")
    if not kinds & {".rpm", ".deb"}:
        if len(paths) != 1:
            raise UsageError("name one bzImage, or the rpm or deb packages of one kernel")
        return add_image(paths[0], name, user=user, fetcher=fetcher, modules=modules)
    if len(kinds) != 1 or modules is not None:
        raise UsageError("packages are all rpm or all deb, and bring their modules along")
    with _placed(name, user, fetcher) as into, fetcher.store.scratch() as scratch:
        tree = scratch / "tree"
        tree.mkdir()
        for path in paths:
            if path.suffix == ".rpm":
                rpm.check_digests(path, path.name, scratch)
                rpm.unpack(path, tree, move=without_usr, keep=is_wanted, scratch=scratch)
            else:
                deb.unpack(path, tree, move=without_usr, keep=is_wanted)
        choose(tree, into, " and ".join(path.name for path in paths))
    return _obtained(name, user, fetcher)


def add_image(
    image: Path, name: str, *, user: Path, fetcher: Fetcher, modules: Path | None = None
) -> Added:
    """Add a bzImage and, if it has any, its modules; otherwise as :func:`add`."""
    source = LocalSource(image=image, modules=modules)
    with _placed(name, user, fetcher) as into:
        local_kernel.unpack(source, local_kernel.resolve(source), into)
    return _obtained(name, user, fetcher)


def add_running(name: str, *, user: Path, fetcher: Fetcher, root: Path = Path("/")) -> Added:
    """Add the kernel that this machine runs; otherwise as :func:`add`.

    Raises:
        UsageError: its image is not there, or only root may read it.
    """
    release = os.uname().release
    places = [root / "boot" / f"{VMLINUZ}-{release}", root / MODULES / release / VMLINUZ]
    image = next((path for path in places if path.is_file()), None)
    if image is None:
        where = " nor ".join(map(str, places))
        raise UsageError(f"the running kernel {release} is neither {where}: a container's host's?")
    if not os.access(image, os.R_OK):
        raise UsageError(
            f"{image} cannot be read by this user: copy it (`sudo install -m 644 {image} .`) and "
            f"add the copy with modules={root / MODULES / release}"
        )
    modules = root / MODULES / release
    found = modules if modules.is_dir() else None
    return add_image(image, name, user=user, fetcher=fetcher, modules=found)


@contextmanager
def _placed(name: str, user: Path, fetcher: Fetcher) -> Iterator[Path]:
    """Give a directory to fill, then put it in its place and name it in the catalog."""
    file = user / CATALOG_FILE
    _check_name(name, user)
    added = user / ADDED
    added.mkdir(parents=True, exist_ok=True)
    fresh = added / f".{name}.{os.getpid()}"
    fresh.mkdir()
    try:
        yield fresh
        release = next((path.name for path in (fresh / MODULES).glob("*")), "")
        target = added / name
        with fetcher.store.lock(f"catalog-{os.getuid()}"):
            text = _with_entry(file, name, release)
            if target.exists():  # of an entry that is gone from the catalog
                shutil.rmtree(target)
            fresh.rename(target)
            (added / ".gitignore").write_text(_IGNORE)
            _replace(file, text)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check_name(name: str, user: Path) -> None:
    try:
        pydantic.TypeAdapter(Name).validate_python(name)
    except pydantic.ValidationError as error:
        raise UsageError(f"{name!r} is not a name (letters, digits, . _ -)") from error
    if name == ALL:
        raise UsageError(f"a kernel cannot be named {name!r}")
    for entry in load_catalog(d / CATALOG_FILE for d in directories(user)):
        if name in (entry.name, *entry.aliases):
            raise UsageError(f"there is a kernel {name!r} already, see {entry.where}")


def _with_entry(file: Path, name: str, release: str) -> str:
    """Return a catalog's text with one entry more; its comments stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(file.read_text()) if file.is_file() else None
    if not isinstance(document, CommentedMap):
        document = CommentedMap()
    source = CommentedMap(type="local", image=f"{ADDED}/{name}/{VMLINUZ}")
    if release:
        source["modules"] = f"{ADDED}/{name}/{MODULES}/{release}"
    if not document.get("kernels"):
        document["kernels"] = CommentedMap()
    document["kernels"][name] = CommentedMap(source=source)
    text = StringIO()
    yaml.dump(document, text)
    return text.getvalue() if file.is_file() else _HEADER + text.getvalue()


def _replace(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fresh.write_text(text)
        load_catalog([defaults.directory("kernels") / CATALOG_FILE, fresh])
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


def _obtained(name: str, user: Path, fetcher: Fetcher) -> Added:
    entries = load_catalog(d / CATALOG_FILE for d in directories(user))
    entry = next(entry for entry in entries if entry.name == name)
    lock = sources.resolve(entry, sources.Resolver.of(fetcher, {}))
    kernel = sources.obtain(entry, lock, store=fetcher.store, fetcher=fetcher)
    return Added(entry=entry, kernel=kernel)
