"""An observation, made from what was noted of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from signal import Signals

from harness.kernels import drill
from harness.model.observations import (
    Environment,
    Failure,
    Observation,
    ProcessEnd,
    StepResult,
    Verdict,
)
from harness.model.scenarios import ContainerSpec, Scenario, Step
from harness.results.codec import encode
from harness.scenarios import expect
from harness.scenarios.request import Instruments, Notebook, Request
from harness.scenarios.sitting import ended
from harness.scenarios.survey import Survey
from harness.store import digest_of
from harness.trace.judge import Evidence, Judge

_LAST_SIGNAL = 64


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
    traced = bool(book.recording and book.recording.armed.traced)
    if trace is not None and not trace.complete and traced and verdict is not Verdict.DIED:
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
        cause=book.cause if verdict is Verdict.FAILED else "",
        steps=steps,
        failures=failures,
        ends=ends,
        messages=book.messages,
        lost_events=trace.lost if trace is not None else 0,
        traced=traced,
        notes=tuple(dict.fromkeys(notes)),
        durations=book.durations,
        environment=_environment(request, book),
        scenario_digest=scenario_digest(request.scenario),
        normalise=request.scenario.normalise,
        started=book.started,
    )


def scenario_digest(scenario: Scenario) -> str:
    """Return the digest of what a scenario asks for, wherever its file lies."""
    asked = replace(scenario, file="", line=0, known=(), normalise=(), why="")
    return digest_of(encode(asked, defaults=False).decode())


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
    tells the two apart. Where it tells something else (its events may be lost) or nothing, the
    runtime is believed, and an expected signal taken for one.
    """
    by_pid = {end.pid: end for end in ends}
    results = []
    first = ""
    for step, done in zip(request.scenario.steps, book.done, strict=False):
        end = by_pid.get(done.pid) if done.pid is not None else None
        if end is not None and agrees(end, done.status):
            exit, signal = end.exit, end.signal
        else:
            signal = signal_of(done.status) if step.expect.signal else None
            exit = None if signal else done.status
        result = ended(done, exit, signal).result
        if not result.timed_out and not result.unmet:
            result = replace(result, unmet=unmet(step, result, exit, signal))
        results.append(result)
        if result.unmet and not first:
            first = f"{step.name or f'step {len(results)}'}: {result.unmet[0].splitlines()[0]}"
    return tuple(results), first


def agrees(end: ProcessEnd, status: int | None) -> bool:
    """Tell whether a process's end by the trace is one that a runtime gives this status of."""
    if end.signal is not None:
        return status is None or end.signal == signal_of(status)
    return end.exit is not None and status in (None, end.exit)


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
        cgroup=survey.facts.cgroup.value,
        cmdline=host.cmdline,
        image=request.image.name,
        image_ref=request.image.ref,
        image_digest=request.image.digest,
        tools=request.tools,
        sysctl=in_force(host.sysctl, survey) | spec.sysctls,
        ways={"census": survey.census.ways.get("x86_64", "none"), **book.ways},
        drill=drill.describe(host),
    )


def in_force(sysctl: Mapping[str, str], survey: Survey) -> dict[str, str]:
    """Return which of a host's sysctls its kernel took, and that it allows no user namespaces.

    RHEL 7's kernel starts with user.max_user_namespaces at 0, later ones with thousands.
    """
    facts = survey.facts
    none_allowed = "user" in facts.namespaces and not facts.user_namespaces
    own = {"user.max_user_namespaces": "0"} if none_allowed else {}
    return own | {k: v for k, v in sysctl.items() if k not in survey.refused_sysctls}


def unmet(step: Step, result: StepResult, exit: int | None, signal: str | None) -> tuple[str, ...]:
    """Return the expectations that a step did not meet, one sentence each."""
    return expect.unmet(step, exit, signal, result.stdout, result.stderr)


def signal_of(status: int | None) -> str | None:
    """Return the signal that a runtime's status of 128 and more stands for."""
    if status is None or not 128 < status <= 128 + _LAST_SIGNAL:
        return None
    try:
        return Signals(status - 128).name.removeprefix("SIG")
    except ValueError:
        return f"RT{status - 160}"
