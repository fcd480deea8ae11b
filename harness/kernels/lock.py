"""Lock files: what each kernel or tool set resolved to, exactly, so that a run is repeatable.

Read by everything, written by ``harness kernels lock`` alone.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from harness import yamlfile
from harness.model.hosts import Lock, LockedPackage
from harness.yamlfile import Text

KERNELS_LOCK = "kernels.lock.yaml"
TOOLS_LOCK = "tools.lock.yaml"

_HEADER = """\
# Written by `harness kernels lock`: change catalog.yaml or tools.yaml and lock anew, do not edit.
# Each package is verified against its sha256 here; where it comes from is the catalog's matter.
"""
_DEFAULT_ARCHITECTURE = "amd64"

_Sha256 = Annotated[Text, pydantic.StringConstraints(pattern="^[0-9a-f]{64}$")]
_Relative = Annotated[Text, pydantic.StringConstraints(pattern=r"^[^/].*$")]


@dataclass(frozen=True, slots=True)
class LockResult:
    """A lock, and whether it is ``fresh``: resolved now because no lock file has it."""

    lock: Lock
    fresh: bool


class _Package(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    name: Text
    version: Text
    path: _Relative
    sha256: _Sha256
    size: Annotated[int, pydantic.Field(gt=0)]
    architecture: Text = _DEFAULT_ARCHITECTURE


class _Lock(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    release: Text = ""
    source: Text = ""
    packages: tuple[_Package, ...] = ()


class _Locks(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    locks: dict[str, _Lock] = {}


def read_locks(files: Iterable[Path]) -> dict[str, Lock]:
    """Read lock files, those that exist; a later one overrides an earlier one.

    Raises:
        ConfigError: a file is not as it should be.
    """
    locks: dict[str, Lock] = {}
    for file in dict.fromkeys(path.resolve() for path in files):
        if not file.is_file():
            continue
        found = yamlfile.validate(yamlfile.load(file), _Locks).locks
        locks.update({name: _plain(lock) for name, lock in found.items()})
    return locks


def write_locks(file: Path, locks: Mapping[str, Lock]) -> None:
    """Write a lock file whole, sorted by name, beside its place and renamed."""
    entries = {
        DoubleQuotedScalarString(name): _data(locks[name]) for name in sorted(locks, key=_order)
    }
    yaml = YAML()
    yaml.width = 1000
    text = io.StringIO()
    yaml.dump({"locks": entries}, text)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fresh.write_text(_HEADER + text.getvalue())
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


def update_locks(file: Path, fresh: Mapping[str, Lock]) -> None:
    """Put ``fresh`` into a lock file and keep what else it holds.

    Raises:
        ConfigError: the file is there and not as it should be.
    """
    write_locks(file, {**read_locks([file]), **fresh})


def _plain(lock: _Lock) -> Lock:
    return Lock(
        release=lock.release,
        source=lock.source,
        packages=tuple(LockedPackage(**package.model_dump()) for package in lock.packages),
    )


def _data(lock: Lock) -> dict[str, object]:
    packages = []
    for package in lock.packages:
        data: dict[str, object] = {
            "name": package.name,
            "version": DoubleQuotedScalarString(package.version),
            "path": package.path,
            "sha256": DoubleQuotedScalarString(package.sha256),
            "size": package.size,
        }
        if package.architecture != _DEFAULT_ARCHITECTURE:
            data["architecture"] = package.architecture
        packages.append(data)
    data = {"source": lock.source}
    if lock.release:
        data["release"] = DoubleQuotedScalarString(lock.release)
    return {**data, "packages": packages}


def _order(name: str) -> tuple[list[int], str]:
    """Order ``5.10`` after ``5.9``, and names without numbers last."""
    parts = name.split(".")
    return ([int(part) for part in parts] if all(p.isdigit() for p in parts) else [1 << 30], name)
