"""What a process gives up for good before it becomes QEMU.

QEMU's own seccomp sandbox keeps it from starting programs; it may still open whatever its user
may, and speak to the network. So its supervisor first gives up the network (an empty network
namespace), root if it has it, all capabilities, and every file but those that the guest needs
(Landlock, Linux 5.13: landlock(7)). Each step that this kernel or this user cannot take is left
out, and ``harness doctor`` says so; nothing here needs root.

Run by ``python -I -S``: the standard library only, and little of it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_VERSION_FLAG = 1
_NO_NEW_PRIVS, _CAPBSET_DROP = 38, 24
_NEWUSER, _NEWNET = 0x10000000, 0x40000000

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
REMOVE_FILE, MAKE_REG, MAKE_SOCK = 1 << 5, 1 << 8, 1 << 9
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15

_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights on files each version of Landlock knows; later ones know no more that matter."""

_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_READ = EXECUTE | READ_FILE | READ_DIR
_OWN = READ_FILE | WRITE_FILE | READ_DIR | REMOVE_FILE | MAKE_REG | MAKE_SOCK | TRUNCATE

_TREES = ("/usr", "/lib", "/lib64", "/bin", "/sys")
_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/etc/ssl", "/etc/gnutls", "/etc/crypto-policies")
_DEVICES = {
    "/dev/null": READ_FILE | WRITE_FILE,
    "/dev/urandom": READ_FILE,
    "/dev/random": READ_FILE,
    "/dev/kvm": READ_FILE | WRITE_FILE | IOCTL_DEV,
}

_libc = ctypes.CDLL(None, use_errno=True)


def enter(jail: Mapping[str, Any]) -> None:
    """Confine this process, and all that it starts, for good.

    ``user`` and ``groups``: whom to become, where this is root. ``directory``: all that may be
    written by name. ``programs``: directories to read beside the system's. ``read`` and ``write``:
    descriptors of files that are opened again. ``data``: bytes of memory that are not shared.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (jail["data"], jail["data"]))
    leave_network()
    _drop_capabilities()
    if jail["user"] is not None:
        os.setgroups(jail["groups"])
        os.setgid(jail["user"])
        os.setuid(jail["user"])
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    _landlock(jail["directory"], jail["programs"], jail["read"], jail["write"])


def leave_network() -> bool:
    """Enter an empty network namespace; tell whether this kernel and user may."""
    flags = _NEWNET if os.geteuid() == 0 else _NEWUSER | _NEWNET
    return bool(_libc.unshare(flags) == 0)


def landlock_version() -> int:
    """Return the version of Landlock that this kernel has, 0 for none."""
    found = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return max(0, int(found))


def _drop_capabilities() -> None:
    """Leave nothing in the bounding set, of which root's next program would get all (exec)."""
    number = 0
    while _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1


def _landlock(
    directory: str, programs: Sequence[str], read: Sequence[int], write: Sequence[int]
) -> None:
    version = landlock_version()
    if version == 0:
        return
    rights = (1 << _FS_RIGHTS[min(version, 5)]) - 1
    # Of struct landlock_ruleset_attr: files; from 4 on TCP's bind and connect, none of which is
    # ever allowed; from 6 on signals and abstract sockets of whoever is outside.
    fields = (rights, *((3,) if version >= 4 else ()), *((3,) if version >= 6 else ()))
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return
    for path in (*_TREES, *_FILES, *programs):
        _allow(ruleset, path, _READ & rights)
    for path, wanted in _DEVICES.items():
        _allow(ruleset, path, wanted & rights)
    _allow(ruleset, directory, _OWN & rights)
    for descriptor in (*read, *write):
        wanted = READ_FILE | (WRITE_FILE if descriptor in write else 0)
        _add(ruleset, descriptor, wanted)
    _libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, wanted: int) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            _add(ruleset, descriptor, wanted if directory else wanted & _OF_A_FILE)
        finally:
            os.close(descriptor)


def _add(ruleset: int, descriptor: int, wanted: int) -> None:
    rule = struct.pack("=Qi", wanted, descriptor)
    _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
