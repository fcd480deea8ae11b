"""From a layout to a disk, in a real guest."""

from __future__ import annotations

import shlex
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ociimages import Builder, Member, tar_of

from harness import oci, oci_layout
from harness.assembly import Assembly, Options
from harness.errors import ImageError
from harness.guest.guest import Guest
from harness.guest.qemu import Disk
from harness.images import disk as disks
from harness.images.disk import BuildGuest
from harness.laboratory import Laboratory
from harness.oci_limits import Limits
from harness.store import Store, default_root

ROOT = "/mnt/image/rootfs"
CAPABILITY = "\x01\x00\x00\x02\x00\x20\x00\x00" + "\x00" * 12
"""security.capability of version 2: cap_net_raw, effective (capabilities(7))."""


@pytest.fixture
def build_guest(tmp_path: Path) -> BuildGuest:
    """The guest that the harness itself builds images in, from the user's own store."""
    options = Options(rootdir=tmp_path, store=default_root(), accelerator="tcg")
    return Laboratory(Assembly(options), {}).build_guest


Build = Callable[..., Path]


@pytest.fixture
def build(builder: Builder, build_guest: BuildGuest, tmp_path: Path, store: Store) -> Build:
    def made(*layers: tuple[bytes, str], limits: Limits | None = None) -> Path:
        reference = oci.reference(builder.tag(builder.image(layers)), base=tmp_path)
        oci.pull(reference, tmp_path / "in")
        layout = oci_layout.read(tmp_path / "in", "probe")
        target = tmp_path / "disk.qcow2"
        disks.build_disk(
            layout, target, store=store, build_guest=restored, limits=limits or Limits()
        )
        return target

    @contextmanager
    def restored(wanted: Sequence[Disk], /, slot: int = 0) -> Iterator[Guest]:
        with build_guest(wanted, slot) as guest:
            assert "restore" in guest.durations
            yield guest

    return made


@pytest.fixture
def look(build_guest: BuildGuest) -> Callable[[Path], AbstractContextManager[Guest]]:
    return lambda disk: mounted(build_guest, disk)


class mounted:  # noqa: N801 - a context manager
    """A guest with the disk mounted at /mnt/image."""

    def __init__(self, build_guest: BuildGuest, disk: Path) -> None:
        attached: Sequence[Disk] = (
            Disk(serial="image", path=disk, format=disks.DISK_FORMAT, throw_away=True),
        )
        self._guest = build_guest(attached)

    def __enter__(self) -> Guest:
        guest = self._guest.__enter__()
        guest.run("mkdir -p /mnt/image && mount -t ext4 /run/harness/disk/image /mnt/image")
        return guest

    def __exit__(self, *error: Any) -> None:
        self._guest.__exit__(*error)


def said(guest: Guest, command: str) -> str:
    return guest.run(command).stdout.decode().strip()


@pytest.mark.parametrize(
    ("unpacked", "slot"),
    [(0, 8 << 30), (5 << 30, 8 << 30), (6 << 30, 32 << 30), (90 << 30, 128 << 30)],
)
def test_an_image_gets_the_smallest_slot_with_room_to_write(unpacked: int, slot: int) -> None:
    assert disks.slot_for(unpacked, "x") == slot


def test_an_image_beyond_every_slot_is_refused() -> None:
    with pytest.raises(ImageError, match="image x is too large: 200 GiB unpacked"):
        disks.slot_for(200 << 30, "x")


@pytest.mark.guest
def test_what_layers_say_of_files_is_kept_on_the_disk(build: Build, look: Any) -> None:
    below = tar_of(
        Member(name="etc", kind=tarfile.DIRTYPE, mode=0o755),
        Member(name="etc/gone", content=b"gone"),
        Member(name="opaque", kind=tarfile.DIRTYPE, mode=0o755),
        Member(name="opaque/hidden", content=b"hidden"),
        Member(
            name="ping",
            content=b"ping",
            mode=0o4755,
            uid=1234,
            headers=(("SCHILY.xattr.security.capability", CAPABILITY),),
        ),
        Member(name="hard", kind=tarfile.LNKTYPE, link="ping"),
        Member(name="soft", kind=tarfile.SYMTYPE, link="/etc/hosts"),
        Member(name="attributes", headers=(("SCHILY.xattr.user.colour", "blue"),)),
    )
    above = tar_of(
        Member(name="etc/.wh.gone"),
        Member(name="etc/added", content=b"added"),
        Member(name="opaque", kind=tarfile.DIRTYPE, mode=0o700),
        Member(name="opaque/.wh..wh..opq"),
        Member(name="opaque/shown", content=b"shown"),
    )
    made = build((below, "gzip"), (above, "zstd"))
    assert made.stat().st_blocks * 512 < 64 << 20
    with look(made) as guest:
        assert said(guest, f"cd {ROOT} && ls etc opaque | xargs") == "etc: added opaque: shown"
        assert said(guest, f"stat -c '%a %u' {ROOT}/ping {ROOT}/opaque") == "4755 1234\n700 0"
        assert said(guest, f"stat -c '%i' {ROOT}/ping {ROOT}/hard | uniq | wc -l") == "1"
        assert said(guest, f"readlink {ROOT}/soft") == "/etc/hosts"
        attribute = "tool build debugfs -R {} $(readlink -f /run/harness/disk/image)"
        for file, name, value in (
            ("attributes", "user.colour", "blue"),
            ("ping", "security.capability", "01 00 00 02 00 20"),
        ):
            request = shlex.quote(f"ea_get{' -x' if ' ' in value else ''} /rootfs/{file} {name}")
            assert value in said(guest, attribute.format(request))
        assert said(guest, "ls /mnt/image | xargs") == "lost+found rootfs"
