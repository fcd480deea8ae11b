"""What a failing cell shows: enough to see why, and where to look on."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.explanations import Explanation
from harness.model.observations import Failure, Observation, ProcessEnd, StepResult, Verdict
from harness.report.explained import first_line, paragraph
from harness.report.plain import clean, clean_lines, plural, shortened
from harness.report.sentences import ORIGINS
from harness.verdicts.cause import refused
from harness.verdicts.outcome import outcome_of
from harness.verdicts.processes import calls_of, failed_processes

_WIDTH = 160
"""Characters of a line of output that are shown."""
_STDERR_LINES = 15
_STDOUT_LINES = 10
_SCRIPT_LINES = 8
_CONSOLE_LINES = 20
_MESSAGES = 10
_CALLS = 6
_PROCESSES = 4
_PARAGRAPH = 96
"""Columns of a paragraph."""
_LOST = (Verdict.DIED, Verdict.TIMED_OUT)


def failure_text(
    observation: Observation, explanation: Explanation, cell_file: Path | None = None
) -> str:
    """Return what there is to say of a cell that did not pass, without colours.

    What is known of why comes first. The first step that failed comes whole, others with what
    they did not meet; then the processes that failed, the first with the system calls that
    failed in it, and what is known of the guest when it was lost. ``cell_file`` is where the
    observation was written.
    """
    why = paragraph(explanation)
    blocks = (
        _head(observation, why),
        ["", "why:", *wrapped(why, _PARAGRAPH, "  ")],
        _steps(observation),
        _processes(observation),
        _section("new kernel messages", _tail(observation.messages, _MESSAGES)),
        _console(observation),
        _where_next(observation, cell_file),
    )
    return "\n".join(line for block in blocks for line in block)


def _head(observation: Observation, why: str) -> Iterator[str]:
    environment = observation.environment
    release = f" ({clean(environment.release)})" if environment is not None else ""
    words = outcome_of(observation).text
    yield (
        f"{clean(observation.scenario)} in {clean(observation.image)} "
        f"on {clean(observation.kernel)}{release}: {words}"
    )
    said = [sentence for step in observation.steps for sentence in step.unmet]
    more = len(observation.reason.strip().splitlines()) > 1
    told = (first_line(observation.reason) in why and not more) or any(
        sentence in observation.reason for sentence in said
    )
    if not told:
        yield from (f"  {line}" for line in clean_lines(observation.reason))


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return a paragraph's lines, made safe to show; a long word is left whole."""
    return textwrap.wrap(
        clean(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


# --- steps ------------------------------------------------------------------------------


def _steps(observation: Observation) -> Iterator[str]:
    steps = observation.steps
    bad = [(number, step) for number, step in enumerate(steps, 1) if step.unmet or step.timed_out]
    if not bad and observation.verdict in _LOST and steps:
        bad = [(len(steps), steps[-1])]
    for place, (number, step) in enumerate(bad):
        yield ""
        yield f"step {number} of {len(steps)}{f' ({clean(step.name)})' if step.name else ''}:"
        yield from _command(step.argv)
        yield f"  {ending(step)}"
        for sentence in step.unmet:
            first, *more = clean_lines(sentence)
            yield from (f"  - {first}", *(f"    {line}" for line in more))
        if place == 0:
            yield from _output("stderr", step.stderr, step.stderr_dropped, _STDERR_LINES)
            yield from _output("stdout", step.stdout, step.stdout_dropped, _STDOUT_LINES)


def typed(argv: tuple[str, ...]) -> list[str]:
    """Return a command's lines as one would type them: a shell's script, else the words."""
    script = len(argv) == 3 and argv[:2] == ("sh", "-c")
    return clean_lines(argv[2]) if script else [clean(shlex.join(argv))]


def _command(argv: tuple[str, ...]) -> Iterator[str]:
    lines = typed(argv)
    for number, line in enumerate(lines[:_SCRIPT_LINES]):
        yield f"  {' ' if number else '$'} {shortened(line, _WIDTH)}"
    if len(lines) > _SCRIPT_LINES:
        yield f"    ({len(lines) - _SCRIPT_LINES} lines more)"


def ending(step: StepResult) -> str:
    """Return how a step ended and when."""
    took = f"after {step.seconds:.2f} s"
    if step.timed_out:
        return f"did not end within its time limit, and was ended {took}"
    return f"{how(step.exit, step.signal)} {took}"


def how(exit_status: int | None, signal: str | None) -> str:
    """Return how a process ended; the signal's name is made safe to show."""
    if signal is not None:
        return f"killed by SIG{clean(signal).removeprefix('SIG')}"
    return "did not end" if exit_status is None else f"ended with status {exit_status}"


def _output(name: str, text: str, dropped: int, limit: int) -> Iterator[str]:
    if not text.strip() and not dropped:
        return
    lines = clean_lines(text)
    cut = [f"last {limit} of {len(lines)} lines"] if len(lines) > limit else []
    if dropped:
        cut.append(f"{plural(dropped, 'byte')} more were not kept")
    remark = f" ({', '.join(cut)})" if cut else ""
    yield f"  {name}{remark}:"
    yield from (f"    | {shortened(line, _WIDTH)}" for line in lines[-limit:])


# --- processes and calls ----------------------------------------------------------------


def _processes(observation: Observation) -> Iterator[str]:
    ends = failed_processes(observation)
    if not ends:
        return
    first, *others = ends
    yield ""
    yield f"first process to fail: {_process(first)}"
    calls = calls_of(observation, first)
    if first.last_failure:
        yield f"  last call that failed in it: {clean(first.last_failure)}"
    if calls:
        yield f"  failing calls of {clean(first.program)}, the latest last:"
        yield from (f"    {_call(call)}" for call in _chosen(calls))
    for end in others[: _PROCESSES - 1]:
        yield f"then: {_process(end)}{_last(end)}"
    if len(others) >= _PROCESSES:
        yield f"then {len(others) - _PROCESSES + 1} more"


def _process(end: ProcessEnd) -> str:
    path = f" ({clean(end.path)})" if end.path else ""
    ended = how(end.exit, end.signal)
    return f"{clean(end.program)}{path}, pid {end.pid}, {ended} at {end.offset:.2f} s"


def _last(end: ProcessEnd) -> str:
    return f", last failing call {clean(end.last_failure)}" if end.last_failure else ""


def _chosen(calls: tuple[Failure, ...]) -> tuple[Failure, ...]:
    """Return the latest calls; refused ones push out those that merely failed."""
    telling = [call for call in calls if refused(call)]
    other = [call for call in calls if call not in telling]
    room = max(_CALLS - len(telling), 0)
    chosen = [*telling[-_CALLS:], *(other[-room:] if room else [])]
    return tuple(sorted(chosen, key=lambda call: call.offset))


def _call(call: Failure) -> str:
    operation = f"({clean(call.operation)})" if call.operation else ""
    times = f", {call.count} times" if call.count > 1 else ""
    why = f": {ORIGINS[call.origin]}" if refused(call) and ORIGINS[call.origin] else ""
    return f"{clean(call.name)}{operation} {clean(call.errno)}{times}{why}"


# --- the guest, and where to go from here -----------------------------------------------


def _console(observation: Observation) -> Iterator[str]:
    if observation.verdict not in _LOST:
        return iter(())
    return _section("the guest's console said last", _tail(observation.console, _CONSOLE_LINES))


def _where_next(observation: Observation, cell_file: Path | None) -> Iterator[str]:
    yield ""
    if cell_file is not None:
        yield f"recorded in {clean(str(cell_file))}"
    words = ["harness", "kernels", "shell", observation.kernel, "--image", observation.image]
    yield f"look yourself: {clean(shlex.join(words))}"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    shown = [shortened(clean(line), _WIDTH) for line in lines]
    if not shown:
        return
    yield ""
    yield f"{title}:"
    yield from (f"  | {line}" for line in shown)


def _tail(lines: tuple[str, ...], limit: int) -> tuple[str, ...]:
    return lines[-limit:]
