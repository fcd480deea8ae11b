"""Which files of a package or an image make a kernel, and where they come to lie."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from harness.errors import UsageError, VerificationError
from harness.kernels import bzimage
from harness.kernels.layout import MODULES, VMLINUZ

BOOT = "boot"
_UNNAMED = "unknown"
_KEPT = re.compile(r".*\.ko(\.xz|\.zst|\.gz)?|modules\.[^/]+")


class Picker:
    """Picks the kernel ``release`` out of packages: the functions that unpacking asks for.

    The image is ``boot/vmlinuz-RELEASE`` (el7) or ``lib/modules/RELEASE/vmlinuz`` (el8 on),
    with or without ``usr`` before ``lib``.
    """

    def __init__(self, release: str) -> None:
        self.release = release
        self._images = {f"boot/vmlinuz-{release}", f"{MODULES}/{release}/{VMLINUZ}"}

    def move(self, path: PurePosixPath) -> PurePosixPath:
        """Return where a path of a package comes to lie."""
        plain = without_usr(path)
        return PurePosixPath(VMLINUZ) if str(plain) in self._images else plain

    def keep(self, path: PurePosixPath) -> bool:
        """Whether what comes to lie at ``path`` is part of the kernel."""
        return str(path) == VMLINUZ or (
            path.is_relative_to(f"{MODULES}/{self.release}") and is_module_file(path.name)
        )

    def check(self, into: Path, what: str) -> None:
        """Make sure that there is a kernel image.

        Raises:
            VerificationError: there is none; ``what`` was unpacked.
        """
        if not (into / VMLINUZ).is_file():
            raise VerificationError(f"there is no kernel {self.release} in {what}")


def without_usr(path: PurePosixPath) -> PurePosixPath:
    """Return ``lib/x`` for ``usr/lib/x``: the two are one directory where /usr is merged."""
    return path.relative_to("usr") if path.is_relative_to("usr/lib") else path


def is_module_file(name: str) -> bool:
    """Whether a file below lib/modules is a module, or one of depmod's lists."""
    return _KEPT.fullmatch(name) is not None


def is_wanted(path: PurePosixPath) -> bool:
    """Whether a path (without ``usr``) may be part of a kernel, of whatever release."""
    if path.is_relative_to(MODULES):
        return is_module_file(path.name) or (path.name == VMLINUZ and len(path.parts) == 4)
    return str(path.parent) == BOOT and path.name.startswith(VMLINUZ)


def choose(tree: Path, into: Path, what: str) -> str:
    """Move the one kernel that ``tree`` holds to where the store has it; return its release.

    Raises:
        UsageError: there is none, or more than one, or only another one's modules.
    """
    modules = sorted(path.name for path in (tree / MODULES).glob("*") if path.is_dir())
    images: dict[str, Path] = {}
    for path in [*tree.glob(f"{BOOT}/{VMLINUZ}*"), *tree.glob(f"{MODULES}/*/{VMLINUZ}")]:
        if path.is_file() and not path.is_symlink():
            images.setdefault(_release(path, modules, what), path)
    if len(images) != 1:
        found = f"{len(images)} kernels ({', '.join(sorted(images))})" if images else "no kernel"
        raise UsageError(
            f"{what} holds {found} where one is expected: /boot/vmlinuz[-RELEASE] or "
            "/lib/modules/RELEASE/vmlinuz, with its modules in /lib/modules/RELEASE"
        )
    release, image = images.popitem()
    if modules and release not in modules:
        others = ", ".join(modules)
        raise UsageError(f"{what} has no modules of its kernel {release}, only of {others}")
    image.rename(into / VMLINUZ)
    if modules:
        (into / MODULES).mkdir(parents=True)
        (tree / MODULES / release).rename(into / MODULES / release)
    return release


def _release(image: Path, modules: list[str], what: str) -> str:
    """Return a kernel's release: as its header says, else by its path, else by its modules."""
    try:
        said = bzimage.release_of(image)
    except UsageError as error:
        raise UsageError(f"{what}: its {image.name} is not a bzImage") from error
    if said:
        return said
    if image.parent.name != BOOT:
        return image.parent.name
    suffix = image.name.removeprefix(VMLINUZ).removeprefix("-")
    return suffix or (modules[0] if len(modules) == 1 else _UNNAMED)
