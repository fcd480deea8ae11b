"""What run.json says of a session, from how it was begun and the cells that were reported."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from harness.results.meta import ImageFacts, KernelFacts, RunMeta

if TYPE_CHECKING:
    from harness.plugin.reports import CellReport

F = TypeVar("F", KernelFacts, ImageFacts)
T = TypeVar("T")

BARE = "(none)"
"""In the place of an image's name: a guest without a container."""


def record_of(
    begun: RunMeta, cells: Sequence[CellReport], *, besides: int, stopped: bool
) -> RunMeta:
    """Return what is to be recorded; ``begun`` is what is recorded so far.

    ``cells`` are in the order of collection; ``besides`` failed and are no cells.
    """
    columns = sorted(cells, key=lambda cell: cell.column)
    environments = [cell.observation.environment for cell in cells if cell.observation.environment]
    told = {cell.observation.id for cell in cells}

    def untold(before: Mapping[str, T]) -> dict[str, T]:
        return {id: said for id, said in before.items() if id not in told}

    used = next((cell for cell in cells if cell.accelerator), None)
    return replace(
        begun,
        failed_besides=besides,
        stopped=stopped,
        harness=version("pytest-kernels"),
        python=platform.python_version(),
        qemu=environments[0].qemu if environments else begun.qemu,
        accelerator=used.accelerator if used else begun.accelerator,
        accelerator_why=used.accelerator_why if used else begun.accelerator_why,
        kernels=_joined(begun.kernels, [cell.kernel for cell in columns]),
        images=_joined(begun.images, [cell.image for cell in cells if cell.image.name != BARE]),
        cells=_ids(begun.cells, [cell.observation.id for cell in cells]),
        known=untold(begun.known)
        | {c.observation.id: c.known.entry for c in cells if c.known.entry},
        stale=untold(begun.stale)
        | {c.observation.id: c.known.stale for c in cells if c.known.stale},
    )


def _joined(before: Sequence[F], now: Sequence[F]) -> tuple[F, ...]:
    """Return the facts of each name, in the order of ``now``; those that say something go first."""
    found = {fact.name: fact for fact in now}
    for fact in before:
        known = found.get(fact.name)
        if known is None or not (known.digest or known.unavailable):
            found[fact.name] = fact
    return tuple(found.values())


def _ids(selected: Sequence[str], told: Sequence[str]) -> tuple[str, ...]:
    if set(selected) <= set(told):
        return tuple(told)
    return (*selected, *(id for id in told if id not in set(selected)))
