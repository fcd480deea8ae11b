"""Everything that a command or a session works with, put together from its options.

Reading catalogs and locks needs no network and starts nothing; what does (fetching, the
accelerator's probe) happens when it is first asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness import process
from harness import store as stores
from harness.container import scripts
from harness.guest import accelerator, emulator
from harness.guest.accelerator import Choice
from harness.guest.apparatus import Apparatus
from harness.guest.qemu import Machine
from harness.images import catalog as images
from harness.kernels import catalog, selection, tools
from harness.kernels.hosts import host_of
from harness.kernels.lock import KERNELS_LOCK, LockResult, read_locks
from harness.kernels.sources import Resolver, lock_of, obtain, shared
from harness.model.hosts import Accelerator, Host, HostEntry, Lock
from harness.oci_limits import Limits
from harness.packages.download import Fetcher
from harness.packages.signature import load_keyrings
from harness.progress import Progress, Silent
from harness.trace import recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user can set, in plain values."""

    rootdir: Path
    kernels: str | None = None
    """A selection expression; None: the kernels tagged ``default``."""
    adhoc: tuple[str, ...] = ()
    """``NAME=PATH[,modules=DIR]`` each."""
    kernels_dir: Path | None = None
    """The user's catalog, locks and mirrors of kernels; None: ``kernels`` below rootdir."""
    images_dir: Path | None = None
    """The user's catalog and lock of images; None: ``images`` below rootdir."""
    store: Path = field(default_factory=stores.default_root)
    accelerator: str = "auto"
    seccomp: str = ""
    cap_add: tuple[str, ...] = ()
    cold_boot: bool = False
    guests: str = "auto"
    image_limits: Limits = field(default_factory=Limits)
    scenario_dirs: tuple[str, ...] = ("scenarios",)
    causes: tuple[str, ...] = ()
    """Files of known causes besides scenarios/causes.yaml; as ``scenario_dirs`` below rootdir."""

    @property
    def scenarios(self) -> tuple[Path, ...]:
        """Where scenarios are, and what is known beforehand of them."""
        return tuple(self.rootdir / directory for directory in self.scenario_dirs)


class Assembly:
    """Catalogs, store, apparatus and accelerator; hand it to what needs them."""

    def __init__(self, options: Options, progress: Progress | None = None) -> None:
        self.options = options
        self.progress = progress or Silent()
        self.store = stores.Store(options.store, self.progress.say)
        self._choosing = threading.Lock()
        self._choice: Choice | None = None

    @cached_property
    def kernel_directories(self) -> tuple[Path, ...]:
        """The packaged directory of kernels, then the user's."""
        user = self.options.kernels_dir or self.options.rootdir / "kernels"
        return catalog.directories(user if user.is_dir() else None)

    @cached_property
    def image_directories(self) -> tuple[Path, ...]:
        """The packaged directory of images, then the user's."""
        user = self.options.images_dir or self.options.rootdir / "images"
        return images.directories(user if user.is_dir() else None)

    @cached_property
    def entries(self) -> list[HostEntry]:
        """Every kernel of the catalogs, and those given by path.

        Raises:
            ConfigError: a catalog is wrong.
            UsageError: a kernel given by path is wrong.
        """
        files = [directory / catalog.CATALOG_FILE for directory in self.kernel_directories]
        given = [catalog.parse_adhoc(text) for text in self.options.adhoc]
        names = {entry.name for entry in given}
        return [e for e in catalog.load_catalog(files) if e.name not in names] + given

    @cached_property
    def locks(self) -> Mapping[str, Lock]:
        """The kernels' locks; hosts on one source share one."""
        read = read_locks([directory / KERNELS_LOCK for directory in self.kernel_directories])
        return shared(read, self.entries)

    @cached_property
    def selected(self) -> list[HostEntry]:
        """The kernels that the options mean, in order; those given by path are always meant.

        Raises:
            UsageError: one is unknown.
        """
        given = {catalog.parse_adhoc(text).name for text in self.options.adhoc}
        adhoc = [entry for entry in self.entries if entry.name in given]
        if adhoc and self.options.kernels is None:
            return adhoc
        chosen = selection.select(self.options.kernels, self.entries, self.locks)
        return chosen + [entry for entry in adhoc if entry not in chosen]

    def entry(self, name: str) -> HostEntry:
        """Return one kernel of the catalog by name or alias.

        Raises:
            UsageError: there is none, or the name means several.
        """
        return selection.select(name, self.entries, self.locks)[0]

    @cached_property
    def fetcher(self) -> Fetcher:
        """Fetches from the network, for this session."""
        files = [directory / catalog.MIRRORS_FILE for directory in self.kernel_directories]
        mirrors = catalog.load_mirrors(files)
        return Fetcher(self.store, progress=self.progress, mirrors=mirrors)

    @cached_property
    def resolver(self) -> Resolver:
        """Resolves what no lock has."""
        return Resolver.of(
            self.fetcher, load_keyrings(directory / "keys" for directory in self.kernel_directories)
        )

    @cached_property
    def apparatus(self) -> Apparatus:
        """What guests are made with.

        Raises:
            ToolError: QEMU is not installed.
        """
        return Apparatus(
            store=self.store,
            fetcher=self.fetcher,
            specs=tools.load_tools(),
            locks=read_locks([tools.tools_lock_file()]),
            qemu_version=emulator.version(),
            features=emulator.features(),
            resident={**scripts.resident(), **recorder.resident()},
        )

    def host(self, entry: HostEntry) -> tuple[Host, LockResult]:
        """Return a host with its kernel in the store, and the lock that it came from.

        Raises:
            UnavailableError, VerificationError, UsageError: the kernel cannot be had.
        """
        lock = lock_of(entry, self.locks, self.resolver)
        kernel = obtain(
            entry,
            lock.lock,
            store=self.store,
            fetcher=self.fetcher,
            progress=self.progress,
            keyrings=self.resolver.keyrings,
        )
        return host_of(entry, kernel), lock

    def choice(self, host: Host) -> Choice:
        """Return the accelerator; the first call may boot ``host`` to prove that KVM works.

        Raises:
            UsageError: KVM was asked for and does not work.
        """
        with self._choosing:
            if self._choice is None:
                trial = Machine(
                    host=host,
                    accelerator=Accelerator.TCG,
                    initramfs=self.apparatus.initramfs(host),
                    features=self.apparatus.features,
                )
                self._choice = accelerator.choose(
                    self.options.accelerator,
                    trial,
                    self.apparatus.keeper,
                    store=self.store,
                    qemu_version=self.apparatus.qemu_version,
                    say=self.progress.say,
                )
            return self._choice

    @property
    def chosen(self) -> Choice | None:
        """The accelerator and why, once it was chosen."""
        return self._choice

    def newest(self, entries: Sequence[HostEntry] = ()) -> HostEntry:
        """Return the newest locked kernel, which builds images."""
        known = [entry for entry in (entries or self.entries) if entry.name in self.locks]
        candidates = known or list(entries or self.entries)
        return max(candidates, key=lambda entry: selection.version_of(entry, self.locks) or (0, 0))

    def interrupt(self) -> None:
        """End guests, and the tools that other threads wait for to make kernels and images."""
        if "apparatus" in self.__dict__:
            self.apparatus.keeper.end()
        process.end_running()

    def close(self) -> None:
        """Close what was opened."""
        if "fetcher" in self.__dict__:
            self.fetcher.close()
