"""How QEMU gets its files: as open descriptors, so that it needs no way to where they lie.

The store and a session's scratch directories are the user's own (0700). Where the harness runs as
root, QEMU runs as ``nobody``, which could not get there; everywhere else it may open nothing but
what it was handed (:mod:`harness.guest.jail`).
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UnavailableError
from harness.model.hosts import Accelerator

KVM = Path("/dev/kvm")
_NOBODY = "nobody"


@dataclass(slots=True, kw_only=True)
class Handover:
    """What one QEMU is handed; descriptors are closed with ``stack``."""

    stack: ExitStack
    user: int | None = None
    """Whom QEMU runs as; None: whoever runs the harness."""
    read: list[int] = field(default_factory=list)
    write: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    """QEMU's options that announce descriptors."""
    _held: list[int] = field(default_factory=list)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that QEMU inherits."""
        return (*self.read, *self.write, *self._held)

    def again(self, path: Path, *, writable: bool = False) -> str:
        """Return a name by which QEMU itself opens a file, wherever it lies.

        Such an opening is checked against the file's own mode, not its directories'.

        Raises:
            UnavailableError: it cannot be opened: it was removed, for one.
        """
        descriptor = self._opened(path, os.O_RDWR if writable else os.O_RDONLY)
        if self.user is not None and writable:
            os.fchown(descriptor, self.user, -1)
        elif self.user is not None:
            os.fchmod(descriptor, os.fstat(descriptor).st_mode | 0o044)
        (self.write if writable else self.read).append(descriptor)
        return f"/proc/self/fd/{descriptor}"

    def held(self, path: Path, *, writable: bool) -> str:
        """Return a name for an open file that QEMU takes as it is, without opening it again.

        Raises:
            UnavailableError: it cannot be opened: it was removed, for one.
        """
        number = len(self.words)
        for flags in (os.O_RDONLY, *((os.O_RDWR,) if writable else ())):
            descriptor = self._opened(path, flags)
            self._held.append(descriptor)
            self.words += ["-add-fd", f"fd={descriptor},set={number}"]
        return f"/dev/fdset/{number}"

    def _opened(self, path: Path, flags: int) -> int:
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC)
        except OSError as error:
            raise UnavailableError(f"{path}: {error.strerror}") from error
        self.stack.callback(os.close, descriptor)
        return descriptor


def user_for(program: Path, accelerator: Accelerator, directory: Path) -> int | None:
    """Return the user to run ``program`` as, who gets ``directory``; None to stay who one is.

    Only root can become somebody else. It stays root, without any capability, where nobody else
    may start the program, get to the directory or open KVM's device, or where this user namespace
    has no other user.
    """
    if os.geteuid() != 0 or not _is_everybodys(program, *program.parents, *directory.parents):
        return None
    if accelerator is Accelerator.KVM and not _kvm_is_shared():
        return None
    try:
        user = pwd.getpwnam(_NOBODY).pw_uid
        os.chown(directory, user, -1)
    except (KeyError, OSError):
        return None
    return user


def groups(accelerator: Accelerator) -> Sequence[int]:
    """Return the groups that a QEMU of another user needs: KVM's."""
    if accelerator is not Accelerator.KVM or not KVM.exists():
        return ()
    return (KVM.stat().st_gid,)


def _is_everybodys(*paths: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in paths)


def _kvm_is_shared() -> bool:
    if not KVM.exists():
        return True
    facts = KVM.stat()
    mode = facts.st_mode
    return mode & 0o006 == 0o006 or (mode & 0o060 == 0o060 and facts.st_gid != 0)
