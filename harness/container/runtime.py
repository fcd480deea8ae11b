"""Containers run by a real OCI runtime inside a guest.

All that needs more than one command is a script in the guest (the .sh and .pl files beside this
module), so that a phase is one round trip and limits hold where the container is.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.answers import understood
from harness.container import scripts
from harness.container.bundle import Bundle
from harness.container.scripts import DIRECTORY, Guest
from harness.errors import GuestTimeout, HarnessError, ImageError
from harness.guest.guest import UNPACK, archive

KEEP = 256 << 10
"""Bytes of each output that are kept."""
NAME = "box"
"""The container's id: a guest runs one."""

_START_LIMIT = 30
"""Seconds for a runtime to say its version."""
_GRACE = 60.0
"""Seconds above a limit kept in the guest after which the guest itself is taken for lost."""


class RuntimeFailure(HarnessError):  # noqa: N818 - what happened reads better than an -Error
    """The runtime could not start the container; the text is the runtime's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """An OCI runtime in a guest: ``program`` is its path there, ``name`` its tool set."""

    name: str
    program: str
    version: str
    why: str = ""
    """Why this one: what became of the ones tried before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFiles:
    """The image's own passwd and group, which say who its users are."""

    passwd: str
    group: str
    ia32: bool = False
    """Whether the image has a loader for 32-bit programs of a PC."""
    sealed: bool = False
    """Whether the guest's runtime lies in a sealed memfd (seal.pl)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one command in the container did. ``status`` is the runtime's: 128+N for signal N."""

    status: int
    pid: int | None
    """Pid of its first process in the guest; None when there was none."""
    started: float
    """Guest's uptime in seconds, as ``ended``."""
    ended: float
    stdout: bytes
    stderr: bytes
    stdout_dropped: int
    stderr_dropped: int
    peak_memory: int | None
    peak_memory_way: str
    timed_out: bool
    held: bool
    """A child in the background still held an output when the command had ended."""
    status_known: bool = True
    """False: a child in the background held runc, which was ended and took the status along."""
    failure: str = ""
    """What the runtime said when it could not run the command; the program never started."""

    @property
    def seconds(self) -> float:
        """Wall time in the guest."""
        return self.ended - self.started


def place(name: str) -> str:
    """Return where a runtime's tool set has its program, in a guest that it is part of."""
    return f"/usr/bin/{name.partition('-')[0]}"


def version(guest: Guest, program: str) -> str:
    """Return the first line of the runtime's ``--version``.

    One that does not suit the kernel may copy and start itself for ever: it is killed, which is a
    failure like any other.
    """
    command = f"timeout -s KILL {_START_LIMIT} {shlex.quote(program)} --version"
    reply = guest.run(command, limit=_START_LIMIT + _GRACE)
    return reply.stdout.decode(errors="replace").partition("\n")[0].strip()


def mount_image(guest: Guest, disk: str = "/run/harness/disk/image") -> ImageFiles:
    """Mount an image's disk as the container's root and read who its users are.

    What the kernel said until then is cleared.

    ``disk`` may be ``busybox``: a root that holds nothing but the guest's busybox.

    Raises:
        ImageError: the disk does not mount.
    """
    reply = guest.run(scripts.command("prepare.pl", disk), limit=_GRACE, check=False)
    if reply.status != 0:
        said = reply.stderr.decode(errors="replace").strip()
        raise ImageError(f"the image's disk does not mount in the guest: {said}")
    with understood("what the image is"):
        header, body = _report(reply.stdout)
        length = int(header["passwd"])
        return ImageFiles(
            passwd=body[:length].decode(errors="replace"),
            group=body[length:].decode(errors="replace"),
            ia32=header["ia32"] == "1",
            sealed=header["sealed"] == "1",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """Commands of the guest's shell in the same round trip as a step; they print nothing."""

    before: str = ":"
    after: str = ":"
    """Finds the pid of the step's process in ``$pid``, which is empty if there was none."""


class Container:
    """One container of a mounted image; made by :func:`container`."""

    def __init__(self, guest: Guest, runtime: Runtime, *, keep: int = KEEP) -> None:
        self._guest = guest
        self._runtime = runtime
        self._keep = keep
        self._number = 0
        self._service = f"{DIRECTORY}/steps/service"

    def run(self, *, limit: float, stdin: bytes = b"", around: Around | None = None) -> Outcome:
        """Run the bundle's process, the container's first, to its end."""
        words = ("run", "--bundle", DIRECTORY, NAME)
        return self._step(self._directory(), words, limit, stdin, b"", around or Around())

    def execute(
        self,
        process: Mapping[str, Any],
        *,
        limit: float,
        stdin: bytes = b"",
        around: Around | None = None,
    ) -> Outcome:
        """Run a further process (runtime-spec's ``process``) in the running container."""
        directory = self._directory()
        words = ("exec", "--process", f"{directory}/process.json", NAME)
        described = json.dumps(process).encode()
        return self._step(directory, words, limit, stdin, described, around or Around())

    def start(self, *, limit: float) -> int:
        """Start the bundle's process in the background and return its pid in the guest.

        A process that ran and ended at once is no failure: :meth:`service_outcome` has it.

        Raises:
            RuntimeFailure: the runtime did not start it, or it does not run after ``limit``
                seconds.
        """
        words = ("run", "--bundle", DIRECTORY, NAME)
        program = self._runtime.program
        reply = self._guest.run(
            scripts.command("service.pl", self._service, int(limit), self._keep, program, *words),
            limit=limit + _GRACE,
        )
        first, _, rest = reply.stdout.partition(b"\n")
        with understood("a service's start"):
            verdict, *pid = first.decode().split()
            if verdict == "running":
                return int(pid[0])
        if verdict == "ended" and rest:
            ended = _outcome(rest)
            if ended.pid is not None and not ended.failure:
                return ended.pid
            said = ended.failure or ended.stderr.decode(errors="replace").strip()
            raise RuntimeFailure(f"the container did not start: {said}")
        raise RuntimeFailure(f"the container does not run {limit:g} s after its start")

    def wait_ready(
        self, process: Mapping[str, Any], *, limit: float
    ) -> tuple[str, tuple[int, ...], str]:
        """Repeat a probe beside the service until it succeeds.

        Returns ``ready``, ``ended`` (the service did) or ``timed out``, the pids of all probes
        and what the last one printed.
        """
        file = self._process_file(process)
        reply = self._guest.run(
            scripts.command(
                "ready.pl",
                self._service,
                int(limit),
                self._runtime.program,
                "exec",
                "--process",
                file,
                NAME,
            ),
            limit=limit + _GRACE,
        )
        head, _, output = reply.stdout.partition(b"\n\n")
        with understood("a probe"):
            verdict, _, pids = head.decode().partition("\n")
            return verdict, tuple(map(int, pids.split()[1:])), output.decode(errors="replace")

    def watch(self, limit: float) -> None:
        """Wait ``limit`` seconds, or until the first process that :meth:`start` started ends."""
        words = scripts.command("watch.pl", self._service, math.ceil(limit))
        self._guest.run(words, limit=limit + _GRACE)

    def service_outcome(self) -> Outcome | None:
        """Return what became of the first process that :meth:`start` started; None: it runs."""
        reply = self._guest.run(f"cat {shlex.quote(self._service)}/report", check=False)
        return _outcome(reply.stdout) if reply.stdout else None

    def service_output(self) -> tuple[bytes, bytes]:
        """Return what is kept of the first process's outputs so far."""
        quoted = shlex.quote(self._service)
        out = self._guest.run(f"cat {quoted}/stdout", check=False).stdout
        return out, self._guest.run(f"cat {quoted}/stderr", check=False).stdout

    def remove(self) -> None:
        """Kill and delete the container and unmount its root."""
        self._guest.run(scripts.command("remove.sh", self._runtime.program), limit=_GRACE)

    def _process_file(self, process: Mapping[str, Any]) -> str:
        self._number += 1
        file = f"{DIRECTORY}/steps/process-{self._number}.json"
        self._guest.put({file: json.dumps(process).encode()})
        return file

    def _directory(self) -> str:
        self._number += 1
        return f"{DIRECTORY}/steps/{self._number}"

    def _step(
        self,
        directory: str,
        words: Sequence[str],
        limit: float,
        stdin: bytes,
        process: bytes,
        around: Around,
    ) -> Outcome:
        step = scripts.command(
            *("step.pl", directory, f"{limit:g}", self._keep, len(process)),
            *(self._runtime.program, *words),
        )
        try:
            reply = self._guest.run(
                f"{around.before}\n{step} || exit\n"
                f"pid=; [ -e {directory}/pid ] && read -r pid < {directory}/pid\n{around.after}",
                stdin=process + stdin,
                limit=limit + _GRACE,
            )
        except GuestTimeout:  # step.pl keeps the step's limit: this guest stands still
            self._guest.abandon()
            raise
        return _outcome(reply.stdout)


@contextmanager
def container(
    guest: Guest, runtime: Runtime, bundle: Bundle, *, keep: int = KEEP, last: bool = False
) -> Iterator[Container]:
    """Put a bundle in place for an image that :func:`mount_image` mounted; undo it afterwards.

    ``last``: the guest ends with this container, which is left as it is.

    Raises:
        ImageError: the image leaves no room for it, or a volume of the image leads out of it.
    """
    files = {path: file.content for path, file in bundle.files.items()}
    modes = "".join(f"{file.mode:o} {path}\n" for path, file in bundle.files.items())
    files[f"{DIRECTORY}/config.json"] = json.dumps(bundle.config).encode()
    files[f"{DIRECTORY}/modes"] = modes.encode()
    files[f"{DIRECTORY}/volumes"] = "".join(f"{path}\n" for path in bundle.volumes).encode()
    place = f"{UNPACK} && {scripts.command('arrange.pl')}"
    reply = guest.run(place, stdin=archive(files), limit=_GRACE, check=False)
    if reply.status != 0:
        raise ImageError(reply.stderr.decode(errors="replace").strip())
    made = Container(guest, runtime, keep=keep)
    try:
        yield made
    finally:
        if not last:
            made.remove()


def _report(data: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = data.partition(b"\n\n")
    lines = head.decode(errors="replace").splitlines()
    return dict(line.partition(" ")[::2] for line in lines), body


@understood("a step")
def _outcome(data: bytes) -> Outcome:
    """Read what step.pl prints.

    Raises:
        GuestError: it never printed that.
    """
    said, body = _report(data)
    out, err = int(said["stdout"]), int(said["stderr"])
    log = body[out + err : out + err + int(said["log"])].decode(errors="replace")
    return Outcome(
        status=int(said["status"]),
        pid=int(said["pid"]) if said["pid"] else None,
        started=float(said["started"]),
        ended=float(said["ended"]),
        stdout=body[:out],
        stderr=body[out : out + err],
        stdout_dropped=int(said["stdout_dropped"]),
        stderr_dropped=int(said["stderr_dropped"]),
        peak_memory=int(said["peak"]) if said["peak"].isdigit() else None,
        peak_memory_way=said["peak_way"],
        timed_out=said["timed_out"] == "1",
        held=said["held"] == "1",
        status_known=said["status_known"] == "1",
        failure=_failure(log),
    )


def _failure(log: str) -> str:
    """Return the errors in a runtime's JSON log, which is empty when all went well."""
    found = []
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal"):
            found.append(str(entry.get("msg", "")))
    return "; ".join(found)
