"""What tracing costs: loops of system calls with it, without it, and under strace."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.bench.figures import Figures, ratio, spread
from harness.errors import GuestError
from harness.images.catalog import ImageEntry, Recipe
from harness.laboratory import Laboratory
from harness.model.hosts import Accelerator, HostEntry
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Scenario, Step

IMAGE = ImageEntry(
    name="benchmark",
    source=Recipe(suite="trixie", packages=("perl", "redis-server", "redis-tools", "strace")),
)
"""The image that the loops run in."""
ROUNDS = 5
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
        command="redis-benchmark -q -t set,get -n 5000 >/dev/null",
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
    """Time a loop with tracing and without, in turn, and under strace where that is asked for.

    Under emulation the instructions are counted as well, once with tracing and once without.

    Raises:
        GuestError: the loop did not run.
    """
    words = _words(loop)
    plain, under = (
        Step(name=loop.name, run=run, timeout=_LIMIT) for run in (words, (*_STRACE, *words))
    )
    took: dict[str, list[float]] = {"off": [], "on": []}
    if loop.strace:
        took["strace"] = []
    for _ in range(repeat):
        took["off"].append(_best(observed(lab, entry, plain, traced=False)))
        took["on"].append(_best(observed(lab, entry, plain)))
        if loop.strace:
            took["strace"].append(_best(observed(lab, entry, under, traced=False)))
    figures: Figures = {name: spread(seconds) for name, seconds in took.items()}
    figures["ratio"] = ratio(took["on"], took["off"])
    if loop.strace:
        figures["strace_ratio"] = ratio(took["strace"], took["off"])
    if lab.ready(entry).machine.accelerator is Accelerator.TCG:
        on = _best(observed(lab, entry, plain, counted=True))
        off = _best(observed(lab, entry, plain, traced=False, counted=True))
        figures["instructions"] = round(on / off, 4)
    return figures


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


def _words(loop: Loop) -> tuple[str, ...]:
    """Return what runs the command ROUNDS times and says how long each took."""
    text = f"""system($ARGV[0]) == 0 or exit 1; for (1..{ROUNDS}) {{ $begin = time;
system($ARGV[1]); printf qq(took %.4f s\n), time - $begin }}"""
    return ("perl", "-MTime::HiRes=time", "-e", text, loop.before, loop.command)


def _best(seen: Observation) -> float:
    """Return the shortest of the loop's rounds, by the guest's clock: the least disturbed one."""
    took = [float(text) for text in _TOOK.findall(seen.steps[0].stdout)]
    if len(took) != ROUNDS:
        raise GuestError(f"the loop says {seen.steps[0].stdout!r} instead of its times")
    return min(took)
