"""One night: pytest in a process of its own, the comparison, the reports, the retention."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from harness import process
from harness.errors import HarnessError, StoreError, UsageError
from harness.findings import Comparison
from harness.intake import take_in_missing
from harness.model.causes import KnownCause
from harness.model.observations import Verdict
from harness.nights import WINDOW, Night, has_new, night_of
from harness.progress import Progress
from harness.report import contents, files
from harness.report import nights as reporting
from harness.report.plain import plural
from harness.results.codec import encode
from harness.results.files import write_whole
from harness.results.history import COMPLETED, History
from harness.results.meta import RunRef
from harness.results.retention import KEEP_DAYS, drop_runs
from harness.results.runs import RunDir, find_runs, load_comparison, load_run, make_results
from harness.store import Store
from harness.trace import since

NEW_BREAKAGE = 1
COULD_NOT_RUN = 2
NIGHT = "night.json"
SUMMARY = "night.md"
_LOCK = ".nightly.lock"
PYTEST = (sys.executable, "-m", "pytest")
_LIMIT = 23 * 3600.0
"""Seconds: a night that takes longer would meet the next."""
_GRACE = 60.0
"""Seconds that pytest has to end its guests and to write down what it has."""
_DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a night is to do."""

    results: Path
    store: Store
    arguments: Sequence[str] = ()
    """pytest's."""
    causes: Sequence[KnownCause] = ()
    allow_missing: bool = False
    """Kernels that cannot be had do not turn the status."""
    fail_on: Collection[str] = ()
    """What turns the status when it is new: of :data:`harness.nights.NEWS`."""
    window: int = WINDOW
    keep_days: float = KEEP_DAYS


def run_night(plan: Plan, progress: Progress) -> tuple[int, str]:
    """Run a night and return its exit status and its report.

    Raises:
        HarnessError: it could not run, or did not come to its end. What ran is recorded.
    """
    make_results(plan.results)
    lock = FileLock(plan.results / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"another night is under way in {plan.results}") from error
    except OSError as error:
        raise StoreError(f"cannot lock {plan.results}: {error.strerror}") from error
    try:
        return _run(plan, progress)
    finally:
        lock.release()


def _run(plan: Plan, progress: Progress) -> tuple[int, str]:
    # A history that cannot be used is told before hours are spent.
    with History.open(plan.results) as history:
        take_in_missing(history, plan.results)
    ref = _pytest(plan)
    with History.open(plan.results) as history:
        for problem in take_in_missing(history, plan.results).problems:
            progress.say(problem)
        night, comparison = night_of(
            history,
            ref.path.name,
            window=plan.window,
            since=since.load(),
            causes=plan.causes,
        )
        history.add_findings(night.run, comparison.findings)
    status, why = _status(plan, night, ref)
    _write(ref.path, night, comparison)
    _sweep(plan, progress)
    report = reporting.text(night)
    return status, f"{report}\n{why}\n" if why else report


def _pytest(plan: Plan) -> RunRef:
    """Run pytest and return the run that it recorded."""
    before = {ref.path.name for ref in find_runs(plan.results)}
    words = [*PYTEST, "--night", f"--results={plan.results.absolute()}"]
    words += ["--allow-missing-kernels"] if plan.allow_missing else []
    status = process.attend([*words, *plan.arguments], limit=_LIMIT, grace=_GRACE)
    fresh = [
        ref
        for ref in find_runs(plan.results)
        if ref.path.name not in before and ref.meta is not None and ref.meta.night
    ]
    if not fresh:
        raise HarnessError(f"pytest ended with status {status} and recorded no run")
    ref = fresh[-1]
    if status not in COMPLETED or not ref.completed:
        raise HarnessError(
            f"pytest ended with status {status}: the night did not come to its end and is not "
            f"compared; what ran is recorded in {ref.path}"
        )
    return ref


def _write(path: Path, night: Night, comparison: Comparison) -> None:
    """Write the night's reports, and the run's own anew where it is compared with nothing else."""
    write_whole(path / NIGHT, encode(night))
    write_whole(path / SUMMARY, reporting.markdown(night).encode())
    if load_comparison(path) is not None:
        return
    RunDir(path).write_comparison(comparison)
    report = contents.load(path)
    for form in files.Format:
        if files.place(path, form).exists():
            files.write(report, form)


def _status(plan: Plan, night: Night, ref: RunRef) -> tuple[int, str]:
    if night.lost:
        return COULD_NOT_RUN, "guests were lost: of their cells nothing was learnt"
    if night.unavailable and not plan.allow_missing:
        return COULD_NOT_RUN, (
            "kernels or images could not be had; --allow-missing-kernels lets that of kernels pass"
        )
    if any(
        one.verdict is Verdict.UNAVAILABLE and not one.kernel_missing
        for one in load_run(ref.path).observations
    ):
        return COULD_NOT_RUN, "images could not be had"
    if ref.meta is not None and ref.meta.failed_besides:
        return COULD_NOT_RUN, (
            f"{plural(ref.meta.failed_besides, 'test')} failed besides the cells, see above: "
            "whether that is new is not known"
        )
    return (NEW_BREAKAGE if has_new(night, plan.fail_on) else 0), ""


def _sweep(plan: Plan, progress: Progress) -> None:
    """Apply the retention; what keeps it from that is said, and is no reason to fail a night."""
    try:
        with History.open(plan.results) as history:
            gone = drop_runs(plan.results, history, plan.keep_days, datetime.now(UTC))
        entries = plan.store.gc(plan.keep_days * _DAY)
    except HarnessError as error:
        progress.say(str(error))
        return
    if gone or entries:
        progress.say(
            f"older than {plan.keep_days:g} days: removed {len(gone)} runs, and "
            f"{len(entries)} entries of the store"
        )
