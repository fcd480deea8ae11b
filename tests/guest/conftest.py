from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.assembly import Assembly, Options
from harness.images import catalog
from harness.laboratory import Laboratory
from harness.model.observations import Observation
from harness.model.scenarios import ContainerSpec, Scenario, Step

Observe = Callable[..., Observation]


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    rootdir = tmp_path_factory.mktemp("rootdir")
    assembly = Assembly(Options(rootdir=rootdir))
    yield Laboratory(assembly, catalog.load_catalog(catalog.directories()))
    assembly.close()


def one_step(*argv: str, name: str = "probe", **spec: object) -> Scenario:
    """A scenario of a single command, run as the container's first process."""
    return Scenario(
        name=name,
        file="tests/guest.yaml",
        line=1,
        images=(),
        steps=(Step(run=argv, timeout=60.0),),
        container=replace(ContainerSpec(), **spec),  # type: ignore[arg-type]
    )


@pytest.fixture
def observe(laboratory: Laboratory, tmp_path: Path) -> Observe:
    def run(kernel: str, image: str, scenario: Scenario) -> Observation:
        entry = laboratory.assembly.entry(kernel)
        return laboratory.observe("cell", scenario, image, entry, tmp_path / "console.log")

    return run
