"""Laboratories whose hosts are not what a catalog says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.assembly import Assembly, Options
from harness.images import catalog
from harness.kernels.hosts import host_of
from harness.kernels.lock import LockResult
from harness.laboratory import Laboratory
from harness.model.hosts import Host, HostEntry, Kernel, Lock
from harness.model.observations import Observation
from harness.model.scenarios import Scenario


class ChangedHosts(Assembly):
    """Gives every host the same changes."""

    def __init__(self, options: Options, **changes: Any) -> None:
        super().__init__(options)
        self._changes = changes

    def host(self, entry: HostEntry) -> tuple[Host, LockResult]:
        host, lock = super().host(entry)
        return replace(host, **self._changes), lock


class GivenKernel(Assembly):
    """Has one kernel that no catalog knows, beside those that build images."""

    def __init__(self, options: Options, kernel: Kernel, lock: Lock) -> None:
        super().__init__(options)
        self._given = kernel, lock

    def host(self, entry: HostEntry) -> tuple[Host, LockResult]:
        if entry.where != "the test":
            return super().host(entry)
        kernel, lock = self._given
        return host_of(entry, kernel), LockResult(lock, fresh=False)


@contextmanager
def laboratory(assembly: Assembly) -> Iterator[Laboratory]:
    try:
        yield Laboratory(assembly, catalog.load_catalog(catalog.directories()))
    finally:
        assembly.close()


def observe(
    given: Laboratory, entry: HostEntry, image: str, scenario: Scenario, directory: Path
) -> Observation:
    return given.observe("cell", scenario, image, entry, directory / "console.log")
