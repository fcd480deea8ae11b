"""Who a container's process runs as, resolved against the image's own passwd and group.

Both files are the image's and so untrusted: a line that does not parse is no line, as engines
have it (moby/sys/user).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from harness.errors import ImageError

RANDOM = "random"
_MAX_ID = (1 << 31) - 1
"""Engines take ids up to the largest int32 (moby/sys/user, maxID)."""
_RANDOM_BASE = 1_000_000_000
"""Like OpenShift's: far above what any image has in its passwd."""
_RANDOM_RANGE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A resolved user. ``named`` is False when passwd does not have the uid."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    """Additional gids, from the group file."""
    home: str = "/"
    named: bool = True


@dataclass(frozen=True, slots=True)
class _Passwd:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve(wanted: str, passwd: str, group: str, *, seed: str = "") -> User:
    """Resolve ``user``, ``user:group`` (names or numbers), ``random``, or empty for root.

    ``random`` is a uid that no image knows, with gid 0; the same ``seed`` gives the same one, so
    that two kernels see the same.

    Raises:
        ImageError: the image has no user or group of that name, or a number is out of range.
    """
    if wanted == RANDOM:
        digest = hashlib.sha256(seed.encode()).digest()
        wanted = str(_RANDOM_BASE + int.from_bytes(digest[:8]) % _RANDOM_RANGE)
    user_part, _, group_part = (wanted or "0").partition(":")
    users, groups = _users(passwd), _groups(group)
    user = _find_user(user_part or "0", users)
    if group_part:
        # Engines drop the memberships of the group file when a group is named.
        return User(
            uid=user.uid,
            gid=_find_group(group_part, groups),
            home=user.home or "/",
            named=bool(user.name),
        )
    member_of = sorted({entry.gid for entry in groups if user.name and user.name in entry.members})
    return User(
        uid=user.uid,
        gid=user.gid,
        groups=tuple(member_of),
        home=user.home or "/",
        named=bool(user.name),
    )


def passwd_for(user: User, passwd: str, workdir: str) -> str | None:
    """Return the passwd that podman mounts for a uid that the image lacks; None: none needed."""
    if user.named:
        return None
    start = passwd if not passwd or passwd.endswith("\n") else passwd + "\n"
    return f"{start}{user.uid}:*:{user.uid}:{user.gid}:container user:{workdir}:/bin/sh\n"


def _users(text: str) -> list[_Passwd]:
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) < 4 or line.startswith("#"):
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if fields[0] and uid is not None and gid is not None:
            found.append(_Passwd(fields[0], uid, gid, fields[5] if len(fields) > 5 else ""))
    return found


def _groups(text: str) -> list[_Group]:
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        gid = _number(fields[2]) if len(fields) >= 3 else None
        if gid is None or not fields[0] or line.startswith("#"):
            continue
        members = fields[3].split(",") if len(fields) > 3 else []
        found.append(_Group(fields[0], gid, tuple(name.strip() for name in members)))
    return found


def _find_user(wanted: str, users: list[_Passwd]) -> _Passwd:
    for entry in users:
        if entry.name == wanted:
            return entry
    uid = _number(wanted)
    if uid is None:
        raise ImageError(
            f"the image has no user {wanted!r} in /etc/passwd: name another, or a number"
        )
    for entry in users:
        if entry.uid == uid:
            return entry
    return _Passwd("", uid, 0, "/")


def _find_group(wanted: str, groups: list[_Group]) -> int:
    for entry in groups:
        if entry.name == wanted:
            return entry.gid
    gid = _number(wanted)
    if gid is None:
        raise ImageError(
            f"the image has no group {wanted!r} in /etc/group: name another, or a number"
        )
    return gid


def _number(text: str) -> int | None:
    # isdecimal and ascii: int() takes signs, underscores and other scripts' digits too.
    if not (text.isascii() and text.isdecimal()) or len(text) > 10:
        return None
    value = int(text)
    return value if value <= _MAX_ID else None
