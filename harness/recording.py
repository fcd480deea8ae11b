"""What run.json says of the kernels and images that a laboratory works with."""

from __future__ import annotations

from harness.laboratory import Laboratory
from harness.model.hosts import HostEntry
from harness.results.meta import ImageFacts, KernelFacts
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
