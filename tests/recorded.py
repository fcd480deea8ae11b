"""Runs on disk for tests of what reads them, small and large."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from observations import RELEASES, end, environment, failure, observation, redis_broken, step

from harness.findings import Cause, Comparison, Difference, Field, Finding, Kind, Side
from harness.model.observations import Observation, Origin, Verdict
from harness.results.meta import KernelFacts, RunMeta
from harness.results.runs import RunDir

NASTY = "</script><script>alert(1)</script><!-- ]]> <img src=x onerror=alert(2)> \x1b[31m\u202etxt"
"""What an output may hold: markup, the end of a CDATA section, escapes, an override."""
OLD = KernelFacts(
    name="5.10",
    release=RELEASES["5.10"],
    origin="apt bullseye",
    digest="5" * 64,
    syscalls={"x86_64": 347, "i386": 420},
    missing={"x86_64": ("uselib", "landlock_create_ruleset", "fchmodat2"), "i386": ("fchmodat2",)},
)
NEW = KernelFacts(
    name="latest",
    release=RELEASES["latest"],
    origin="apt trixie-backports",
    digest="7" * 64,
    syscalls={"x86_64": 349},
    missing={"x86_64": ("uselib",)},
)


def record(
    results: Path,
    observations: Iterable[Observation],
    comparison: Comparison | None = None,
    *,
    finished: bool = True,
    status: int = 1,
    **facts: Any,
) -> Path:
    """Record a run as a session does and return its directory."""
    meta = RunMeta(accelerator="tcg", harness="0.1.0", kernels=(NEW, OLD))
    run = RunDir.create(results, meta)
    for one in observations:
        run.write_cell(one)
    if comparison is not None:
        run.write_comparison(comparison)
    meta = replace(run.read_meta(), **facts)
    if finished:
        run.finish(meta, {}, status)
    else:
        run.write_meta(meta)
    return run.path


def compared(before: Observation, after: Observation) -> Comparison:
    """Return a comparison of two cells with one of everything."""
    call: dict[str, Any] = {
        "syscall": "epoll_pwait2",
        "errno": "ENOSYS",
        "program": "redis-cli",
        "origin": Origin.KERNEL,
    }
    text = "".join(f"line {number}\n" for number in range(30))
    return Comparison(
        title=f"{before.kernel} against {after.kernel}",
        findings=(
            Finding(
                scenario=after.scenario,
                file=after.file,
                image=after.image,
                kind=Kind.BROKEN,
                before=Side(run="", cell=before.id, kernel=before.kernel),
                after=Side(run="", cell=after.id, kernel=after.kernel),
                cause=Cause(**call, since="5.11", evidence=("redis-cli ended with status 1",)),
                differences=(
                    Difference(field=Field.EXIT, step=1, before="0", after="1"),
                    Difference(field=Field.ENOSYS, step=1, after="ENOSYS", coped=False, **call),
                    Difference(
                        field=Field.STDOUT,
                        step=1,
                        before=text,
                        after=text.replace("line 7\n", f"line seven {NASTY}\n"),
                    ),
                ),
                known=(Difference(field=Field.STDERR, before="a", after="b", known="bug | 7"),),
                noise=(Difference(field=Field.MESSAGES, before="tick", after="tock"),),
                stale=("no longer so",),
                unlike=("the images' digests differ",),
            ),
        ),
        unmatched=("redis, other on 6.1: there is nothing to compare it with",),
    )


def nasty() -> tuple[Observation, ...]:
    """Return cells whose every text is hostile."""
    broken = redis_broken(
        reason=f"step 1: {NASTY}",
        messages=(NASTY, "oops"),
        notes=(NASTY,),
        console=(NASTY,),
        environment=environment("5.10", runtime=NASTY, kernel_origin=NASTY),
    )
    steps = tuple(
        replace(one, name=NASTY, stdout=NASTY + "\n\n" + NASTY, argv=("sh", "-c", NASTY))
        for one in broken.steps
    )
    calls = tuple(replace(call, program=NASTY, remark=NASTY) for call in broken.failures)
    hostile: dict[str, Any] = {"scenario": NASTY, "image": "<b>image|`", "file": f"{NASTY}.yaml"}
    broken = replace(broken, steps=steps, failures=calls, **hostile)
    return (broken, redis_broken("latest", verdict=Verdict.PASSED))


def many(cells: int, kernels: int = 10) -> Iterator[Observation]:
    """Yield cells as large as real ones, no two with the same output."""
    chance = random.Random(4)  # noqa: S311 - no secret
    names = [f"{number}.{number}" for number in range(kernels)]
    programs = [f"program-{number}" for number in range(12)]
    for number in range(cells):
        row, kernel = divmod(number, kernels)
        lines = (f"{chance.random()} of {number}\n" for _ in range(60))
        calls = tuple(
            failure(
                f"call_{place}",
                place,
                program=chance.choice(programs),
                errno="ENOSYS" if place == 5 and row % 5 == 0 else "ENOENT",
                origin=Origin.KERNEL if place == 5 else Origin.OTHER,
                count=chance.randrange(1, 500),
                pid=place,
            )
            for place in range(70)
        )
        bad = chance.random() < 0.05
        yield observation(
            names[kernel],
            f"scenario-{row % 12}",
            f"image-{row // 12}",
            Verdict.FAILED if bad else Verdict.PASSED,
            reason="step 1: exit status is 1, expected 0" if bad else "",
            steps=(step(stdout="".join(lines), stderr=f"warning {chance.random()}\n" * 9),),
            failures=calls,
            ends=tuple(end(place, program=chance.choice(programs)) for place in range(40)),
            messages=(f"a message {chance.random()}",),
        )
