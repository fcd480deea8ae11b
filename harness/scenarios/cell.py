"""Run one cell: from a request to an observation, plain data on both sides."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from harness.container import capabilities, process
from harness.container.bundle import ROOTFS
from harness.container.runtime import Runtime, RuntimeFailure, mount_image, place
from harness.errors import GuestError
from harness.guest.apparatus import Apparatus
from harness.guest.guest import Guest, GuestCommandError
from harness.guest.qemu import EMULATED
from harness.model.hosts import Accelerator
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Step
from harness.scenarios import too_old
from harness.scenarios.confine import Confined, confine
from harness.scenarios.observed import observed, signal_of, unmet
from harness.scenarios.request import Instruments, Notebook, Request
from harness.scenarios.requirements import missing
from harness.scenarios.sitting import Setting, Sitting, sitting
from harness.store import digest_of
from harness.trace.elf import elf_classes
from harness.trace.plan import plan_for
from harness.trace.recorder import Recording, recording

_STAMP = re.compile(r"^\[\s*\d+\.\d+\]\s?")


def run_cell(request: Request, apparatus: Apparatus, instruments: Instruments) -> Observation:
    """Run a cell in a fresh guest and return all that was observed.

    Never raises for what image, kernel or guest do: that is the observation.

    Raises:
        HarnessError: the request itself cannot be carried out (a mount's source is gone, a
            capability does not exist).
    """
    book = Notebook(started=datetime.now(UTC).isoformat(timespec="seconds"))
    lacking = missing(request.scenario.requires, request.survey)
    if lacking:
        return observed(request, book, instruments, Verdict.UNSUPPORTED, lacking)
    begin = time.monotonic()
    verdict, reason = Verdict.PASSED, ""
    console: tuple[str, ...] = ()
    try:
        with ExitStack() as stack:
            guest = stack.enter_context(
                apparatus.started(
                    request.machine, request.snapshot, log=request.log, say=book.notes.append
                )
            )
            book.durations.update({k: round(v, 4) for k, v in guest.durations.items()})
            verdict, reason = _in_guest(request, guest, book, instruments)
    except GuestError as error:
        verdict, reason, console = Verdict.DIED, str(error), error.console
        if book.recording is not None and book.trace is None:
            book.trace = book.recording.partial()
    except RuntimeFailure as error:
        verdict, reason = Verdict.FAILED, str(error)
    book.durations["cell"] = round(time.monotonic() - begin, 4)
    found = observed(request, book, instruments, verdict, reason)
    return replace(found, console=tuple(console))


def _in_guest(
    request: Request, guest: Guest, book: Notebook, instruments: Instruments
) -> tuple[Verdict, str]:
    try:
        with armed(request, guest, book, instruments) as under_way:
            return _in_container(request, guest, under_way, book)
    except GuestCommandError as error:  # what is out of memory or processes serves nobody
        raise GuestError(str(error), guest.console()) from error


@contextmanager
def armed(
    request: Request, guest: Guest, book: Notebook, instruments: Instruments
) -> Iterator[Recording]:
    """Mount the image and record what its container will do, for the block's time.

    Raises:
        ImageError: the image's disk does not mount.
        GuestError: the guest was lost.
    """
    with book.timing("mount"):
        book.files = mount_image(guest)
    book.ways["runtime"] = "in a sealed memfd" if book.files.sealed else "in a file"
    book.confined = confined(request, instruments)
    practice = request.machine.host.drill
    book.plan = plan_for(
        request.survey.census.implemented,
        instruments.syscalls.end(),
        refusable=book.confined.refusable,
        conditional=book.confined.conditional,
        drill=practice.refused if practice else None,
        ia32=book.files.ia32,
    )
    if not request.traced:
        yield Recording.idle(guest)
        return
    before = time.monotonic()
    with recording(guest, book.plan) as under_way:
        book.recording = under_way
        book.ways.update(under_way.armed.ways or {})
        if request.machine.accelerator is Accelerator.TCG:
            book.ways["emulation"] = f"for its speed, {EMULATED}"
        book.notes.extend(under_way.armed.notes)
        book.durations["arm"] = round(time.monotonic() - before, 4)
        yield under_way


def confined(request: Request, instruments: Instruments) -> Confined:
    """Return the filter of the request's container."""
    spec = request.scenario.container
    engine = spec.engine or request.machine.host.engine
    return confine(
        request.chosen,
        engine=engine,
        capabilities=capabilities.bounding(
            engine, spec.cap_add, spec.cap_drop, request.survey.facts.capabilities
        ),
        release=request.survey.facts.release,
        traits=request.traits,
        numbers=instruments.syscalls.by_name(),
        refuse=spec.refuse,
    )


def _in_container(
    request: Request, guest: Guest, under_way: Recording, book: Notebook
) -> tuple[Verdict, str]:
    scenario = request.scenario
    steps = scenario.steps
    alone = scenario.service is None and len(steps) == 1
    commands = [_argv(request, step) for step in steps]
    first = commands[0] if alone else _service_argv(request)
    begin = time.monotonic()
    setting = setting_of(request, book.confined)
    with sitting(
        guest, under_way, setting, book.files, first, waits=not alone and not scenario.service
    ) as at:
        book.durations["attach"] = round(time.monotonic() - begin, 4)
        book.done = at.done
        book.notes.extend(at.notes)
        verdict, reason = Verdict.PASSED, ""
        try:
            if not alone:
                with book.timing("start"):
                    at.start(scenario.service, first, request.scale)
            with book.timing("steps"):
                verdict, reason = _run_steps(request, at, commands, alone=alone)
        except RuntimeFailure as error:
            verdict, reason = Verdict.FAILED, str(error)
        with book.timing("collect"):
            if scenario.service is not None:
                book.service = at.service_result()
            collect(guest, under_way, book)
    return verdict, reason


def setting_of(request: Request, found: Confined | None) -> Setting:
    """Return what the request's container is made from."""
    survey, host = request.survey, request.machine.host
    spec = request.scenario.container
    return Setting(
        image=request.image.config,
        spec=spec,
        engine=spec.engine or host.engine,
        runtime=Runtime(
            name=survey.runtime,
            program=place(survey.runtime),
            version=survey.runtime_version,
            why=survey.runtime_why,
        ),
        facts=survey.facts,
        filter=found.filter if found else None,
        hostname=spec.hostname or f"{digest_of(request.image.digest, request.scenario.name)[:12]}",
        base=request.rootdir,
        seed=f"{request.image.digest} {request.scenario.name}",
    )


def _argv(request: Request, step: Step) -> tuple[str, ...]:
    config, spec = request.image.config, request.scenario.container
    return process.argv(config, spec, step.run, step.args)


def _service_argv(request: Request) -> tuple[str, ...]:
    service = request.scenario.service
    if service is None:
        return ()
    config, spec = request.image.config, request.scenario.container
    return process.argv(config, spec, service.run, service.args)


def _run_steps(
    request: Request, at: Sitting, commands: list[tuple[str, ...]], *, alone: bool
) -> tuple[Verdict, str]:
    """Run the steps until one does not meet its expectations; the rest would tell nothing."""
    deadline = time.monotonic() + request.scenario.timeout * request.scale
    for step, argv in zip(request.scenario.steps, commands, strict=True):
        left = deadline - time.monotonic()
        if left <= 0:
            limit = request.scenario.timeout * request.scale
            return Verdict.TIMED_OUT, f"the scenario took longer than {limit:g} s"
        limit = min(step.timeout * request.scale, left)
        done = at.run(step, argv, limit=max(1.0, limit), alone=alone)
        name = step.name or f"step {len(at.done)}"
        if done.result.timed_out:
            return Verdict.TIMED_OUT, f"{name} took longer than {limit:g} s"
        if done.result.unmet:
            return Verdict.FAILED, f"{name}: {done.result.unmet[0]}"
        if done.status is None:
            continue  # the trace will tell
        signal = signal_of(done.status) if step.expect.signal else None
        if unmet(step, done.result, None if signal else done.status, signal):
            break
    return Verdict.PASSED, ""


def collect(guest: Guest, under_way: Recording, book: Notebook) -> None:
    """End the recording and take what it holds, and the kernel's messages, into the book.

    Raises:
        GuestError: the guest was lost.
    """
    book.trace, said = under_way.finish(then="dmesg")
    lines = said.decode(errors="backslashreplace").splitlines()
    book.messages = tuple(_STAMP.sub("", line) for line in lines if line.strip())
    paths = book.trace.paths()
    if paths:
        book.abis = elf_classes(guest, ROOTFS, paths)
    results = [*(done.result for done in book.done), *([book.service] if book.service else [])]
    book.cause = too_old.cause(guest, ROOTFS, (result.stderr for result in results))
