"""What this machine has of what the harness needs, and the remedy for what it lacks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from harness import process
from harness.assembly import Assembly
from harness.errors import HarnessError
from harness.guest import accelerator, emulator, jail
from harness.kernels import hosts
from harness.model.hosts import Accelerator

_LIMIT = 20.0
_ROOM = 10 << 30
"""Bytes that a full set of kernels and images takes, and as much again to work with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. ``needed``: without it no cell runs."""

    what: str
    found: str
    good: bool
    remedy: str = ""
    needed: bool = False

    @property
    def mark(self) -> str:
        """A word for the state, which colour never replaces."""
        if self.good:
            return "ok"
        return "MISSING" if self.needed else "without"


def examine(assembly: Assembly) -> list[Finding]:
    """Look at programs, accelerator, user namespaces, store and locks; changes nothing."""
    version, error = _version()
    return [
        _qemu(version, error),
        *(_isolation() if version else ()),
        *_programs(),
        _accelerator(assembly, version),
        _user_namespaces(),
        *_store(assembly),
        _locks(assembly),
    ]


def _qemu(version: str, error: str) -> Finding:
    return Finding(
        what="QEMU",
        found=version or error,
        good=bool(version),
        remedy="" if version else "install qemu-system-x86",
        needed=True,
    )


def _version() -> tuple[str, str]:
    try:
        return emulator.version(), ""
    except HarnessError as error:
        return "", str(error)


def _isolation() -> Iterator[Finding]:
    """Say what holds a QEMU that its guest took over (docs/security.md); each is tried."""
    problem = emulator.sandbox_problem()
    yield Finding(
        what="QEMU's sandbox",
        found=problem or "works",
        good=not problem,
        remedy="a QEMU built with seccomp, as distributions build it" if problem else "",
    )
    version = jail.landlock_version()
    yield Finding(
        what="Landlock",
        found=f"version {version}" if version else "this kernel has none, or it is switched off",
        good=version > 0,
        remedy="" if version else "Linux 5.13 or newer, with landlock in /sys/kernel/security/lsm",
    )
    words = () if os.geteuid() == 0 else ("--user",)
    yield _tried(
        "network namespace",
        ["unshare", *words, "--net", "true"],
        works="works",
        remedy="QEMU keeps this machine's network: allow user namespaces",
    )


def _programs() -> Iterator[Finding]:
    known = (
        ("gpgv", "gpgv", "signatures of package archives", True),
        ("skopeo", "skopeo", "images of registries, oci: and docker-archive:", False),
        ("mmdebstrap", "mmdebstrap", "Debian recipes, which the default images are", False),
        ("rpmkeys", "rpm", "kernels of rpm repositories: 3.10, 4.18, 5.14", False),
        ("gpg", "gpg", "keys of rpm repositories", False),
    )
    for program, package, purpose, needed in known:
        path = shutil.which(program)
        yield Finding(
            what=program,
            found=path or f"not installed; needed for {purpose}",
            good=path is not None,
            remedy="" if path else f"install {package}",
            needed=needed,
        )


def _accelerator(assembly: Assembly, version: str) -> Finding:
    known = accelerator.recalled(assembly.store, version, hosts.CPU)
    if known is None:
        return Finding(
            what="KVM",
            found=f"{accelerator.DEVICE} opens; the first session proves that a guest boots",
            good=True,
        )
    if known.accelerator is Accelerator.KVM:
        return Finding(what="KVM", found="a guest booted with it", good=True)
    return Finding(
        what="KVM",
        found=known.why,
        good=False,
        remedy="guests are emulated: about ten times slower",
    )


def _user_namespaces() -> Finding:
    return _tried(
        "user namespaces",
        ["unshare", "--user", "--map-root-user", "true"],
        works="work",
        remedy="Debian recipes need them, or root: sysctl kernel.unprivileged_userns_clone=1",
    )


def _tried(what: str, words: list[str], *, works: str, remedy: str) -> Finding:
    """Say what came of a program that succeeds where ``what`` is to be had."""
    try:
        process.run(words, limit=_LIMIT)
    except HarnessError as error:
        return Finding(what=what, found=str(error), good=False, remedy=remedy)
    return Finding(what=what, found=works, good=True)


def _store(assembly: Assembly) -> Iterator[Finding]:
    root = assembly.store.root
    entries = assembly.store.entries() if root.exists() else []
    size = sum(entry.size for entry in entries)
    there = next(path for path in (root, *root.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    yield Finding(
        what="store",
        found=f"{root}: {len(entries)} entries, {size / 1e6:.0f} MB, {free / 1e9:.1f} GB free",
        good=free > _ROOM,
        remedy="" if free > _ROOM else "free some room, `harness store gc`, or set HARNESS_STORE",
    )


def _locks(assembly: Assembly) -> Finding:
    open_ = [e.name for e in assembly.entries if e.name not in assembly.locks]
    return Finding(
        what="locks",
        found=f"{len(assembly.locks)} kernels locked"
        + (f"; not locked: {', '.join(open_)}" if open_ else ""),
        good=True,
        remedy="what is not locked is resolved when first used" if open_ else "",
    )
