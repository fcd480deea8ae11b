"""Kernels that travel as OCI images: ``/boot/vmlinuz*`` and ``/lib/modules`` in some layers.

Only those paths are read from the layers, here on the host, as regular files and directories;
whatever else an image holds is passed over.
"""

from __future__ import annotations

import posixpath
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness import oci, oci_layers, oci_layout, tars
from harness.errors import ImageError, UsageError, VerificationError
from harness.kernels.layout import MODULES, VMLINUZ
from harness.kernels.pick import BOOT, choose, is_wanted, without_usr
from harness.model.hosts import Kernel, Lock, LockedPackage, OciSource
from harness.model.images import ImageConfig
from harness.oci_layout import Layout
from harness.oci_limits import Limits
from harness.store import Store

_KIND = "kernelimages"
_LAYOUT = "layout"
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_UNTAGGED = "untagged"
_LAYERS = Limits(unpacked=8 << 30, layers=200)
_MEMBERS = 500_000
_KERNEL_BYTES = 4 << 30
"""A distribution's kernel with every module takes some 0.3 GiB."""


def resolve(source: OciSource, store: Store) -> Lock:
    """Return the lock of an image: the manifest's digest, and the kernel that is in it.

    Raises:
        UnavailableError: the registry is out of reach.
        ImageError: there is no such image, or no kernel in it.
        UsageError: the reference is none.
        ToolError: skopeo is missing.
    """
    ref = oci.reference(source.ref, base=Path.cwd())
    found = oci.resolve(ref)
    layout = _layout(found.source, found.manifest, store)
    with store.scratch() as scratch:
        release = _extract(layout, scratch)
    package = LockedPackage(
        name=ref.place.rpartition("/")[2],
        version=ref.tag or _UNTAGGED,
        path=str(found.source),
        sha256=found.manifest.removeprefix("sha256:"),
        size=sum(layer.size for layer in layout.layers),
    )
    return Lock(release=release, packages=(package,))


def unpack(lock: Lock, into: Path, store: Store) -> None:
    """Take kernel and modules out of the locked image.

    Raises:
        UnavailableError: the registry is out of reach.
        ImageError: the image is gone, corrupt, or another one.
    """
    package = lock.packages[0]
    source = oci.reference(package.path, base=Path.cwd())
    layout = _layout(source, f"sha256:{package.sha256}", store)
    with store.scratch() as scratch:
        release = _extract(layout, scratch)
        if release != lock.release:
            raise ImageError(f"image {layout.name}: its kernel is {release}, not {lock.release}")
        (scratch / VMLINUZ).rename(into / VMLINUZ)
        if (scratch / MODULES / release).is_dir():
            (into / MODULES).mkdir(parents=True)
            (scratch / MODULES / release).rename(into / MODULES / release)


def _layout(source: oci.Reference, manifest: str, store: Store) -> Layout:
    """Return the image's layout from the store, pulled when it is not there."""

    def build(into: Path) -> None:
        # a directory or an archive may hold another image by now than when it was locked
        if not source.digest and oci.resolve(source).manifest != manifest:
            raise ImageError(f"image {source} is not {manifest} any more: lock it anew")
        oci.pull(source, into / _LAYOUT)
        oci_layout.read(into / _LAYOUT, str(source), limits=_LAYERS)

    key = manifest.removeprefix("sha256:")
    entry = store.make(_KIND, key, f"kernel image {source}", build, hashed=False)
    return oci_layout.read(entry / _LAYOUT, str(source), limits=_LAYERS)


def _extract(layout: Layout, into: Path) -> str:
    """Lay the kernel into ``into`` as the store has it, and return its release."""
    tree = into / "tree"
    tree.mkdir()
    budget = _Budget()
    for layer in layout.layers:
        plain = into / "layer.tar"
        with plain.open("wb") as sink:
            left = _LAYERS.unpacked - budget.layers
            budget.layers += oci_layers.uncompressed(layout, layer, sink, limit=left)
        try:
            with tarfile.open(plain, mode="r:", tarinfo=tars.Header) as archive:
                _apply(archive, tree, budget, f"image {layout.name}: layer {layer.number}")
        except (*tars.DAMAGED, VerificationError) as error:
            raise ImageError(f"image {layout.name}: layer {layer.number}: {error}") from error
    plain.unlink()
    try:
        return choose(tree, into, f"image {layout.name}")
    except UsageError as error:
        raise ImageError(str(error)) from error


@dataclass(slots=True)
class _Budget:
    """What was used up of the limits."""

    layers: int = 0
    kernel: int = 0
    members: int = 0


def _apply(archive: tarfile.TarFile, tree: Path, budget: _Budget, what: str) -> None:
    """Lay one layer over the tree: whiteouts first, since they mean the layers below only."""
    members = []
    for member in tars.members(archive):
        budget.members += 1
        if budget.members > _MEMBERS:
            raise ImageError(f"{what}: more than {_MEMBERS} files")
        members.append((_plain(member.name, what), member))
    for path, member in members:
        with tars.blamed(member):
            _remove(path, tree)
    for path, member in members:
        with tars.blamed(member):
            if not member.isdir() and path.is_relative_to(MODULES):
                _clear(tree / path)
            if is_wanted(path) and not path.name.startswith(_WHITEOUT):
                _place(archive, path, member, tree, budget, what)


def _plain(name: str, what: str) -> PurePosixPath:
    path = PurePosixPath(posixpath.normpath(name.lstrip("/") or "."))
    if ".." in path.parts:
        raise ImageError(f"{what}: {name!r} reaches outside of the image")
    return without_usr(path)


def _remove(path: PurePosixPath, tree: Path) -> None:
    """Do what a whiteout says (image-spec, layer.md): to a file, or to a directory's content."""
    if not path.name.startswith(_WHITEOUT):
        return
    hidden = path.name.removeprefix(_WHITEOUT)
    if hidden in ("", ".", ".."):
        raise ImageError(f"{path} hides no file")
    gone = path.parent if path.name == _OPAQUE else without_usr(path.with_name(hidden))
    _clear(tree / ("lib" if gone == PurePosixPath("usr") else gone))


def _clear(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def _place(
    archive: tarfile.TarFile,
    path: PurePosixPath,
    member: tarfile.TarInfo,
    tree: Path,
    budget: _Budget,
    what: str,
) -> None:
    target = tree / path
    _clear(target)
    if member.islnk():
        linked = tree / _plain(member.linkname, what)
        if not linked.is_file():
            raise ImageError(f"{what}: {member.name} links to a file that is not of the kernel")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(linked)
        return
    if not member.isreg():  # a symbolic link to an image that is itself there, for one
        return
    budget.kernel += member.size
    if budget.kernel > _KERNEL_BYTES:
        raise ImageError(f"{what}: its kernel passes {_KERNEL_BYTES >> 30} GiB")
    target.parent.mkdir(parents=True, exist_ok=True)
    reader = archive.extractfile(member)
    if reader is None:
        raise ImageError(f"{what}: {member.name} cannot be read")
    with reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer)


def push(kernel: Kernel, ref: str, *, store: Store) -> str:
    """Make an image of a kernel, push it to ``ref``, and return the reference by its digest.

    Raises:
        UsageError: ``ref`` is no reference.
        UnavailableError: the registry is out of reach, or does not let this user in.
        ToolError: skopeo is missing.
    """
    target = oci.reference(ref, base=Path.cwd())
    with store.scratch() as scratch:
        layer = scratch / "layer.tar"
        _write_layer(kernel, layer)
        layout = scratch / _LAYOUT
        history = f"kernel {kernel.release}: {kernel.origin}"
        oci_layout.write(layout, layer, ImageConfig(), history=history)
        digest = oci_layout.read(layout, ref).digest
        oci.push(layout, target)
    return str(oci.pinned(target, digest))


def _write_layer(kernel: Kernel, layer: Path) -> None:
    """Write a tar of the kernel in which nothing depends on when and where it was made."""
    files = {f"{BOOT}/{VMLINUZ}-{kernel.release}": kernel.vmlinuz}
    if kernel.modules is not None:
        for path in sorted(kernel.modules.rglob("*")):
            if path.is_file():
                relative = path.relative_to(kernel.modules)
                files[f"{MODULES}/{kernel.release}/{relative}"] = path
    parents = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    with tarfile.open(layer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted((parents - {"."}) | set(files)):
            member = tarfile.TarInfo(name)
            file = files.get(name)
            if file is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
                continue
            member.size = file.stat().st_size
            with file.open("rb") as reader:
                archive.addfile(member, reader)
