"""``scenarios/known.yaml``: known differences of any scenario and image, by globs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from harness import yamlfile
from harness.model.scenarios import Known
from harness.results.files import write_whole
from harness.scenarios.schema import KnownKeys
from harness.yamlvalues import quoted

FILE = "known.yaml"
_KEY = "known"
_WIDTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A known difference, and the scenarios and images that it is about."""

    known: Known
    scenario: str = "*"
    """Globs, as fnmatch(3) has them."""
    image: str = "*"

    def applies(self, scenario: str, image: str) -> bool:
        """Tell whether it is about this scenario in this image."""
        return fnmatchcase(scenario, self.scenario) and fnmatchcase(image, self.image)


class AcceptedKeys(KnownKeys):
    """A known difference of the scenarios and images that its globs match."""

    scenario: str = "*"
    image: str = "*"


class AcceptedFile(BaseModel):
    """The whole file."""

    model_config = KnownKeys.model_config

    known: list[AcceptedKeys] = Field(default_factory=list)


def load_from(directories: Iterable[Path]) -> tuple[Accepted, ...]:
    """Return the entries of the files of all directories.

    Raises:
        ConfigError: one is wrong.
    """
    return tuple(entry for directory in directories for entry in load(directory / FILE))


def load(path: Path) -> tuple[Accepted, ...]:
    """Return the entries of a file; none when there is no such file.

    Raises:
        ConfigError: it is wrong.
    """
    if not path.exists():
        return ()
    parsed = yamlfile.validate(yamlfile.load(path), AcceptedFile)
    return tuple(
        Accepted(
            known=Known(**keys.model_dump(exclude={"scenario", "image"})),
            scenario=keys.scenario,
            image=keys.image,
        )
        for keys in parsed.known
    )


def of_cell(entries: Iterable[Accepted], scenario: str, image: str) -> tuple[Known, ...]:
    """Return the known differences of a scenario in an image."""
    return tuple(entry.known for entry in entries if entry.applies(scenario, image))


def add(path: Path, entries: Sequence[Accepted]) -> int:
    """Write entries that a file lacks to its end, and return how many; its comments are kept.

    Raises:
        ConfigError: the file is wrong.
        StoreError: it cannot be written.
    """
    have = {_without_reason(entry) for entry in load(path)}
    new: list[Accepted] = []
    for entry in entries:
        if _without_reason(entry) not in have:
            have.add(_without_reason(entry))
            new.append(entry)
    if not new:
        return 0
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    text = path.read_text() if path.exists() else ""
    data = yaml.load(text)
    head = ""
    if data is None:  # comments alone are no document, which could carry them
        data, head = CommentedMap(), text
    data.setdefault(_KEY, CommentedSeq()).extend(quoted(_written(entry)) for entry in new)
    out = io.StringIO(head)
    out.seek(0, io.SEEK_END)
    yaml.dump(data, out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, out.getvalue().encode())
    return len(new)


def _written(entry: Accepted) -> dict[str, Any]:
    known = entry.known
    keys = ("syscall", "errno", "program", "field", "where")
    return {
        "scenario": entry.scenario,
        "image": entry.image,
        "kernels": known.kernels,
        **{key: getattr(known, key) for key in keys if getattr(known, key)},
        "reason": known.reason,
    }


def _without_reason(entry: Accepted) -> tuple[tuple[str, Any], ...]:
    return tuple((k, v) for k, v in _written(entry).items() if k != "reason")
