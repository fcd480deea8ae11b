"""What run.json says of the kernels and images that a laboratory works with."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version

from harness.laboratory import Laboratory
from harness.model.hosts import HostEntry
from harness.model.observations import Observation
from harness.results.meta import ImageFacts, KernelFacts, RunMeta
from harness.scenarios.causes import own_files
from harness.trace.census import missing


def kernel_facts(laboratory: Laboratory, entry: HostEntry) -> KernelFacts:
    """Return what is to be recorded of a kernel, as far as it was made ready."""
    key = (entry.name, entry.engine)
    ready = laboratory.hosts.made.get(key)
    if ready is None:
        failed = laboratory.hosts.failed.get(key)
        return KernelFacts(name=entry.name, unavailable=str(failed or ""))
    kernel = ready.machine.host.kernel
    taken, table = ready.survey.census, laboratory.instruments.syscalls
    return KernelFacts(
        name=entry.name,
        release=ready.survey.facts.release,
        digest=kernel.digest,
        origin=kernel.origin,
        packages=ready.lock.lock.packages,
        ad_hoc=ready.lock.fresh,
        syscalls={abi: len(numbers) for abi, numbers in taken.implemented.items()},
        missing={
            abi: tuple(table.name(number, abi) for number in missing(taken, table, abi))
            for abi in taken.implemented
        },
    )


def image_facts(laboratory: Laboratory, name: str) -> ImageFacts:
    """Return what is to be recorded of an image, as far as it was made ready."""
    image = laboratory.prepared.made.get(name)
    if image is None:
        return ImageFacts(name=name, unavailable=str(laboratory.prepared.failed.get(name) or ""))
    return ImageFacts(name=name, ref=image.ref, digest=image.digest)


def command_meta(
    begun: RunMeta,
    laboratory: Laboratory,
    command: Sequence[str],
    places: Iterable[tuple[HostEntry, str]],
    observations: Iterable[Observation],
) -> RunMeta:
    """Return what is to be recorded of a run that a command made, not pytest.

    Args:
        begun: what the run's record says so far.
        laboratory: where its cells ran.
        command: the words of it.
        places: the kernel and the image of each cell.
        observations: of the cells, in order.
    """
    assembly = laboratory.assembly
    choice = assembly.chosen
    pairs = list(places)
    entries = {entry.name: entry for entry, _ in pairs}
    return replace(
        begun,
        command=tuple(command),
        rootdir=str(assembly.options.rootdir),
        harness=version("pytest-kernels"),
        python=platform.python_version(),
        qemu=assembly.apparatus.qemu_version,
        accelerator=choice.accelerator.value if choice else "",
        accelerator_why=choice.why if choice else "",
        kernels=tuple(kernel_facts(laboratory, entry) for entry in entries.values()),
        images=tuple(
            image_facts(laboratory, name) for name in dict.fromkeys(image for _, image in pairs)
        ),
        cells=tuple(one.id for one in observations),
        causes=tuple(map(str, own_files(assembly.options.rootdir, assembly.options.causes))),
    )
