"""What a guest's kernel offers to containers, probed once in the running guest."""

from __future__ import annotations

from dataclasses import dataclass

from harness.container import capabilities, scripts
from harness.model.hosts import Cgroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Probed facts that decide how a bundle looks."""

    release: str
    cgroup: Cgroup
    controllers: frozenset[str]
    namespaces: frozenset[str]
    """Names of /proc/self/ns."""
    filesystems: frozenset[str]
    sysctls: frozenset[str]
    """Those of the engines' defaults that exist."""
    capabilities: frozenset[str]
    """The bounding set of the guest's init: what this kernel knows."""
    ambient: bool
    user_namespaces: bool
    """The kernel has them and their limit is not 0 (el7: user.max_user_namespaces)."""
    nr_open: int = 1048576
    """fs.nr_open: no process may have more open files."""


def probe(guest: scripts.Guest) -> Facts:
    """Read the facts of a guest in one round trip."""
    reply = guest.run(scripts.command("facts.sh"))
    return parse(reply.stdout.decode(errors="replace"))


def parse(text: str) -> Facts:
    """Read what facts.sh prints."""
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, *words = line.split()
        said.setdefault(key, []).extend(words)

    def one(key: str, otherwise: str) -> str:
        return next(iter(said.get(key, [])), otherwise)

    namespaces = frozenset(said.get("namespaces", ()))
    return Facts(
        release=one("release", ""),
        cgroup=Cgroup(one("cgroup", "v1")),
        controllers=frozenset(said.get("controllers", ())),
        namespaces=namespaces,
        filesystems=frozenset(said.get("filesystems", ())),
        sysctls=frozenset(said.get("sysctl", ())),
        capabilities=capabilities.from_mask(int(one("bounding", "0"), 16)),
        ambient=bool(said.get("ambient")),
        user_namespaces="user" in namespaces and one("user_namespaces", "1") != "0",
        nr_open=int(one("nr_open", "1048576")),
    )
