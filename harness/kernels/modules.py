"""Which of a kernel's modules a guest needs, in the order in which they load.

Packages ship no ``modules.dep`` (depmod writes it when a package is installed), so what a
module depends on is read from the module itself: its ``.modinfo`` section holds NUL-separated
``depends=`` and ``alias=`` strings (kernel: include/linux/module.h).
"""

from __future__ import annotations

import gzip
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import zstandard

from harness.errors import VerificationError

NEEDED = (
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "virtio_rng",
    "crc32c_generic",
    "crc32c_intel",
    "ext4",
)
"""Loaded by init: the disks, the channel, entropy, and the file system of images. ext4 asks
for a crc32c of the crypto layer by name, which no ``depends=`` tells (5.10)."""

ON_DEMAND = (
    "af_packet",
    "unix",
    "ipv6",
    "unix_diag",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "netlink_diag",
    "fuse",
    "loop",
    "overlay",
    "squashfs",
    "erofs",
    "binfmt_misc",
    "tun",
    "veth",
    "bridge",
    "dummy",
    "macvlan",
    "algif_hash",
    "algif_skcipher",
    "ip_tables",
    "iptable_filter",
    "iptable_nat",
    "ip6_tables",
    "ip6table_filter",
    "x_tables",
    "xt_conntrack",
    "xt_MASQUERADE",
    "xt_addrtype",
    "xt_comment",
    "xt_multiport",
    "xt_tcpudp",
    "nf_conntrack",
    "nf_nat",
    "nf_tables",
    "nft_compat",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_chain_nat",
    "nft_reject_inet",
    "sctp",
    "vsock",
    "configs",
    "tls",
)
"""What a container host's kernel loads by itself when a program asks for it."""

_LIMIT = 256 << 20
"""Bytes of a module, unpacked; none of those above has a hundredth of it."""

_CHUNK = 1 << 20
_ZSTD_CHUNK = 256
"""Of one byte zstandard makes up to 32 KiB, and it does not stop within what it is given."""

_SUFFIX = re.compile(r"\.ko(\.xz|\.zst|\.gz)?$")
_INFO = re.compile(rb"(?<=\0)(depends|alias)=([^\0]*)(?=\0)")


@dataclass(frozen=True, slots=True)
class Module:
    """One module, decompressed. ``after`` names those that must be loaded before it."""

    name: str
    content: bytes
    after: tuple[str, ...]
    aliases: tuple[str, ...]


def name_of(path: Path | str) -> str:
    """Return a module's name: the file's, with ``-`` as ``_`` as the kernel has it."""
    return _SUFFIX.sub("", Path(path).name).replace("-", "_")


def read(path: Path) -> Module:
    """Read a module file: .ko, .ko.xz, .ko.zst or .ko.gz.

    Raises:
        VerificationError: it is damaged, or larger than any module.
    """
    try:
        content = _decompressed(path)
    except (lzma.LZMAError, zstandard.ZstdError, zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise VerificationError(f"{path} is no kernel module: {error}") from error
    after: tuple[str, ...] = ()
    aliases = []
    for key, value in _INFO.findall(b"\0" + content):
        if key == b"alias":
            aliases.append(value.decode(errors="replace"))
        elif value:
            after = tuple(
                word.replace("-", "_") for word in value.decode(errors="replace").split(",")
            )
    return Module(name_of(path), content, after, tuple(aliases))


def _decompressed(path: Path) -> bytes:
    content = bytearray()
    for piece in _pieces(path):
        if len(content) + len(piece) > _LIMIT:
            raise VerificationError(f"{path} is no kernel module: it passes {_LIMIT >> 20} MiB")
        content += piece
    return bytes(content)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        if path.suffix == ".xz":
            with lzma.open(file) as plain:
                yield from _read(plain)
        elif path.suffix == ".gz":
            with gzip.open(file) as plain:
                yield from _read(plain)
        elif path.suffix == ".zst":
            yield from _unzstd(file)
        else:
            yield from _read(file)


def _read(file: BufferedIOBase) -> Iterator[bytes]:
    while piece := file.read(_CHUNK):
        yield piece


def _unzstd(file: BufferedIOBase) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    while not decompressor.eof:
        if not (packed := file.read(_ZSTD_CHUNK)):
            raise EOFError("it is cut short")
        yield decompressor.decompress(packed)


def resolve(tree: Path | None, wanted: Iterable[str]) -> list[Module]:
    """Return ``wanted`` and all they depend on, dependencies first.

    A name that the tree lacks is built in, or this kernel has nothing of the kind: either way
    there is nothing to load, and what is missed is found by the probes in the guest.
    """
    if tree is None:
        return []
    files = {
        name_of(path): path
        for path in tree.rglob("*.ko*")
        if _SUFFIX.search(path.name) and path.is_file()
    }
    resolved: list[Module] = []
    for name in wanted:
        if name in files:
            resolved += _with_dependencies(name, files)
    return resolved


def _with_dependencies(name: str, files: dict[str, Path]) -> Iterator[Module]:
    """Read a module and what it depends on, depth first, and take all of it out of ``files``.

    Without recursion: a chain may be longer than Python's stack.
    """
    module = read(files.pop(name))
    waiting = [(module, iter(module.after))]
    while waiting:
        module, dependencies = waiting[-1]
        needed = next((each for each in dependencies if each in files), None)
        if needed is None:
            waiting.pop()
            yield module
        else:
            module = read(files.pop(needed))
            waiting.append((module, iter(module.after)))
