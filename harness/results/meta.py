"""What is recorded of a run as a whole: the content of run.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.model.hosts import LockedPackage
from harness.model.observations import Observation
from harness.model.scenarios import Known

RUN_SCHEMA = 1
"""Version of the JSON that run.json is written in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """A column of the run's matrix and where its kernel came from."""

    name: str
    """Host name of the catalog, or the name given with --kernel."""
    release: str = ""
    digest: str = ""
    """sha256 of the unpacked kernel; empty when it could not be had."""
    origin: str = ""
    packages: tuple[LockedPackage, ...] = ()
    """Exactly what was taken, from the lock or resolved for this run."""
    ad_hoc: bool = False
    """True: the entry had no lock, its packages were resolved for this run."""
    unavailable: str = ""
    """Why the kernel could not be had; empty when it could."""
    syscalls: dict[str, int] = field(default_factory=dict)
    """ABI to how many system calls the census found; an ABI that does not run is left out."""
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """ABI to the system calls of its table that the kernel lacks, by number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """An image of the run."""

    name: str
    ref: str = ""
    digest: str = ""
    """Manifest digest; empty when the image could not be had."""
    unavailable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMeta:
    """One session. ``finished`` is empty while it runs, and for ever when it was cut off."""

    id: str = ""
    started: str = ""
    """UTC, ISO 8601, as is ``finished``."""
    finished: str = ""
    resumed: tuple[str, ...] = ()
    """When the run was taken up again after it had been cut off."""
    night: bool = False
    """Whether it is one of the nightly runs, which are compared with each other."""
    command: tuple[str, ...] = ()
    directory: str = ""
    """Where the command was given: paths in it are relative to it."""
    rootdir: str = ""
    harness: str = ""
    python: str = ""
    qemu: str = ""
    skopeo: str = ""
    accelerator: str = ""
    accelerator_why: str = ""
    """Why KVM is not used; empty when it is."""
    kernels: tuple[KernelFacts, ...] = ()
    images: tuple[ImageFacts, ...] = ()
    tool_packages: tuple[LockedPackage, ...] = ()
    """The guest tools' packages."""
    counts: dict[str, int] = field(default_factory=dict)
    """Cells by what became of them; written when the run ends."""
    failed_besides: int = 0
    """Tests that failed and are no cells, or whose cell could not be recorded."""
    exit_status: int | None = None
    stopped: bool = False
    """Whether the session was to stop before all that it selected had run (``-x``)."""
    cells: tuple[str, ...] = ()
    """Ids of the cells in the order of collection: from the beginning those of scenarios, whether
    they are there yet or not; what Python tests did joins them when the run ends."""
    known: dict[str, Known] = field(default_factory=dict)
    """Id of a cell to the known difference that says that it fails."""
    stale: dict[str, tuple[Known, ...]] = field(default_factory=dict)
    """Id of a cell to known differences that apply to it and did not occur."""
    causes: tuple[str, ...] = ()
    """The user's own files of known causes."""
    schema: int = RUN_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file of a run that cannot be used, and why; the rest of the run is intact."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as read from disk."""

    path: Path
    meta: RunMeta
    observations: tuple[Observation, ...]
    problems: tuple[Problem, ...] = ()
    repeats: tuple[Observation, ...] = ()
    """Further runs of cells, each with its cell's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRef:
    """A run that is there; ``meta`` is None when its run.json cannot be read."""

    path: Path
    meta: RunMeta | None

    @property
    def completed(self) -> bool:
        """Whether the run came to its own end."""
        return self.meta is not None and bool(self.meta.finished)
