"""Guests and containers of Python tests, and what is observed of them.

A test is a cell once it starts a guest: its outcome is the verdict, and all that its guests
and containers did is written to the run and shown in the matrix beside the scenarios.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import pytest

from harness.errors import GuestError, HarnessError, UsageError
from harness.guest.guest import Guest
from harness.laboratory import not_run, unavailable
from harness.model import scenarios
from harness.model.hosts import HostEntry
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Scenario
from harness.plugin.record import BARE
from harness.plugin.reports import attach, cell_report, facts
from harness.plugin.session import Session, session_of
from harness.report.failure import failure_text
from harness.report.plain import clean
from harness.scenarios.held import COMMAND_TIMEOUT, Held, Result, held, scenario_of
from harness.scenarios.load import relative_name
from harness.scenarios.observed import observed
from harness.scenarios.request import Notebook, Request
from harness.scenarios.requirements import missing
from harness.verdicts.known import Judgement
from harness.verdicts.outcome import Known, outcome

T = TypeVar("T")

_BAD = (Verdict.FAILED, Verdict.DIED, Verdict.TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel that a test runs on."""

    entry: HostEntry
    session: Session

    @property
    def name(self) -> str:
        """Its name in the catalog."""
        return self.entry.name

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags in the catalog."""
        return self.entry.tags

    @property
    def release(self) -> str:
        """What the running kernel calls itself, once a guest ran; before, what is locked."""
        known = self.session.kernel_facts(self.entry).release
        lock = self.session.assembly.locks.get(self.entry.name)
        return known or (lock.release if lock else "")

    def __str__(self) -> str:
        return self.name


class Container:
    """A container in a guest of its own, as a test sees it."""

    def __init__(self, part: Part, kernel: Kernel) -> None:
        self.kernel = kernel
        self._part = part

    @property
    def image(self) -> str:
        """The image's name."""
        return self._part.image

    @property
    def guest(self) -> Guest:
        """The guest around the container."""
        return self._part.here.guest

    def run(
        self, command: str | Sequence[str], *, stdin: str = "", timeout: float = COMMAND_TIMEOUT
    ) -> Result:
        """Run a command (a string for ``sh -c``) to its end, beside the first process.

        ``timeout`` is in seconds and is multiplied under emulation, as a scenario's are.

        Raises:
            HarnessError: it did not end in time, could not be run, or the guest was lost.
        """
        __tracebackhide__ = True
        return _plainly(lambda: self._part.here.run(command, stdin=stdin, timeout=timeout))

    def observation(self) -> Observation:
        """End the recording and return all that was observed; no command can run after it."""
        return self._part.here.observation()


@dataclass(slots=True)
class Part:
    """One guest of a test."""

    id: str
    scenario: Scenario
    image: str
    entry: HostEntry
    book: Notebook
    request: Request | None = None
    held: Held | None = None
    error: HarnessError | None = None
    """Why it could not be had or did not start."""
    verdict: Verdict | None = None
    """What the error means, where it is not the test's outcome."""

    @property
    def here(self) -> Held:
        """The guest and its container."""
        if self.held is None:
            raise UsageError("there is no guest: it did not start")
        return self.held


class Bench:
    """All guests of one Python test; they share one place among those that run at once."""

    def __init__(self, item: pytest.Function, kernel: Kernel) -> None:
        self.item = item
        self.kernel = kernel
        self.session = session_of(item.config)
        self.parts: list[Part] = []
        self.concluded = False
        self._stack = ExitStack()
        self._placed = False

    def guest(self) -> Guest:
        """Start a guest without a container."""
        __tracebackhide__ = True
        part = self._start("", self._scenario("", {}))
        return part.here.guest

    def container(self, default: str, name: str | None, keys: dict[str, Any]) -> Container:
        """Start a guest with a container of an image; ``default`` is the marker's."""
        __tracebackhide__ = True

        def describe() -> tuple[str, Scenario]:
            image = name or default
            if not image:
                raise UsageError(
                    "container(): no image: name one, or mark the test with image(NAME)"
                )
            images = self.session.laboratory.images
            if image not in images:
                known = ", ".join(sorted(images))
                raise UsageError(f"container(): unknown image {image!r}; known: {known}")
            return image, self._scenario(image, keys)

        return Container(self._start(*_plainly(describe)), self.kernel)

    def _scenario(self, image: str, keys: dict[str, Any]) -> Scenario:
        line = self.item.location[1]
        file = relative_name(self.item.path, self.item.config.rootpath)
        found = scenario_of(
            self._name(image),
            image or "none",
            keys,
            path=self.item.path,
            line=(line or 0) + 1,
            rootdir=self.item.config.rootpath,
        )
        return replace(found, file=file, images=(image,) if image else ())

    def _name(self, image: str) -> str:
        """Return the test's name without the image and the kernel, which the matrix shows."""
        name = self.item.nodeid.partition("::")[2].partition("[")[0]
        ours = "-".join(filter(None, (default_image(self.item), self.kernel.name)))
        rest = self.item.callspec.id.removeprefix(ours).strip("-")
        before = sum(part.image == image for part in self.parts)
        again = f" ({before + 1})" if before else ""
        return f"{name}[{rest}]{again}" if rest else f"{name}{again}"

    def _start(self, image: str, scenario: Scenario) -> Part:
        __tracebackhide__ = True
        number = len(self.parts)
        part = Part(
            id=f"{self.item.nodeid} ({number + 1})" if number else self.item.nodeid,
            scenario=scenario,
            image=image,
            entry=self.kernel.entry,
            book=Notebook(started=datetime.now(UTC).isoformat(timespec="seconds")),
        )
        self.parts.append(part)
        try:
            part.request = self._request(part)
        except UsageError as error:
            part.error = error
        except HarnessError as error:
            self._absent(part, error, Verdict.UNAVAILABLE)
        if part.request is None:
            raise _bare(part.error)
        lacking = missing(scenario.requires, part.request.survey)
        if lacking:
            self._absent(part, HarnessError(lacking), Verdict.UNSUPPORTED)
        try:
            part.held = self._held(part.request, part.book)
        except HarnessError as error:
            part.error = error
        if part.held is None:
            raise _bare(part.error)
        return part

    def _request(self, part: Part) -> Request:
        request = self.session.request(part.id, part.scenario, part.image, part.entry)
        # Without a container there is nothing whose calls could be traced.
        return request if part.image else replace(request, traced=False)

    def _held(self, request: Request, book: Notebook) -> Held:
        laboratory = self.session.laboratory
        apparatus = laboratory.assembly.apparatus
        if not self._placed:
            self._stack.enter_context(laboratory.place())
            self._placed = True
        return self._stack.enter_context(held(request, apparatus, laboratory.instruments, book))

    def _absent(self, part: Part, error: HarnessError, verdict: Verdict) -> NoReturn:
        __tracebackhide__ = True
        part.error, part.verdict = error, verdict
        pytest.skip(f"{outcome(verdict, 0).text}: {clean(str(error))}")

    def close(self) -> None:
        """End every guest."""
        try:
            self._stack.close()
        except GuestError:  # it was to end anyway, and a loss in the test was told there
            return

    def conclude(self, report: Any, call: pytest.CallInfo[None]) -> None:
        """Write what was observed to the run, and let the report tell of it."""
        if self.concluded or not self.parts or (report.when == "setup" and report.passed):
            return
        self.concluded = True
        verdict, reason, known = _outcome(report, call)
        cells = []
        for part in self.parts:
            observation = self._observation(part, verdict, reason)
            try:
                self.session.recorded().write_cell(observation)
            except HarnessError as error:
                report.outcome, report.longrepr = "failed", clean(str(error))
                return
            self.item.user_properties.extend(facts(observation, known))
            cells.append(cell_report(self.session, self.item, part.entry, observation, known))
            if part.image and observation.verdict in _BAD:
                file = self.session.cell_file(observation)
                explanation = self.session.knowledge.explain(observation, known)
                text = failure_text(observation, explanation, file)
                report.sections.append(("kernels", text))
        report.user_properties = list(self.item.user_properties)
        attach(report, cells, self.item.config)

    def _observation(self, part: Part, verdict: Verdict, reason: str) -> Observation:
        found = self._found(part)
        if not part.image:
            found = replace(found, image=BARE)
        if part.verdict is Verdict.UNAVAILABLE and isinstance(part.error, HarnessError):
            return unavailable(found, part.error)
        if part.verdict is not None:
            return replace(found, verdict=part.verdict, reason=str(part.error))
        if verdict is not Verdict.FAILED:
            return replace(found, verdict=verdict, reason=reason)
        lost = part.held.lost if part.held is not None else part.error
        if isinstance(lost, GuestError):
            return replace(found, verdict=Verdict.DIED, reason=str(lost), console=lost.console)
        if part.held is not None and part.held.timed_out:
            return replace(found, verdict=Verdict.TIMED_OUT, reason=part.held.timed_out)
        return replace(found, verdict=verdict, reason=reason)

    def _found(self, part: Part) -> Observation:
        if part.held is not None:
            return part.held.observation()
        if part.request is not None:
            instruments = self.session.laboratory.instruments
            return observed(part.request, part.book, instruments, Verdict.FAILED, "")
        return not_run(part.id, part.scenario, part.image, part.entry)


def parametrize(metafunc: pytest.Metafunc, *, images: bool) -> None:
    """Run a test once for each kernel, and for each image of its markers or the command line.

    Raises:
        pytest.fail.Exception: a marker names an unknown image.
        pytest.UsageError: an option or a catalog is wrong.
    """
    session = session_of(metafunc.config)
    definition = metafunc.definition
    marked = [str(name) for mark in definition.iter_markers("image") for name in mark.args]
    if images and marked:
        try:
            names = session.images_for(marked, f"{definition.nodeid}: marker image")
        except UsageError as error:
            pytest.fail(str(error), pytrace=False)
        metafunc.parametrize("container", names, indirect=True)
    chosen = session.kernels_for(definition)
    metafunc.parametrize("kernel", chosen, ids=[entry.name for entry in chosen], indirect=True)


def default_image(item: pytest.Item) -> str:
    """Return the image that a test's containers have unless they name one."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("container", "")) if callspec is not None else ""


def _outcome(report: Any, call: pytest.CallInfo[None]) -> tuple[Verdict, str, Judgement]:
    """Return what a test's report makes of its cells."""
    said = call.excinfo.exconly().partition("\n")[0] if call.excinfo is not None else ""
    expected = getattr(report, "wasxfail", None)
    if expected is not None and report.skipped:
        entry = scenarios.Known(kernels="", reason=expected or "expected to fail")
        return Verdict.FAILED, said, Judgement(state=Known.COVERED, entry=entry)
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else said
        return Verdict.SKIPPED, reason.removeprefix("Skipped: "), Judgement()
    if report.passed:
        return Verdict.PASSED, "", Judgement()
    return Verdict.FAILED, said, Judgement()


def _plainly(do: Callable[[], T]) -> T:
    """Do something; an error that a user can act on comes without the harness's own frames."""
    __tracebackhide__ = True
    error: HarnessError
    try:
        return do()
    except HarnessError as found:
        error = found
    raise _bare(error)


def _bare(error: HarnessError | None) -> HarnessError:
    found = error or HarnessError("no guest started")
    found.__cause__ = found.__context__ = None
    return found.with_traceback(None)
