"""The initramfs that every guest of a host boots: tools, modules, one init script.

Always gzip, which every kernel since 3.10 takes. The format inside is the kernel's own
(Documentation/driver-api/early-userspace/buffer-format.rst, "newc"); the one library that
writes it, libarchive, turns symbolic links into empty ones in Debian 12's version.
"""

from __future__ import annotations

import gzip
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from harness.kernels import drill, modules
from harness.kernels.hosts import identity
from harness.kernels.modules import Module
from harness.model.hosts import Host
from harness.store import Store, digest_of

_FORMAT = 1
"""Raised when what goes into the archive changes in a way that no digest tells."""


@dataclass(frozen=True, slots=True)
class Part:
    """A tree of files that goes into the archive; of two parts with one file the first wins."""

    root: Path
    digest: str


def build(
    host: Host, parts: tuple[Part, ...], *, store: Store, more: Mapping[str, bytes] | None = None
) -> Path:
    """Return the initramfs of a host, made when the store has none.

    ``more`` are further files, by path.

    Raises:
        StoreError: the store is full or not writable.
    """
    own = _own(host, more or {})
    texts = {name: content.hex() for name, (_, content) in own.items()}
    key = digest_of(_FORMAT, identity(host), [part.digest for part in parts], texts)

    def write(directory: Path) -> None:
        _write(directory / "initramfs.gz", _files(host, parts, own))

    label = f"initramfs of {host.name} ({host.kernel.release})"
    return store.make("initramfs", key, label, write) / "initramfs.gz"


def _own(host: Host, more: Mapping[str, bytes]) -> dict[str, tuple[int, bytes]]:
    """Return the harness's own programs."""
    scripts = resources.files("harness.guest")
    files = {name: (stat.S_IFREG | 0o644, content) for name, content in more.items()}
    files["init"] = (stat.S_IFREG | 0o755, scripts.joinpath("init.sh").read_bytes())
    files["etc/relay.pl"] = (stat.S_IFREG | 0o644, scripts.joinpath("relay.pl").read_bytes())
    if host.drill is not None:
        script = scripts.joinpath("drill.pl").read_bytes()
        files["etc/drill.pl"] = (stat.S_IFREG | 0o644, script)
        files["etc/drill.bpf"] = (stat.S_IFREG | 0o644, drill.program(host.drill))
    return files


def _files(
    host: Host, parts: tuple[Part, ...], own: Mapping[str, tuple[int, bytes]]
) -> dict[str, tuple[int, bytes]]:
    """Map each path to its mode (with file type) and content."""
    files: dict[str, tuple[int, bytes]] = {}
    for part in parts:
        for path in sorted(part.root.rglob("*")):
            name = str(path.relative_to(part.root))
            if path.is_symlink():
                files.setdefault(name, (stat.S_IFLNK | 0o777, str(path.readlink()).encode()))
            elif path.is_file() and path.name != "entry.json":
                files.setdefault(name, (stat.S_IFREG | 0o755, path.read_bytes()))
    for name, target in (("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib")):
        files[name] = (stat.S_IFLNK | 0o777, target.encode())
    files["lib64"] = (stat.S_IFLNK | 0o777, b"usr/lib64")
    files["etc/harness.conf"] = (stat.S_IFREG | 0o644, _configuration(host).encode())
    files.update(own)
    files.update(_modules(host))
    return files


def _configuration(host: Host) -> str:
    lines = [
        f"cgroup={host.cgroup}",
        f"hostname={shlex.quote(f'harness-{host.name}')}",
        f"without={shlex.quote(' '.join(host.without))}",
    ]
    lines += [f"sysctl {shlex.quote(k)} {shlex.quote(v)}" for k, v in sorted(host.sysctl.items())]
    return "\n".join(lines) + "\n"


def _modules(host: Host) -> dict[str, tuple[int, bytes]]:
    tree = host.kernel.modules
    needed = modules.resolve(tree, modules.NEEDED)
    on_demand = () if "modules" in host.without else modules.ON_DEMAND
    offered = (name for name in on_demand if name not in host.without)
    found = modules.resolve(tree, (*modules.NEEDED, *offered))
    base = f"usr/lib/modules/{host.kernel.release}"
    texts = {
        f"{base}/modules.dep": "".join(
            f"{m.name}.ko: {' '.join(f'{name}.ko' for name in _closure(m, found[:at]))}\n"
            for at, m in enumerate(found)
        ),
        f"{base}/modules.alias": "".join(
            f"alias {alias} {m.name}\n" for m in found for alias in m.aliases
        ),
        "etc/modules": "".join(f"/{base}/{m.name}.ko\n" for m in needed),
    }
    files = {f"{base}/{m.name}.ko": (stat.S_IFREG | 0o644, m.content) for m in found}
    files.update({name: (stat.S_IFREG | 0o644, text.encode()) for name, text in texts.items()})
    return files


def _closure(module: Module, earlier: list[Module]) -> list[str]:
    """Return all that must be loaded before a module, nearest first, as depmod writes it.

    ``earlier`` are those that come before it in the order of :func:`modules.resolve`: of modules
    that need each other, which no kernel loads, each needs only what comes earlier.
    """
    far = _distances(module, earlier)
    by_name = {each.name: each for each in earlier}
    order: list[str] = []
    level = [module]
    while level:
        following: dict[str, Module] = {}
        for each in level:
            for name in each.after:
                if far.get(name) == far[each.name] + 1:
                    following.pop(name, None)
                    following[name] = by_name[name]
        order += following
        level = list(following.values())
    return order


def _distances(module: Module, earlier: list[Module]) -> dict[str, int]:
    """Return how many steps the longest way takes to each module that must be loaded before."""
    ahead = {each.name for each in earlier}
    far = {module.name: 0}
    for each in (module, *reversed(earlier)):
        ahead.discard(each.name)
        if each.name in far:
            for name in ahead.intersection(each.after):
                far[name] = max(far[each.name] + 1, far.get(name, 0))
    return far


def _write(path: Path, files: dict[str, tuple[int, bytes]]) -> None:
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as archive:
        for number, (name, (mode, content)) in enumerate(_with_directories(files), start=1):
            archive.write(_member(name, mode, content, number))
        archive.write(_member("TRAILER!!!", 0, b"", 0))


def _with_directories(
    files: dict[str, tuple[int, bytes]],
) -> Iterator[tuple[str, tuple[int, bytes]]]:
    seen = set()
    for name in files:
        for parent in reversed(Path(name).parents[:-1]):
            if str(parent) not in seen:
                seen.add(str(parent))
                yield str(parent), (stat.S_IFDIR | 0o755, b"")
    yield from files.items()


def _member(name: str, mode: int, content: bytes, inode: int) -> bytes:
    """Return one member: thirteen fields of eight hexadecimal digits, name, content."""
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(header) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
