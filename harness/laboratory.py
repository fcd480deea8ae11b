"""Hosts and images made ready once, and cells run on them, for one session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from harness import defaults
from harness.assembly import Assembly
from harness.container.profiles import Catalogue, Chosen
from harness.errors import (
    GuestError,
    HarnessError,
    MissingKernelError,
    UnavailableError,
    UsageError,
)
from harness.guest import snapshot
from harness.guest.apparatus import BASE, SLOTS
from harness.guest.guest import Guest
from harness.guest.qemu import Disk, Machine
from harness.guest.slots import Places, guests_at_once
from harness.images.catalog import ImageEntry
from harness.images.prepare import Workshop, prepare
from harness.kernels.lock import LockResult
from harness.kernels.selection import applies
from harness.model.hosts import Accelerator, HostEntry
from harness.model.images import Image, ImageConfig
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Scenario
from harness.scenarios.cell import run_cell
from harness.scenarios.observed import scenario_digest
from harness.scenarios.request import Instruments, Request
from harness.scenarios.survey import Survey, survey

T = TypeVar("T")

SCALE = {Accelerator.KVM: 1.0, Accelerator.TCG: 4.0}
"""Time limits of scenarios are written for KVM; emulation is slower by about ten, and steps
wait more than they compute."""
DEBIAN = "debian"
"""The keyring that recipes are checked against."""
BUILD_MEMORY = 2048
"""MiB of the guest that unpacks images."""
NO_IMAGE = Image(name="", ref="", digest="", disk=Path(), slot=SLOTS[0], config=ImageConfig())
"""What a guest without a container has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A host on which cells can run: surveyed, its machine put together."""

    entry: HostEntry
    survey: Survey
    machine: Machine
    lock: LockResult


class Once(Generic[T]):
    """Makes one thing per key, whoever asks first, and remembers a failure as well."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[object, threading.Lock] = {}
        self.made: dict[object, T] = {}
        self.failed: dict[object, HarnessError] = {}

    def get(self, key: object, make: Callable[[], T]) -> T:
        """Return what was made for ``key``, or raise what making it raised."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key in self.failed:
                raise self.failed[key]
            if key not in self.made:
                try:
                    self.made[key] = make()
                except HarnessError as error:
                    self.failed[key] = error
                    raise
            return self.made[key]


class Laboratory:
    """What a session runs its cells with; safe to use from any thread."""

    def __init__(self, assembly: Assembly, images: dict[str, ImageEntry]) -> None:
        self.assembly = assembly
        self.images = images
        self.hosts: Once[Ready] = Once()
        self.prepared: Once[Image] = Once()
        self._snapshots: Once[Path | None] = Once()
        self._profiles: Once[Chosen] = Once()
        self._places = Places(assembly.store)

    @cached_property
    def instruments(self) -> Instruments:
        """The tables of system calls and operations."""
        return Instruments()

    @cached_property
    def catalogue(self) -> Catalogue:
        """The seccomp profiles."""
        return Catalogue(defaults.directory("kernels") / "seccomp.yaml")

    def ready(self, entry: HostEntry) -> Ready:
        """Return a host ready to run cells; the first call may fetch, boot and survey it.

        Raises:
            HarnessError: it cannot be had.
        """
        return self.hosts.get((entry.name, entry.engine), lambda: self._ready(entry))

    def _ready(self, entry: HostEntry) -> Ready:
        try:
            host, lock = self.assembly.host(entry)
        except UnavailableError as error:
            raise MissingKernelError(str(error)) from error
        except UsageError as error:  # a file that cannot be read says nothing of an image
            raise UnavailableError(str(error)) from error
        if lock.fresh:
            self.assembly.progress.say(
                f"{entry.name}: no lock, resolved to {lock.lock.release} for this run "
                f"(`harness kernels lock {entry.name}` pins it)"
            )
        accelerator = self.assembly.choice(host).accelerator
        apparatus = self.assembly.apparatus
        found = survey(
            host,
            accelerator=accelerator,
            apparatus=apparatus,
            syscalls=self.instruments.syscalls,
            cold=self.assembly.options.cold_boot,
            say=self.assembly.progress.say,
        )
        machine = Machine(
            host=host,
            accelerator=accelerator,
            initramfs=apparatus.initramfs(host, found.runtime),
            features=apparatus.features,
        )
        return Ready(entry=entry, survey=found, machine=machine, lock=lock)

    def image(self, name: str) -> Image:
        """Return an image with its disk; the first call may fetch and build it.

        Raises:
            HarnessError: it cannot be had.
        """
        entry = self.images[name]

        def make() -> Image:
            return prepare(entry, workshop=self.workshop, build_guest=self.build_guest)

        return self.prepared.get(name, make)

    @cached_property
    def workshop(self) -> Workshop:
        """What images are made with."""
        keyring = self.assembly.resolver.keyrings[DEBIAN]
        return Workshop(
            store=self.assembly.store,
            fetcher=self.assembly.fetcher,
            keyring=keyring.file,
            progress=self.assembly.progress,
            limits=self.assembly.options.image_limits,
        )

    @contextmanager
    def build_guest(self, disks: Sequence[Disk], slot: int = 0) -> Iterator[Guest]:
        """Start the newest locked kernel's guest with the build tools and ``disks``.

        ``slot``: the virtual size of each disk, so that one snapshot serves all; 0: they differ,
        and the guest boots from cold.

        Raises:
            HarnessError: it cannot be had.
        """
        host, _ = self.assembly.host(self.assembly.newest())
        host = replace(host, memory=max(host.memory, BUILD_MEMORY))
        apparatus = self.assembly.apparatus
        tools = apparatus.tools_disk("build")
        machine = Machine(
            host=host,
            accelerator=self.assembly.choice(host).accelerator,
            initramfs=apparatus.initramfs(host),
            disks=(tools, *disks),
            features=apparatus.features,
        )
        saved = None
        if slot:
            empty = apparatus.slot(slot)
            alike = [replace(empty, serial=d.serial, read_only=d.read_only) for d in disks]
            saved = self.snapshot(replace(machine, disks=(tools, *alike)))
        with apparatus.started(machine, saved, say=self.assembly.progress.say) as guest:
            guest.run("harness-tools build", limit=300)
            yield guest

    def snapshot(self, machine: Machine) -> Path | None:
        """Return the snapshot that a machine's guests start from; None: boot from cold."""
        if self.assembly.options.cold_boot:
            return None
        apparatus = self.assembly.apparatus

        def make() -> Path | None:
            try:
                return apparatus.snapshot(machine)
            except GuestError as error:
                name = machine.host.name
                self.assembly.progress.say(f"{name}: no snapshot, cold boots: {error}")
                return None

        return self._snapshots.get(snapshot.key(machine, apparatus.qemu_version), make)

    def profile(self, scenario: Scenario, entry: HostEntry) -> Chosen:
        """Return the seccomp profile of a cell: the session's, the scenario's, or the host's.

        Raises:
            UsageError, ConfigError: there is no such profile, or it cannot be read.
        """
        options = self.assembly.options
        wanted = options.seccomp or scenario.container.seccomp or entry.seccomp

        def read(tool_set: str, file: str) -> str:
            return (self.assembly.apparatus.tool_set(tool_set).root / file).read_text()

        def make() -> Chosen:
            return self.catalogue.choose(wanted, entry.engine, read, options.rootdir)

        return self._profiles.get((wanted, entry.engine), make)

    def place(self) -> AbstractContextManager[None]:
        """Hold one of this machine's places for guests, as soon as it is free."""
        return self._places.taken(self.places)

    @cached_property
    def places(self) -> int:
        """How many guests run at once.

        Raises:
            UsageError: ``--guests`` is neither ``auto`` nor a number.
        """
        chosen, choice = self.assembly.selected, self.assembly.chosen
        return guests_at_once(
            self.assembly.options.guests,
            memory=max((entry.memory for entry in chosen), default=1024),
            cpus=max((entry.cpus for entry in chosen), default=1),
            accelerator=choice.accelerator if choice else Accelerator.TCG,
        )

    def observe(
        self,
        id: str,
        scenario: Scenario,
        image: str,
        entry: HostEntry,
        log: Path | None,
        *,
        traced: bool = True,
        counted: bool = False,
    ) -> Observation:
        """Run a cell, or say why it cannot run; never raises for what a cell does.

        Without ``traced`` it runs untouched by the recording of system calls. With ``counted``
        its guest, booted from cold, tells time by its instructions.
        """
        scenario = self.asked(scenario)
        blank = not_run(id, scenario, image, entry)
        if not self.applies(scenario.kernels, entry):
            return replace(blank, reason=f"the scenario is for kernels {scenario.kernels}")
        try:
            request = self.request(id, scenario, image, entry, log)
            request = replace(request, traced=traced)
            if counted:
                machine = replace(request.machine, counted=True)
                request = replace(request, machine=machine, snapshot=None)
            with self.place():
                return run_cell(request, self.assembly.apparatus, self.instruments)
        except UsageError as error:
            return replace(blank, verdict=Verdict.FAILED, reason=str(error))
        except HarnessError as error:
            return unavailable(blank, error)

    def asked(self, scenario: Scenario) -> Scenario:
        """Return a scenario with what the session's options add to it."""
        spec = scenario.container
        more = tuple(cap for cap in self.assembly.options.cap_add if cap not in spec.cap_add)
        if not more:
            return scenario
        return replace(scenario, container=replace(spec, cap_add=(*spec.cap_add, *more)))

    def request_for_shell(self, entry: HostEntry, image: str) -> Request:
        """Return a request for a container that only waits.

        Raises:
            HarnessError: host or image cannot be had.
        """
        waiting = Scenario(name="shell", file="", line=0, images=(image,), steps=())
        return self.request("shell", waiting, image, entry, None)

    def applies(self, expression: str, entry: HostEntry) -> bool:
        """Tell whether a kernel is one of those that a selection means; empty means all."""
        lock = self.assembly.locks.get(entry.name)
        return applies(
            expression,
            name=entry.name,
            release=lock.release if lock else "",
            aliases=entry.aliases,
            tags=entry.tags,
        )

    def request(
        self, id: str, scenario: Scenario, image: str, entry: HostEntry, log: Path | None
    ) -> Request:
        """Return the request of a cell with all that it needs at hand.

        Without an image its guest has the empty disk in the image's place.

        Raises:
            HarnessError: host or image cannot be had.
        """
        options, scenario = self.assembly.options, self.asked(scenario)
        entry = with_engine(scenario, entry)
        ready = self.ready(entry)
        prepared = self.image(image) if image else NO_IMAGE
        slot = disk = self.assembly.apparatus.slot(prepared.slot)
        saved = self.snapshot(replace(ready.machine, disks=(slot,)))
        if image:
            disk = Disk(serial="image", path=prepared.disk, format="qcow2", throw_away=True)
        return Request(
            id=id,
            scenario=scenario,
            image=prepared,
            kernel=entry.name,
            machine=replace(ready.machine, disks=(disk,)),
            snapshot=saved,
            survey=ready.survey,
            chosen=self.profile(scenario, entry),
            traits=self.catalogue.traits(ready.survey.runtime),
            rootdir=options.rootdir,
            tools=self.assembly.apparatus.tool_set(BASE).digest,
            qemu=self.assembly.apparatus.qemu_version,
            scale=SCALE[ready.machine.accelerator],
            log=log,
        )


def with_engine(scenario: Scenario, entry: HostEntry) -> HostEntry:
    """Return a host with the engine that a scenario asks for, if it asks for one."""
    engine = scenario.container.engine or entry.engine
    return entry if engine is entry.engine else replace(entry, engine=engine, seccomp="")


def unavailable(blank: Observation, error: HarnessError) -> Observation:
    """Return the observation of a cell that could not be run, and why."""
    return replace(
        blank,
        verdict=Verdict.UNAVAILABLE,
        reason=str(error),
        kernel_missing=isinstance(error, MissingKernelError),
    )


def not_run(id: str, scenario: Scenario, image: str, entry: HostEntry) -> Observation:
    """Return the observation of a cell that was not run; why is left to say."""
    return Observation(
        id=id,
        scenario=scenario.name,
        file=scenario.file,
        image=image,
        kernel=entry.name,
        verdict=Verdict.SKIPPED,
        scenario_digest=scenario_digest(scenario),
        normalise=scenario.normalise,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )
