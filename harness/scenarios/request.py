"""What a cell is asked for with, and what is noted of it while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.container.filtering import Traits
from harness.container.profiles import Chosen
from harness.container.runtime import ImageFiles
from harness.guest.qemu import Machine
from harness.model.images import Image
from harness.model.observations import StepResult
from harness.model.scenarios import Scenario
from harness.scenarios.confine import Confined
from harness.scenarios.sitting import Done
from harness.scenarios.survey import Survey
from harness.trace.operations import Operations
from harness.trace.plan import Plan
from harness.trace.recorder import Recording
from harness.trace.records import Trace
from harness.trace.syscalls import Syscalls


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One cell to run; plain data, so that any process or machine can run it."""

    id: str
    scenario: Scenario
    image: Image
    kernel: str
    machine: Machine
    """With the image's disk in its slot."""
    snapshot: Path | None
    survey: Survey
    chosen: Chosen
    """The seccomp profile."""
    traits: Traits
    """Of the runtime."""
    rootdir: Path
    tools: str
    """Digest of the guest tools."""
    qemu: str
    scale: float = 1.0
    """Time limits are multiplied by this: emulation is slow."""
    traced: bool = True
    log: Path | None = None
    """Where the guest's console goes."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """Tables that are read once a process."""

    syscalls: Syscalls = field(default_factory=Syscalls)
    operations: Operations = field(default_factory=Operations)


@dataclass(slots=True)
class Notebook:
    """What is known of a cell so far, so that a lost guest loses nothing that was seen."""

    started: str
    durations: dict[str, float] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    service: StepResult | None = None
    trace: Trace | None = None
    abis: dict[str, str] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    cause: str = ""
    notes: list[str] = field(default_factory=list)
    ways: dict[str, str] = field(default_factory=dict)
    confined: Confined | None = None
    recording: Recording | None = None
    plan: Plan = field(default_factory=Plan)
    files: ImageFiles = field(default_factory=lambda: ImageFiles(passwd="", group=""))

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Note how long the block took."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.durations[name] = round(time.monotonic() - begin, 4)
