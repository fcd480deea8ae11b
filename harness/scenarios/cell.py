"""Run one cell: from a request to an observation, plain data on both sides."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from signal import Signals

from harness.container import capabilities, process
from harness.container.bundle import ROOTFS
from harness.container.filtering import Traits
from harness.container.profiles import Chosen
from harness.container.runtime import ImageFiles, Runtime, RuntimeFailure, mount_image
from harness.errors import GuestError
from harness.guest.apparatus import Apparatus
from harness.guest.guest import Guest
from harness.guest.qemu import Machine
from harness.model import (
    ContainerSpec,
    Environment,
    Failure,
    Image,
    Observation,
    ProcessEnd,
    Scenario,
    Step,
    StepResult,
    Verdict,
)
from harness.results.codec import encode
from harness.scenarios import expect
from harness.scenarios.confine import Confined, confine
from harness.scenarios.requirements import missing
from harness.scenarios.sitting import Done, Setting, Sitting, ended, sitting
from harness.scenarios.survey import Survey
from harness.store import digest_of
from harness.trace.elf import elf_classes
from harness.trace.judge import Evidence, Judge
from harness.trace.operations import Operations
from harness.trace.plan import Plan, plan_for
from harness.trace.recorder import Recording, recording
from harness.trace.records import Trace
from harness.trace.syscalls import Syscalls

_STAMP = re.compile(r"^\[\s*\d+\.\d+\]\s?")
_LAST_SIGNAL = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One cell to run; plain data, so that any process or machine can run it."""

    id: str
    scenario: Scenario
    image: Image
    kernel: str
    machine: Machine
    """With the image's disk in its slot."""
    snapshot: Path | None
    survey: Survey
    chosen: Chosen
    """The seccomp profile."""
    traits: Traits
    """Of the runtime."""
    rootdir: Path
    tools: str
    """Digest of the guest tools."""
    qemu: str
    scale: float = 1.0
    """Time limits are multiplied by this: emulation is slow."""
    traced: bool = True
    log: Path | None = None
    """Where the guest's console goes."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """Tables that are read once a process."""

    syscalls: Syscalls = field(default_factory=Syscalls)
    operations: Operations = field(default_factory=Operations)


@dataclass(slots=True)
class Notebook:
    """What is known of a cell so far, so that a lost guest loses nothing that was seen."""

    started: str
    durations: dict[str, float] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    service: StepResult | None = None
    trace: Trace | None = None
    abis: dict[str, str] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    ways: dict[str, str] = field(default_factory=dict)
    confined: Confined | None = None
    recording: Recording | None = None
    plan: Plan = field(default_factory=Plan)
    files: ImageFiles = field(default_factory=lambda: ImageFiles(passwd="", group=""))

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Note how long the block took."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.durations[name] = round(time.monotonic() - begin, 4)


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
    with armed(request, guest, book, instruments) as under_way:
        return _in_container(request, guest, under_way, book)


@contextmanager
def armed(
    request: Request, guest: Guest, book: Notebook, instruments: Instruments
) -> Iterator[Recording]:
    """Mount the image and record what its container will do, for the block's time.

    Raises:
        ImageError: the image's disk does not mount.
        GuestError: the guest was lost.
    """
    guest.run("dmesg -c >/dev/null")
    with book.timing("mount"):
        book.files = mount_image(guest)
    book.confined = confined(request, instruments)
    book.plan = plan_for(
        request.survey.census.implemented,
        instruments.syscalls.end(),
        refusable=book.confined.refusable,
        conditional=book.confined.conditional,
        drill=request.machine.host.drill,
        ia32=book.files.ia32,
    )
    if not request.traced:
        yield Recording.idle(guest)
        return
    before = time.monotonic()
    with recording(guest, book.plan) as under_way:
        book.recording = under_way
        book.ways.update(under_way.armed.ways or {})
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
    program = f"/usr/bin/{survey.runtime.partition('-')[0]}"
    return Setting(
        image=request.image.config,
        spec=spec,
        engine=spec.engine or host.engine,
        runtime=Runtime(
            name=survey.runtime,
            program=program,
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
        signal = _signal_of(done.status) if step.expect.signal else None
        if _unmet(step, done.result, None if signal else done.status, signal):
            break
    return Verdict.PASSED, ""


def _unmet(step: Step, result: StepResult, exit: int | None, signal: str | None) -> tuple[str, ...]:
    return expect.unmet(step, exit, signal, result.stdout, result.stderr)


def _signal_of(status: int | None) -> str | None:
    """Return the signal that a runtime's status of 128 and more stands for."""
    if status is None or not 128 < status <= 128 + _LAST_SIGNAL:
        return None
    try:
        return Signals(status - 128).name.removeprefix("SIG")
    except ValueError:
        return f"RT{status - 160}"


def collect(guest: Guest, under_way: Recording, book: Notebook) -> None:
    """End the recording and take what it holds, and the kernel's messages, into the book.

    Raises:
        GuestError: the guest was lost.
    """
    book.trace = under_way.finish()
    paths = book.trace.paths()
    if paths:
        book.abis = elf_classes(guest, ROOTFS, paths)
    said = guest.run("dmesg", check=False).stdout.decode(errors="backslashreplace")
    book.messages = tuple(_STAMP.sub("", line) for line in said.splitlines() if line.strip())


def observed(
    request: Request,
    book: Notebook,
    instruments: Instruments,
    verdict: Verdict,
    reason: str,
) -> Observation:
    """Return the observation of a cell, from what is known of it and the verdict so far."""
    failures, ends = _judged(request, book, instruments)
    steps, found = _judged_steps(request, book, ends)
    if verdict is Verdict.PASSED and found:
        verdict, reason = Verdict.FAILED, found
    if verdict is Verdict.PASSED and book.service is not None and book.service.exit:
        verdict = Verdict.FAILED
        reason = f"the service ended with status {book.service.exit} beside the steps"
    if book.service is not None:
        steps = (*steps, book.service)
    trace = book.trace
    notes = [*book.notes, *(book.confined.notes if book.confined else ())]
    if trace is not None and not trace.complete and request.traced and verdict is not Verdict.DIED:
        notes.append("the trace did not come to its end: calls may be missing")
    if trace is not None and trace.dropped:
        notes.append(f"{trace.dropped} calls beyond the harness's bounds were counted, not kept")
    return Observation(
        id=request.id,
        scenario=request.scenario.name,
        file=request.scenario.file,
        image=request.image.name,
        kernel=request.kernel,
        verdict=verdict,
        reason=reason,
        steps=steps,
        failures=failures,
        ends=ends,
        messages=book.messages,
        lost_events=trace.lost if trace is not None else 0,
        traced=bool(book.recording and book.recording.armed.traced),
        notes=tuple(dict.fromkeys(notes)),
        durations=book.durations,
        environment=_environment(request, book),
        scenario_digest=scenario_digest(request.scenario),
        started=book.started,
    )


def scenario_digest(scenario: Scenario) -> str:
    """Return the digest of what a scenario asks for, wherever its file lies."""
    return digest_of(encode(replace(scenario, file="", line=0, known=(), why="")).decode())


def _judged(
    request: Request, book: Notebook, instruments: Instruments
) -> tuple[tuple[Failure, ...], tuple[ProcessEnd, ...]]:
    if book.trace is None or book.recording is None:
        return (), ()
    evidence = Evidence(
        plan=book.plan,
        armed=book.recording.armed,
        implemented={
            abi: frozenset(numbers) for abi, numbers in request.survey.census.implemented.items()
        },
        abis=book.abis,
    )
    judge = Judge(instruments.syscalls, instruments.operations)
    return judge.failures(book.trace, evidence), judge.ends(book.trace, evidence)


def _judged_steps(
    request: Request, book: Notebook, ends: tuple[ProcessEnd, ...]
) -> tuple[tuple[StepResult, ...], str]:
    """Return the steps' results with their expectations judged, and the first unmet one.

    A runtime reports a signal as 128 and more, as a shell does that merely saw one: the trace
    tells the two apart. Without a trace, an expected signal is taken for one.
    """
    by_pid = {end.pid: end for end in ends}
    results = []
    first = ""
    for step, done in zip(request.scenario.steps, book.done, strict=False):
        end = by_pid.get(done.pid) if done.pid is not None else None
        if end is not None and (end.exit is not None or end.signal is not None):
            exit, signal = end.exit, end.signal
        else:
            signal = _signal_of(done.status) if step.expect.signal else None
            exit = None if signal else done.status
        result = ended(done, exit, signal).result
        if not result.timed_out and not result.unmet:
            result = replace(result, unmet=_unmet(step, result, exit, signal))
        results.append(result)
        if result.unmet and not first:
            first = f"{step.name or f'step {len(results)}'}: {result.unmet[0].splitlines()[0]}"
    return tuple(results), first


def _environment(request: Request, book: Notebook) -> Environment:
    host, survey = request.machine.host, request.survey
    spec: ContainerSpec = request.scenario.container
    return Environment(
        kernel=request.kernel,
        release=survey.facts.release,
        kernel_digest=host.kernel.digest,
        kernel_origin=host.kernel.origin,
        qemu=request.qemu,
        accelerator=request.machine.accelerator,
        cpu=host.cpu,
        engine=spec.engine or host.engine,
        runtime=survey.runtime_version,
        runtime_why=survey.runtime_why,
        seccomp=book.confined.title if book.confined else request.chosen.title,
        cgroup=survey.facts.cgroup,
        cmdline=host.cmdline,
        image=request.image.name,
        image_ref=request.image.ref,
        image_digest=request.image.digest,
        tools=request.tools,
        ways=dict(book.ways),
    )
