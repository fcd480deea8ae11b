"""From a layout to a disk: an ext4 made in a guest, with the image's root in ``/rootfs``.

The host undoes compression and no more. The tars are a guest's to read, as its own root, so that
owners, modes, links, xattrs and capabilities come out right without root on the host, and a
hostile layer meets a machine that is thrown away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from harness import oci_layers, process
from harness.errors import ImageError
from harness.guest.apparatus import SLOTS
from harness.guest.guest import Guest
from harness.guest.qemu import Disk
from harness.oci_layout import Layout
from harness.oci_limits import Limits, remedy
from harness.store import Store


class BuildGuest(Protocol):
    """Starts a guest with ``disks`` and the tool set ``build`` unpacked in /tools."""

    def __call__(self, disks: Sequence[Disk], /, slot: int = 0) -> AbstractContextManager[Guest]:
        """``slot``: the virtual size of each disk in bytes; 0: they differ."""


DISK_FORMAT = "qcow2"

_SCRIPT = Path(__file__).with_name("unpack.sh")
_IN_GUEST = "/run/harness/unpack.sh"
_ROOM = 1 << 30
"""Bytes of a slot that are left for a container to write, at least."""

_OVERHEAD = 1.25
"""A file system needs so many times its files' bytes: small files fill whole blocks."""

_SLOWEST = 1 << 20
"""Bytes a second; slower than that is a hang."""

_PATIENCE = 300.0
_FULL = "no space left on device"


def slot_for(unpacked: int, name: str) -> int:
    """Return the smallest slot size for an image of ``unpacked`` bytes.

    Raises:
        ImageError: there is none.
    """
    for slot in SLOTS:
        if unpacked * _OVERHEAD + _ROOM <= slot:
            return slot
    raise ImageError(
        f"image {name} is too large: {unpacked >> 30} GiB unpacked, and disks go up to "
        f"{SLOTS[-1] >> 30} GiB"
    )


def build_disk(
    layout: Layout, disk: Path, *, store: Store, build_guest: BuildGuest, limits: Limits
) -> int:
    """Make the new file ``disk`` from a layout, and return its slot size in bytes.

    Raises:
        ImageError: a layer is corrupt or passes ``limits``; the text names image and layer.
        GuestDied, GuestTimeout: the guest was lost.
        ToolError: qemu-img is missing or failed.
    """
    with store.scratch() as scratch:
        transfer = scratch / "layout.tar"
        unpacked = oci_layers.write_transfer(layout, transfer, limits=limits)
        slot = slot_for(unpacked, layout.name)
        _create(disk, slot)
        room = scratch / "scratch"
        for path in (transfer, room):
            with path.open("ab") as file:
                file.truncate(slot)
        disks = (
            Disk(serial="layout", path=transfer, format="raw", read_only=True),
            Disk(serial="scratch", path=room, format="raw"),
            Disk(serial="out", path=disk, format=DISK_FORMAT),
        )
        with build_guest(disks, slot) as guest:
            _unpack(guest, layout, slot, unpacked, limits)
    return slot


def _create(disk: Path, slot: int) -> None:
    program = process.find("qemu-img", "qemu-utils")
    process.run([program, "create", "-q", "-f", DISK_FORMAT, disk, str(slot)], limit=60)


def _unpack(guest: Guest, layout: Layout, slot: int, unpacked: int, limits: Limits) -> None:
    guest.put({_IN_GUEST: _SCRIPT.read_bytes()})
    # mkfs gives an inode for every 16 KiB; what is below the limit of files is the limit
    inodes = min(limits.files, slot >> 14)
    reply = guest.run(
        f"sh {_IN_GUEST} {inodes} {limits.depth} {_space(unpacked) >> 10}",
        limit=_PATIENCE + unpacked / _SLOWEST,
        check=False,
    )
    if reply.status != 0:
        said = reply.stderr.decode(errors="backslashreplace")
        raise ImageError(_problem(said, layout, unpacked, inodes))


def _space(unpacked: int) -> int:
    """Return the bytes that a file system needs for what ``unpacked`` bytes of tar hold."""
    return int(unpacked * _OVERHEAD) + (64 << 20)


def _problem(said: str, layout: Layout, unpacked: int, files: int) -> str:
    """Say which layer the guest failed at, and why, from umoci's log (its levels: info, fatal)."""
    stage = "".join(re.findall(r"^harness: (\w+)$", said, re.MULTILINE)[-1:])
    begun = re.findall(r"unpack(?:ing)? layer: (sha256:[0-9a-f]{64})", said)
    which = next((layer for layer in layout.layers if begun and layer.diff_id == begun[-1]), None)
    where = f"image {layout.name}"
    if which is not None and stage != "depth":
        where += f": layer {which.number} ({which.digest})"
    lines = [line.strip() for line in said.splitlines() if not line.startswith("harness: ")]
    last = next((line for line in reversed(lines) if line and "info" not in line), "no message")
    if stage == "depth":
        return f"{where}: its directories are nested too deeply ({last[:300]}): {remedy('depth')}"
    if _FULL in last:  # umoci has tidied up by now: inodes and blocks cannot be told apart
        return (
            f"{where} holds more than {files} files, or files that are much larger than its "
            f"{unpacked} bytes of tar ({last[:300]}): {remedy('files')}"
        )
    return f"{where} cannot be unpacked: {last[:600]}"
