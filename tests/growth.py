"""Measure a history that has grown for years: ``python tests/growth.py [NIGHTS [CELLS]]``.

Generated nights go through the history's own door, each with all of its observations; what the
retention would have dropped meanwhile is dropped. Then one more night is taken in, compared and
reported, in a process of its own, whose memory is measured.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from observations import KERNELS, environment, failure, observation, redis_broken

from harness.intake import counted
from harness.model.observations import Observation, Verdict
from harness.nights import Night, night_of
from harness.report.nights import markdown, text
from harness.results.exchange import export_history, import_history
from harness.results.history import HISTORY, History
from harness.results.meta import RunMeta
from harness.results.runs import new_run_id

FIRST = datetime(2026, 1, 1, 2, 30, tzinfo=UTC)
KEPT = 30
"""Nights whose observations are kept, as retention has it."""


def cells(night: int, number: int, chance: random.Random) -> Iterator[Observation]:
    """Yield a night's cells: most pass, some are broken for weeks, some flap, some are lost."""
    for place in range(number):
        kernel = KERNELS[place % len(KERNELS)]
        name = f"scenario-{place // len(KERNELS)}"
        on = environment(kernel, "redis", release=f"{kernel}.{night // 30}-cloud-amd64")
        broken = (place + night // 40) % 50 == 0 or (place % 67 == 0 and chance.random() < 0.2)
        made = redis_broken(kernel) if broken else observation(kernel, failures=(failure(),))
        if chance.random() < 0.002:
            made = replace(made, verdict=Verdict.DIED, reason="the guest panicked")
        yield replace(
            made,
            id=f"scenarios/redis.yaml::{name}[redis-{kernel}]",
            file="scenarios/redis.yaml",
            scenario=name,
            image="redis",
            environment=on,
        )


def grow(history: History, nights: int, number: int) -> str:
    """Take in as many nights of as many cells; return the last one's id."""
    chance = random.Random(1)  # noqa: S311 - the same figures every time
    id = ""
    for night in range(nights):
        began = FIRST + timedelta(days=night)
        id = new_run_id(began)
        meta = RunMeta(
            id=id,
            night=True,
            started=began.isoformat(),
            finished=(began + timedelta(hours=2)).isoformat(),
            exit_status=1,
        )
        history.take_in(meta, [counted(each, False) for each in cells(night, number, chance)])
        if night % KEPT == KEPT - 1:
            history.drop_observations(history.nights(KEPT))
    history.drop_observations(history.nights(KEPT))
    return id


@dataclass(frozen=True, slots=True)
class Figure:
    """Seconds of some work, and the peak memory in MiB of the process that did it alone."""

    seconds: float
    memory: float


def measured(work: Callable[[], object]) -> Figure:
    """Do something and return what it took."""
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    # Not getrusage's: that is inherited from whoever started the process.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return Figure(seconds, int(status["VmHWM"].split()[0]) / 1024)


def report(results: Path, run: str) -> Night:
    """Compare a night with those before it, and report it in both ways."""
    with History.open(results) as history:
        night, _ = night_of(history, run)
    text(night)
    markdown(night)
    return night


def listed(results: Path) -> None:
    """List all runs."""
    with History.open(results) as history:
        history.runs()


def exported(results: Path) -> None:
    """Export the whole history."""
    with History.open(results) as history:
        export_history(history, results / "export")


def imported(results: Path) -> None:
    """Import it into an empty one."""
    (results / "other").mkdir()
    with History.open(results / "other") as history:
        import_history(history, results / "export")


def main() -> None:
    """Print the figures."""
    nights, number = (int(word) for word in (*sys.argv[1:], *("1000", "200")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory)
        start = time.perf_counter()
        with History.open(results) as history:
            last = grow(history, nights, number)
        each = (time.perf_counter() - start) / nights
        size = (results / HISTORY).stat().st_size / 1e6
        said = f"{nights} nights x {number} cells: {size:.1f} MB, {each:.2f} s to take in a night"
        sys.stdout.write(f"{said}\n")
        for name, work in (
            ("compare and report a night", partial(report, results, last)),
            ("list all runs", partial(listed, results)),
            ("export", partial(exported, results)),
            ("import into an empty history", partial(imported, results)),
        ):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                figure = pool.apply(measured, (work,))
            sys.stdout.write(f"{name}: {figure.seconds:.2f} s, {figure.memory:.0f} MiB at most\n")


if __name__ == "__main__":
    main()
