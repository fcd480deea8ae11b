"""Which runtime a host can have: the engine's own in the newest version that starts.

Older kernels lack what newer runtimes need (trixie's crun does not start on 3.10), and no
version number tells: each is tried in the guest with a container that holds busybox alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.container import bundle, process, runtime, scripts
from harness.container.facts import Facts
from harness.container.runtime import Runtime
from harness.container.users import User
from harness.errors import HarnessError, ImageError
from harness.guest.guest import GuestCommandError
from harness.model.hosts import Engine
from harness.model.images import ImageConfig
from harness.model.scenarios import ContainerSpec

CANDIDATES = {
    Engine.PODMAN: ("crun-1.21", "crun-1.8", "crun-0.17"),
    Engine.DOCKER: ("runc-1.1.15", "runc-1.1.5", "runc-1.0"),
}
"""Tool sets by engine, newest first."""

_GLIBC = "crun-1.21"
"""A set of the suite that the guest's own C library is of."""
_LIMIT = 60.0
_WORD = "started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The runtime set of a host and why: plain data, to be kept with the host's identity."""

    set: str
    version: str
    why: str


def order(engine: Engine) -> tuple[str, ...]:
    """Return the runtimes to try: the engine's own, then the other's only if none starts."""
    others = [name for each, names in CANDIDATES.items() if each is not engine for name in names]
    return (*CANDIDATES[engine], *others)


def choose(guest: scripts.Guest, candidates: Sequence[str], known: Facts) -> Choice:
    """Return the first candidate that starts a container in a guest of which ``known`` is known.

    The guest must have a tools disk with all of them and with ``crun-1.21``, and no runtime of
    its own.

    Raises:
        HarnessError: none starts; the text has each one's own words.
    """
    failed: list[str] = []
    for name in candidates:
        try:
            found = _install(guest, name)
        except GuestCommandError as error:
            failed.append(f"{name} does not start: {error}")
            continue
        problem = attempt(guest, found, known)
        if not problem:
            why = "; ".join([*failed, f"{name} starts"])
            return Choice(set=name, version=found.version, why=why)
        failed.append(f"{name} does not start: {problem}")
    raise HarnessError(f"no container runtime starts on this kernel: {'; '.join(failed)}")


def resident(guest: scripts.Guest, name: str, known: Facts) -> Choice | None:
    """Return a runtime that is part of this guest, if it starts a container."""
    program = runtime.place(name)
    try:
        found = Runtime(name=name, program=program, version=runtime.version(guest, program))
    except GuestCommandError:
        return None
    if attempt(guest, found, known):
        return None
    return Choice(set=name, version=found.version, why=f"{name} starts")


def attempt(guest: scripts.Guest, candidate: Runtime, known: Facts) -> str:
    """Run one small container; return what went wrong, or nothing."""
    engine = Engine.PODMAN if candidate.name.startswith("crun") else Engine.DOCKER
    spec, image = ContainerSpec(), ImageConfig()
    shared = process.settings(engine, image, spec, User(uid=0, gid=0), known, "box")
    try:
        runtime.mount_image(guest, "busybox")
    except ImageError as error:
        return str(error)
    trial = bundle.make_bundle(
        image=image,
        spec=spec,
        shared=shared,
        argv=("/bin/busybox", "echo", _WORD),
        facts=known,
        filter=None,
        hostname="box",
    )
    with runtime.container(guest, candidate, trial) as box:
        done = box.run(limit=_LIMIT)
    if done.status == 0 and done.stdout == f"{_WORD}\n".encode():
        return ""
    said = done.failure or done.stderr.decode(errors="replace").strip()
    return said or ("it hangs" if done.timed_out else f"status {done.status}")


def _install(guest: scripts.Guest, name: str) -> Runtime:
    program = name.partition("-")[0]
    reply = guest.run(scripts.command("install.sh", name, program, _GLIBC), limit=_LIMIT)
    path = reply.stdout.decode().strip()
    return Runtime(name=name, program=path, version=runtime.version(guest, path))
