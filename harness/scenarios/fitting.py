"""Which scenarios there are in a repository, and which of them fit an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.images import catalog
from harness.images.catalog import ImageEntry
from harness.model.scenarios import Scenario
from harness.oci import Reference, Transport
from harness.scenarios.detect import is_scenario_file
from harness.scenarios.load import KNOWN, SUFFIXES, load_file, yaml_files
from harness.yamlvalues import did_you_mean


def collect(rootdir: Path, directories: Iterable[Path]) -> tuple[Scenario, ...]:
    """Return the scenarios below directories and of ``*.scenario.yaml`` in ``rootdir``.

    Those that show a documented breakage are no scenarios of an image's own.

    Raises:
        ConfigError: a scenario file is wrong.
    """
    files = [path for directory in directories for path in yaml_files(directory)]
    files += sorted(rootdir.glob("*.scenario.y*ml"))
    once = dict.fromkeys(files)
    found = (load_file(path, rootdir) for path in once if is_scenario_file(path))
    return tuple(one for scenarios in found for one in scenarios if KNOWN not in one.tags)


def named(wanted: Iterable[str], known: Sequence[Scenario], rootdir: Path) -> tuple[Scenario, ...]:
    """Return scenarios by name, or those of a file by its path from the working directory.

    Raises:
        UsageError: there is no such scenario.
        ConfigError: the file cannot be read, or is wrong.
    """
    found: list[Scenario] = []
    for text in wanted:
        if "/" in text or text.endswith(SUFFIXES):
            found += load_file(Path(text).resolve(), rootdir)
            continue
        mine = [scenario for scenario in known if scenario.name == text]
        if not mine:
            hint = did_you_mean(text, sorted({scenario.name for scenario in known}))
            raise UsageError(f"no scenario is called {text!r}; {hint}".rstrip("; "))
        found += mine
    return tuple({(one.file, one.name): one for one in found}.values())


def fitting(
    image: ImageEntry, scenarios: Iterable[Scenario], entries: Mapping[str, ImageEntry], base: Path
) -> tuple[Scenario, ...]:
    """Return the scenarios that fit an image: those of an image that is called the same.

    An image is called by its name in the catalog and by the last part of its repository:
    ``docker://redis:7`` and ``docker://registry.example.org/mirror/redis`` are ``redis``.
    Relative paths in scenarios' images are below ``base``.
    """
    mine = _called(image)
    return tuple(
        scenario
        for scenario in scenarios
        if any(mine & _called(entry) for entry in _entries(scenario.images, entries, base))
    )


def _called(image: ImageEntry) -> set[str]:
    source = image.source
    if not isinstance(source, Reference) or source.transport is not Transport.DOCKER:
        return {image.name}
    return {image.name, source.place.rpartition("/")[2]}


def _entries(
    images: Iterable[str], entries: Mapping[str, ImageEntry], base: Path
) -> Iterator[ImageEntry]:
    for name in images:
        try:
            yield entries.get(name) or catalog.adhoc(name, base=base)
        except UsageError:
            continue  # told when that scenario is run itself
