"""The corpus: cases of documented breakage, each a scenario file with a key ``case``.

Such a file may also hold the image that its scenario runs in, under ``images`` as in a catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import yamlfile
from harness.errors import ConfigError
from harness.images import catalog
from harness.images.catalog import ImageEntry
from harness.model.cases import Case, Effect, Expected, Sign
from harness.model.scenarios import Scenario
from harness.scenarios.case_schema import HostsKeys
from harness.scenarios.load import keys_of, scenarios_from, yaml_files

DIRECTORY = "scenarios/known"
"""Where the corpus lies, below the rootdir."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A case, and the images that its file brings."""

    case: Case
    images: Mapping[str, ImageEntry]


def load_case(path: Path, rootdir: Path) -> Loaded:
    """Return the case of a file.

    Raises:
        ConfigError: the file is wrong, or is no case.
    """
    document = yamlfile.load(path)
    keys = keys_of(document)
    if keys.case is None:
        raise ConfigError(path, 1, "no key 'case' at the top level: this is no case of the corpus")
    [scenario] = scenarios_from(document, keys, rootdir)
    case = Case(
        name=path.stem,
        kind=keys.case.kind,
        references=keys.case.reference,
        scenario=scenario,
        image=scenario.images[0],
        expected=tuple(
            _expected(each, document.line_of("case", "hosts", number))
            for number, each in enumerate(keys.case.hosts)
        ),
        file=scenario.file,
        line=document.line_of("case"),
    )
    return Loaded(case=case, images=catalog.entries_of(document, keys.images))


def load_with_images(path: Path, rootdir: Path) -> tuple[list[Scenario], dict[str, ImageEntry]]:
    """Return the scenarios of any scenario file, and the images that it brings.

    Raises:
        ConfigError: the file is wrong.
    """
    document = yamlfile.load(path)
    keys = keys_of(document)
    images = catalog.entries_of(document, keys.images)
    return scenarios_from(document, keys, rootdir), images


def load_corpus(
    directory: Path, rootdir: Path, names: Iterable[str] = ()
) -> tuple[tuple[Case, ...], dict[str, ImageEntry]]:
    """Return the cases below a directory, or those called ``names``, and their images.

    Raises:
        ConfigError: a file is wrong, two bring different images of one name, or a name is no case.
    """
    files = yaml_files(directory)
    wanted = list(names)
    missing = [name for name in wanted if name not in {path.stem for path in files}]
    if missing:
        known = ", ".join(path.stem for path in files) or "none"
        raise ConfigError(directory, None, f"no case is called {missing[0]!r}; known: {known}")
    loaded = [load_case(path, rootdir) for path in files if not wanted or path.stem in wanted]
    images: dict[str, ImageEntry] = {}
    for each in loaded:
        add_images(images, each.images)
    return tuple(each.case for each in loaded), images


def add_images(known: dict[str, ImageEntry], brought: Mapping[str, ImageEntry]) -> None:
    """Add the images that a case brings to those that are known.

    Raises:
        ConfigError: another image has the name of one.
    """
    for name, entry in brought.items():
        other = known.setdefault(name, entry)
        if other.source != entry.source:
            path, _, line = entry.where.rpartition(":")
            problem = f"images.{name}: another image has this name: {other.where}"
            raise ConfigError(Path(path), int(line), problem)


def _expected(keys: HostsKeys, line: int) -> Expected:
    return Expected(
        hosts=keys.on,
        effect=Effect(keys.effect),
        cause=keys.cause,
        names=keys.names,
        sign=Sign(
            syscall=keys.syscall,
            errno=keys.errno,
            origin=keys.origin,
            output=keys.output,
            message=keys.message,
        ),
        line=line,
    )
