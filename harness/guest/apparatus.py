"""What guests are made from: tools, initramfs, machine, and a way to start one."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import process
from harness.errors import GuestError, UnavailableError
from harness.guest import guest as guests
from harness.guest import snapshot
from harness.guest.emulator import Features
from harness.guest.guest import Guest
from harness.guest.qemu import Disk, Keeper, Machine
from harness.kernels import initramfs, tools
from harness.kernels.initramfs import Part
from harness.kernels.tools import ToolSet, ToolSetSpec
from harness.model.hosts import Host, Lock
from harness.packages.download import Fetcher
from harness.store import Store, digest_of

BASE = "base"
PERL = "perl"
"""The tool set that attaches the tracer's programs and sets a drill's filter."""
SLOTS = (8 << 30, 32 << 30, 128 << 30)
"""Virtual sizes that an image's disk may have, so that few snapshots serve all images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apparatus:
    """The store, the tools and the QEMU that guests are made with."""

    store: Store
    fetcher: Fetcher
    specs: Mapping[str, ToolSetSpec]
    locks: Mapping[str, Lock]
    qemu_version: str
    features: Features = field(default_factory=Features)
    keeper: Keeper = field(default_factory=Keeper)
    resident: Mapping[str, bytes] = field(default_factory=dict)
    """Files that init.sh uses where it finds them, by path in the initramfs."""

    def tool_set(self, name: str) -> ToolSet:
        """Return a set of guest tools, fetched when the store lacks it.

        Raises:
            HarnessError: as :func:`harness.kernels.tools.tool_set`.
        """
        return tools.tool_set(
            name, store=self.store, fetcher=self.fetcher, specs=self.specs, locks=self.locks
        )

    def initramfs(self, host: Host, runtime: str = "") -> Path:
        """Return the initramfs of a host, with the tool set ``runtime`` in it if one is named.

        The base set comes first: its C library, the newest, also serves an older runtime and perl.
        """
        names = (BASE, runtime, PERL)
        sets = [self.tool_set(name) for name in names if name]
        parts = tuple(Part(each.root, each.digest) for each in sets)
        return initramfs.build(host, parts, store=self.store, more=self.resident)

    def tools_disk(self, *names: str) -> Disk:
        """Return a read-only disk that holds a bare tar of tool sets, each below its name."""
        sets = [self.tool_set(name) for name in names]

        def build(directory: Path) -> None:
            with tarfile.open(directory / "tools.tar", "w") as tar:
                for each in sets:
                    tar.add(each.root, arcname=each.name, filter=_owned_by_root)
            _pad(directory / "tools.tar")

        key = digest_of([(each.name, each.digest) for each in sets])
        entry = self.store.make("tooldisks", key, f"tools disk: {' '.join(names)}", build)
        return Disk(serial="tools", path=entry / "tools.tar", format="raw", read_only=True)

    def in_slot(self, raw: Disk, size: int) -> Disk:
        """Return a raw disk's content in the place of an image, of a slot's virtual size.

        Raises:
            ToolError: qemu-img is missing or failed.
        """

        def build(directory: Path) -> None:
            program, disk = process.find("qemu-img", "qemu-utils"), directory / "disk.qcow2"
            process.run([program, "convert", "-f", "raw", "-O", "qcow2", raw.path, disk], limit=60)
            process.run([program, "resize", "-q", "-f", "qcow2", disk, str(size)], limit=60)

        key = digest_of(raw.path.parent.name, size)
        entry = self.store.make("tooldisks", key, f"{raw.path.name} in a slot", build)
        return Disk(serial="image", path=entry / "disk.qcow2", format="qcow2", throw_away=True)

    def slot(self, size: int) -> Disk:
        """Return the empty disk that a snapshot is taken with, in an image's place."""

        def build(directory: Path) -> None:
            with (directory / "empty").open("wb") as file:
                file.truncate(size)

        entry = self.store.make(
            "slots", str(size), f"empty slot of {size} bytes", build, hashed=False
        )
        return Disk(serial="image", path=entry / "empty", format="raw", throw_away=True)

    def snapshot(self, machine: Machine) -> Path:
        """Return the snapshot of a machine, made when the store has none.

        Raises:
            GuestDied, GuestTimeout: the guest did not come up, or could not be saved.
        """
        return snapshot.saved(
            machine, self.keeper, store=self.store, qemu_version=self.qemu_version
        )

    def booted(self, machine: Machine, log: Path | None = None) -> AbstractContextManager[Guest]:
        """Boot a guest from cold; it ends with the block.

        Raises:
            GuestDied, GuestTimeout: it did not come up.
        """
        return guests.booted(machine, self.keeper, log)

    @contextmanager
    def started(
        self,
        machine: Machine,
        saved: Path | None,
        *,
        log: Path | None = None,
        say: Callable[[str], None],
    ) -> Iterator[Guest]:
        """Start a guest from a snapshot, or from cold when there is none or it does not restore.

        ``say`` is told, in one sentence, of a snapshot that did not restore.

        Raises:
            GuestDied, GuestTimeout: a cold boot did not come up.
        """
        with ExitStack() as stack:
            guest = None
            if saved is not None:
                try:
                    guest = stack.enter_context(snapshot.restored(machine, saved, self.keeper, log))
                except (GuestError, UnavailableError) as error:
                    say(f"{machine.host.name}: booted from cold, its snapshot fails: {error}")
            yield guest or stack.enter_context(self.booted(machine, log))


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _pad(path: Path) -> None:
    """Fill a file up to whole sectors, so that a guest reads all of it from a disk."""
    with path.open("ab") as file:
        file.truncate(-(-path.stat().st_size // 512) * 512)
