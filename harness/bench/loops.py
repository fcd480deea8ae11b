"""What tracing costs: loops of system calls with it, without it, and under strace."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from harness.bench.figures import Figures, ratio, spread
from harness.errors import GuestError
from harness.images.catalog import ImageEntry, Recipe
from harness.laboratory import Laboratory
from harness.model.hosts import Accelerator, HostEntry
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Scenario, Step
from harness.scenarios.held import held
from harness.scenarios.request import Notebook
from harness.trace.recorder import disarm, recording

IMAGE = ImageEntry(
    name="benchmark",
    source=Recipe(suite="trixie", packages=("perl", "redis-server", "redis-tools", "strace")),
)
"""The image that the loops run in."""
ROUNDS = 5
TURNS, IN_A_ROW = 3, 3
"""How often both ways take turns in a guest, and the rounds of each: what a recording's beginning
costs by itself is in the first of them, and the shortest counts."""
_TOOK = re.compile(r"took ([0-9.]+) s")
_LIMIT = 300.0
_STRACE = ("strace", "-f", "-qq", "-o", "/dev/null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A command of the shell; ``before`` is run once, ahead of the rounds that are timed."""

    name: str
    command: str
    before: str = "true"
    strace: bool = False
    """Whether it is run under strace as well."""


LOOPS = (
    Loop(name="archive", command="tar -cf - /etc /usr/share 2>&1 | cat >/dev/null", strace=True),
    Loop(
        name="redis",
        command="redis-benchmark -q -t set,get -n 2000 >/dev/null",
        before="redis-server --daemonize yes --save '' >/dev/null"
        " && until redis-cli ping >/dev/null; do sleep 0.1; done",
        strace=True,
    ),
    Loop(name="files", command="find / -xdev -newermt 2100-01-01"),
    Loop(name="calls", command="dd if=/dev/zero of=/dev/null bs=1 count=50000 2>&1"),
)
"""Every small file of the image opened, read and closed; requests to a server by 50 clients;
every file only looked at; and calls that do nothing, the worst that a program can do."""


def tracing(lab: Laboratory, entry: HostEntry, loop: Loop, repeat: int) -> Figures:
    """Time a loop without tracing and with it, and under strace where that is asked for.

    Under emulation the instructions are counted as well, once with tracing and once without.

    Raises:
        HarnessError: the loop did not run.
    """
    took = [_took(lab, entry, loop) for _ in range(repeat)]
    seconds = {name: [one[name] for one in took] for name in took[0]}
    if loop.strace:
        seconds["strace"] = [
            _in_a_cell(lab, entry, loop, *_STRACE, traced=False) for _ in range(repeat)
        ]
    figures: Figures = {name: spread(found) for name, found in seconds.items()}
    figures["ratio"] = ratio(seconds["on"], seconds["off"])
    if loop.strace:
        figures["strace_ratio"] = ratio(seconds["strace"], seconds["off"])
    if lab.ready(entry).machine.accelerator is Accelerator.TCG:
        on, off = (
            _in_a_cell(lab, entry, loop, traced=traced, counted=True) for traced in (True, False)
        )
        figures["instructions"] = round(on / off, 4)
    return figures


def _took(lab: Laboratory, entry: HostEntry, loop: Loop) -> dict[str, float]:
    """Return the shortest of a loop's rounds each way, in turn in one guest that boots from cold.

    What lies where in its memory is another's after each boot, and makes more difference than
    tracing does; a snapshot's guests would all share one such chance.
    """
    asked = replace(lab.request_for_shell(entry, IMAGE.name), traced=False, snapshot=None)
    book = Notebook(started="")
    took: dict[str, list[float]] = {"off": [], "on": []}
    with lab.place(), held(asked, lab.assembly.apparatus, lab.instruments, book) as here:

        def run(words: str | tuple[str, ...]) -> str:
            done = here.run(words, timeout=_LIMIT)
            if done.exit:
                raise GuestError(f"{loop.name} ended with {done.exit}: {done.stderr.strip()}")
            return done.stdout

        run(loop.before)
        words = _words(loop.command, IN_A_ROW)
        for _ in range(TURNS):
            took["off"] += _seconds(run(words), IN_A_ROW)
            with recording(here.guest, book.plan):
                took["on"] += _seconds(run(words), IN_A_ROW)
            disarm(here.guest)
    return {way: min(rounds) for way, rounds in took.items()}


def _in_a_cell(
    lab: Laboratory,
    entry: HostEntry,
    loop: Loop,
    *prefix: str,
    traced: bool,
    counted: bool = False,
) -> float:
    """Return the shortest of a loop's rounds in a cell of its own."""
    words = (*prefix, *_words(loop.command, ROUNDS, loop.before))
    step = Step(name=loop.name, run=words, timeout=_LIMIT)
    seen = observed(lab, entry, step, traced=traced, counted=counted)
    return min(_seconds(seen.steps[0].stdout, ROUNDS))


def observed(
    lab: Laboratory,
    entry: HostEntry,
    step: Step,
    image: str = IMAGE.name,
    *,
    traced: bool = True,
    counted: bool = False,
) -> Observation:
    """Run a step in a cell of its own.

    Raises:
        GuestError: it did not pass.
    """
    scenario = Scenario(name="bench", file="", line=0, images=(image,), steps=(step,))
    id = f"bench[{entry.name}-{step.name}]"
    seen = lab.observe(id, scenario, image, entry, None, traced=traced, counted=counted)
    if seen.verdict is not Verdict.PASSED:
        raise GuestError(f"{step.name} in {image}: {seen.verdict}: {seen.reason}")
    return seen


def _words(command: str, rounds: int, before: str = "true") -> tuple[str, ...]:
    """Return what runs the command some times and says how long each took."""
    text = f"""system($ARGV[0]) == 0 or exit 1; for (1..{rounds}) {{ $begin = time;
system($ARGV[1]); printf qq(took %.4f s\n), time - $begin }}"""
    return ("perl", "-MTime::HiRes=time", "-e", text, before, command)


def _seconds(said: str, rounds: int) -> list[float]:
    """Return how long each round took, by the guest's clock."""
    took = [float(text) for text in _TOOK.findall(said)]
    if len(took) != rounds:
        raise GuestError(f"the loop says {said!r} instead of its times")
    return took
