"""Layers made to harm, each through the real road: skopeo, the host's checks, umoci in a guest."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from images.oneguest import OneGuest
from ociimages import Builder, Member, tar_of

from harness import oci, oci_layout
from harness.assembly import Assembly, Options
from harness.errors import ImageError
from harness.guest.guest import Guest
from harness.guest.qemu import Disk
from harness.images import disk as disks
from harness.laboratory import Laboratory
from harness.oci_limits import Limits
from harness.store import Store, default_root

pytestmark = pytest.mark.guest

DIRECTORY, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
ESCAPING = tar_of(
    Member(name="../../escaped-up", content=b"x"),
    Member(name="/escaped-absolute", content=b"x"),
    Member(name="out", kind=LINK, link="../../../.."),
    Member(name="out/escaped-link", content=b"x"),
    Member(name="root", kind=LINK, link="/"),
    Member(name="root/tmp/escaped-root", content=b"x"),
    Member(name="etc/passwd", content=b"image:x:0:0::/:/bin/sh\n"),
    Member(name="twice", content=b"first"),
    Member(name="twice", kind=DIRECTORY, mode=0o755),
    Member(name="twice/inner", content=b"inner"),
    Member(name="turned", kind=DIRECTORY, mode=0o755),
    Member(name="turned", kind=LINK, link="/etc"),
    Member(name="turned/escaped-turned", content=b"x"),
    Member(name="disk", kind=tarfile.BLKTYPE, mode=0o666, device=(254, 0)),
    Member(name="kmsg", kind=tarfile.CHRTYPE, mode=0o666, device=(1, 11)),
    Member(name="pipe", kind=tarfile.FIFOTYPE),
)
WHITEOUTS = (
    tar_of(Member(name="here", content=b"x"), Member(name="up", kind=LINK, link="../../..")),
    tar_of(
        Member(name=".wh..."),
        Member(name="up/.wh.mnt"),
        Member(name="up/.wh..wh..opq"),
        Member(name="../../.wh.etc"),
    ),
)


def stolen(*before: Member, link: str) -> bytes:
    return tar_of(*before, Member(name="stolen", kind=HARD, link=link))


def terabyte() -> bytes:
    """A sparse file whose header says 1 TiB, of which nothing follows (PAX format 1.0)."""
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "huge",
        "GNU.sparse.realsize": str(1 << 40),
    }
    sparse = b"1\n1099511627776\n0\n".ljust(512, b"\0")
    return tar_of(Member(name="huge", content=sparse, headers=tuple(headers.items())))


@dataclass(frozen=True, kw_only=True)
class Case:
    """An image, and either what is said of it or what a look at its disk shows."""

    layers: Sequence[bytes]
    limits: Limits = field(default_factory=Limits)
    refused: str = ""
    look: str = ""
    seen: str = ""


OUT = "/mnt/image/rootfs"
CASES = {
    "escaping": Case(
        layers=[ESCAPING],
        look=(
            f"cd {OUT} && ls /mnt/image && find . -name 'escaped-*' | sort && cat twice/inner "
            "&& stat -c '%F %t %T' disk kmsg pipe && find / -xdev -name 'escaped-*'"
        ),
        seen=(
            "lost+found rootfs ./escaped-absolute ./escaped-link ./escaped-up "
            "./etc/escaped-turned ./tmp/escaped-root inner"
            "block special file fe 0 character special file 1 b fifo 0 0"
        ),
    ),
    "whiteouts": Case(
        layers=WHITEOUTS,
        look="ls /mnt/image && ls -d /mnt /etc /mnt/out /mnt/scratch",
        seen="lost+found rootfs /etc /mnt /mnt/out /mnt/scratch",
        refused=r"image whiteouts: layer 2 \(sha256:\w+\) cannot be unpacked",
    ),
    "hard link out": Case(
        layers=[stolen(link="../../../../etc/passwd")],
        look=f"cat {OUT}/stolen 2>/dev/null | grep -c root:",
        seen="0",
        refused=r"layer 1 \(sha256:\w+\) cannot be unpacked: .*stolen",
    ),
    "hard link through a link": Case(
        layers=[stolen(Member(name="way", kind=LINK, link="/etc"), link="way/passwd")],
        look=f"cat {OUT}/stolen 2>/dev/null | grep -c root:",
        seen="0",
        refused=r"layer 1 \(sha256:\w+\) cannot be unpacked: .*stolen",
    ),
    "sparse terabyte": Case(
        layers=[terabyte()],
        refused=r"layer 1 \(sha256:\w+\) (holds more than|cannot be unpacked)",
    ),
    "too many files": Case(
        layers=[tar_of(*(Member(name=f"f{number}") for number in range(3000)))],
        limits=Limits(files=16),
        refused=r"layer 1 \(sha256:\w+\) holds more than 16 files.* image_limits = files=N",
    ),
    "too deep": Case(
        layers=[tar_of(Member(name="/".join(["d"] * 40), kind=DIRECTORY, mode=0o755))],
        limits=Limits(depth=30),
        refused=r"image too deep: its directories are nested too deeply .* image_limits = depth=N",
    ),
    "no tar": Case(
        layers=[tar_of(Member(name="a")), b"this is no tar" * 100],
        refused=r"image no tar: layer 2 \(sha256:\w+\) cannot be unpacked",
    ),
}


@contextmanager
def looked_at(guest: Guest) -> Iterator[None]:
    guest.run("mkdir -p /mnt/image && mount -t ext4 -o ro /run/harness/disk/out /mnt/image")
    try:
        yield
    finally:
        guest.run("umount /mnt/image")


class Built:
    """Builds one case's disk, and looks at it in the guest that made it."""

    def __init__(self, name: str, number: int, shared: OneGuest, root: Path) -> None:
        self._name, self._number, self._shared = name, number, shared
        self._root = root / str(number)

    def __call__(self) -> str:
        """Return what was said of the image, or what a look at its disk showed."""
        case = CASES[self._name]
        self._root.mkdir()
        builder = Builder(self._root / "made")
        reference = builder.tag(builder.image([(layer, "gzip") for layer in case.layers]))
        oci.pull(oci.reference(reference, base=self._root), self._root / "in")
        layout = oci_layout.read(self._root / "in", self._name)
        seen = ""

        @contextmanager
        def given(wanted: Sequence[Disk], slot: int = 0) -> Iterator[Guest]:
            nonlocal seen
            with self._shared.giving(self._number)(wanted) as guest:
                yield guest
                if case.look:
                    with looked_at(guest):
                        reply = guest.run(case.look, check=False)
                        seen = " ".join(reply.stdout.decode().split())

        store = Store(self._root / "store")
        try:
            disks.build_disk(
                layout, self._root / "disk", store=store, build_guest=given, limits=case.limits
            )
        except ImageError as error:
            return f"refused: {error}"
        return seen


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[str]]]:
    root = tmp_path_factory.mktemp("hostile")
    options = Options(rootdir=root, store=default_root(), accelerator="tcg")
    shared = OneGuest(Laboratory(Assembly(options), {}).build_guest, len(CASES))
    with ThreadPoolExecutor(len(CASES)) as pool:
        found = {
            name: pool.submit(Built(name, number, shared, root))
            for number, name in enumerate(CASES)
        }
        try:
            yield found
        finally:
            pool.shutdown(cancel_futures=True)
            shared.close()


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_image_reaches_nothing_but_its_own_root_or_is_refused(
    name: str, outcomes: dict[str, Future[str]]
) -> None:
    case, said = CASES[name], outcomes[name].result(900)
    if case.look and not said.startswith("refused: "):
        assert said == case.seen
        return
    assert case.refused
    assert re.search(case.refused, said)
    assert "\n" not in said


def test_nothing_of_an_image_comes_to_lie_on_this_machine(
    outcomes: dict[str, Future[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    for future in outcomes.values():
        future.result(900)
    assert not list(tmp_path_factory.getbasetemp().rglob("escaped-*"))
