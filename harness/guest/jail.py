"""What a process gives up for good before it becomes QEMU.

QEMU's own seccomp sandbox keeps it from starting programs; it may still open whatever its user
may, and speak to the network. So its supervisor first gives up the network (an empty network
namespace), root if it has it, all capabilities, and every file but those that the guest needs
(Landlock, Linux 5.13: landlock(7)). Each step that this kernel or this user cannot take is left
out, and ``harness doctor`` says so; nothing here needs root.

Run by ``python -I -S`` before each guest: the standard library only, and what of it loads fast.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

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

END = "--"
_libc = ctypes.CDLL(None, use_errno=True)


def words(
    *,
    data: int,
    directory: str,
    user: int | None = None,
    groups: Sequence[int] = (),
    programs: Sequence[str] = (),
    read: Sequence[int] = (),
    write: Sequence[int] = (),
) -> list[str]:
    """Return a jail as the arguments that :func:`enter` takes.

    Args:
        data: Bytes of memory that are not shared.
        directory: All that may be written by name.
        user: Whom to become; None: nobody else.
        groups: The groups of that user.
        programs: Directories to read beside the system's.
        read: Descriptors of files that are opened again, to be read.
        write: The same, to be written.
    """
    pairs: list[tuple[str, object]] = [("data", data), ("directory", directory)]
    if user is not None:
        pairs.append(("user", user))
    for name, values in (
        ("group", groups),
        ("program", programs),
        ("read", read),
        ("write", write),
    ):
        pairs += [(name, value) for value in values]
    return [*(f"{name}={value}" for name, value in pairs), END]


def enter(argv: Sequence[str]) -> list[str]:
    """Confine this process, and all that it starts, for good; return what follows the jail.

    ``argv`` is what :func:`words` gave and, behind it, anything.
    """
    told: dict[str, list[str]] = {"user": [], "group": [], "program": [], "read": [], "write": []}
    end = argv.index(END)
    for word in argv[:end]:
        name, _, value = word.partition("=")
        told.setdefault(name, []).append(value)
    data = int(told["data"][0])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    leave_network()
    _drop_capabilities()
    for user in map(int, told["user"]):
        os.setgroups([int(group) for group in told["group"]])
        os.setgid(user)
        os.setuid(user)
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    read, write = ([int(number) for number in told[name]] for name in ("read", "write"))
    _landlock(told["directory"][0], told["program"], read, write)
    return list(argv[end + 1 :])


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
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not every machine has each of them
        return
    directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    _add(ruleset, descriptor, wanted if directory else wanted & _OF_A_FILE)
    os.close(descriptor)


def _add(ruleset: int, descriptor: int, wanted: int) -> None:
    rule = struct.pack("=Qi", wanted, descriptor)
    _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
