"""One container in one guest, observed while commands run in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.container import process, runtime, users
from harness.container.bundle import make_bundle, sleeper_argv
from harness.container.facts import Facts
from harness.container.process import Settings
from harness.container.runtime import (
    Around,
    Container,
    ImageFiles,
    Outcome,
    Runtime,
    RuntimeFailure,
)
from harness.container.seccomp import Filter
from harness.guest.guest import Guest
from harness.model.hosts import Engine
from harness.model.images import ImageConfig
from harness.model.observations import SERVICE, StepResult
from harness.model.scenarios import ContainerSpec, Service, Step
from harness.trace.recorder import Recording

COULD_NOT_RUN = "the runtime could not run it"
"""How the unmet expectation of a step begins whose program never started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a container is made from, beside the commands that run in it."""

    image: ImageConfig
    spec: ContainerSpec
    engine: Engine
    runtime: Runtime
    facts: Facts
    filter: Filter | None
    hostname: str
    base: Path
    seed: str
    """Same seed, same random user: two kernels must see the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command's result and what is needed to tell later how it ended."""

    result: StepResult
    pid: int | None
    status: int | None
    """The runtime's word; None when the runtime had to be ended and only the trace knows."""


class Sitting:
    """Runs commands in a container and marks them in the recording; made by :func:`sitting`."""

    def __init__(
        self,
        guest: Guest,
        recording: Recording,
        setting: Setting,
        shared: Settings,
        box: Container,
    ) -> None:
        self.done: list[Done] = []
        self.notes: list[str] = []
        self._guest = guest
        self._recording = recording
        self._setting = setting
        self.shared = shared
        self._box = box
        self._first: tuple[str, ...] | None = None
        self._started = 0.0

    def start(self, service: Service | None, argv: tuple[str, ...], scale: float) -> None:
        """Start the first process: a service, or one that only waits.

        Raises:
            RuntimeFailure: it does not start, or the service does not become ready.
        """
        limit = (service.timeout if service else 60.0) * scale
        self._started = time.monotonic()
        self._first = argv
        pid = self._box.start(limit=limit)
        self._recording.mark(f"container pid {pid}")
        if service is None:
            return
        if service.ready:
            self._await_ready(service, limit)
        if service.watch:
            self._box.watch(service.watch * scale)

    def _await_ready(self, service: Service, limit: float) -> None:
        probe = process.to_oci(self.shared, service.ready)
        verdict, _, said = self._box.wait_ready(probe, limit=limit)
        if verdict != "ready":
            what = "ended before it was ready" if verdict == "ended" else "did not become ready"
            detail = f": the probe says {said.strip()[-300:]!r}" if said.strip() else ""
            raise RuntimeFailure(f"the service {what} in {limit:g} s{detail}")

    def run(self, step: Step, argv: tuple[str, ...], *, limit: float, alone: bool) -> Done:
        """Run one command; ``alone``: as the container's first process."""
        stdin, around = step.stdin.encode(), self._marks(len(self.done))
        if alone:
            outcome = self._box.run(limit=limit, stdin=stdin, around=around)
        else:
            described = process.to_oci(self.shared, argv)
            outcome = self._box.execute(described, limit=limit, stdin=stdin, around=around)
        done = Done(
            result=_result(step, argv, outcome),
            pid=outcome.pid,
            status=outcome.status if outcome.status_known else None,
        )
        self.done.append(done)
        return done

    def _marks(self, number: int) -> Around:
        mark = self._recording.mark_command
        pid = mark(f"step {number} pid $pid")
        return Around(
            before=mark(f"step {number}"),
            after=f'[ -z "$pid" ] || {pid}\n{mark(f"step {number} end")}',
        )

    def service_result(self) -> StepResult | None:
        """Return what the service wrote so far, and how it ended if it did."""
        if self._first is None:
            return None
        ended = self._box.service_outcome()
        if ended is not None:
            return _result(Step(name=SERVICE), self._first, ended)
        out, err = self._box.service_output()
        return StepResult(
            name=SERVICE,
            argv=self._first,
            exit=None,
            signal=None,
            stdout=text(out),
            stderr=text(err),
            seconds=time.monotonic() - self._started,
        )


def _result(step: Step, argv: tuple[str, ...], outcome: Outcome) -> StepResult:
    unmet = (f"{COULD_NOT_RUN}: {outcome.failure}",) if outcome.failure else ()
    return StepResult(
        name=step.name,
        argv=argv,
        exit=outcome.status if outcome.status_known else None,
        signal=None,
        stdout=text(outcome.stdout),
        stderr=text(outcome.stderr),
        stdout_dropped=outcome.stdout_dropped,
        stderr_dropped=outcome.stderr_dropped,
        seconds=round(outcome.seconds, 3),
        peak_memory=outcome.peak_memory,
        peak_memory_way=outcome.peak_memory_way,
        timed_out=outcome.timed_out,
        unmet=unmet,
    )


def text(data: bytes) -> str:
    r"""Return output as text; what is not UTF-8 is shown as ``\xNN``."""
    return data.decode(errors="backslashreplace")


@contextmanager
def sitting(
    guest: Guest,
    recording: Recording,
    setting: Setting,
    files: ImageFiles,
    first: tuple[str, ...],
    *,
    waits: bool,
) -> Iterator[Sitting]:
    """Put a container of a mounted image in place whose first process is ``first``.

    ``waits``: it is the harness's own, which does nothing.

    Raises:
        ImageError: the image's disk or config cannot be used.
        UsageError: the scenario asks for what does not exist.
    """
    wanted = setting.spec.user or setting.image.user
    user = users.resolve(wanted, files.passwd, files.group, seed=setting.seed)
    shared = process.settings(
        setting.engine, setting.image, setting.spec, user, setting.facts, setting.hostname
    )
    # The harness's own process must not depend on what the image's user may do.
    argv = sleeper_argv() if waits else first
    bundle = make_bundle(
        image=setting.image,
        spec=setting.spec,
        shared=shared,
        argv=argv,
        facts=setting.facts,
        filter=setting.filter,
        hostname=setting.hostname,
        passwd=files.passwd,
        sleeper=waits,
        base=setting.base,
    )
    with runtime.container(guest, setting.runtime, bundle, last=True) as box:
        made = Sitting(guest, recording, setting, shared, box)
        made.notes.extend(bundle.notes)
        yield made


def ended(done: Done, exit: int | None, signal: str | None) -> Done:
    """Return ``done`` with what the trace says of how its process ended."""
    return replace(done, result=replace(done.result, exit=exit, signal=signal))
