"""A container that somebody holds: it waits in a guest while a test runs commands in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from signal import Signals
from typing import Any

from harness.container.bundle import sleeper_argv
from harness.container.process import argv
from harness.container.runtime import RuntimeFailure
from harness.errors import ConfigError, GuestError, HarnessError, UsageError
from harness.guest.apparatus import Apparatus
from harness.guest.guest import Guest, GuestCommandError
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Expect, Scenario, Step
from harness.scenarios.cell import armed, collect, setting_of
from harness.scenarios.load import scenarios_of
from harness.scenarios.observed import observed
from harness.scenarios.request import Instruments, Notebook, Request
from harness.scenarios.sitting import Sitting, sitting
from harness.trace.recorder import Recording
from harness.yamlfile import Document
from harness.yamlvalues import SourceFloat, SourceInt

COMMAND_TIMEOUT = 60.0
"""Seconds under KVM, as for a step of a scenario; under emulation it is longer."""

_ANYTHING = Expect(exit=None)
_SCENARIO = "container"
_JUDGING = ("expect", "kernels", "known", "normalise", "tags", "why")
_RUNNING = ("args", "image", "images", "run", "stdin", "steps", "timeout")
_REFUSED = frozenset((*_JUDGING, *_RUNNING))
"""A scenario's keys that say what is run and judged, which is the test's to do."""


class CommandTimeout(HarnessError):  # noqa: N818 - what happened reads better than an -Error
    """A command in a held container did not end in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one command did."""

    argv: tuple[str, ...]
    exit: int | None
    """Its exit status; 128+N when signal N ended it, as a shell would see it. None: not known."""
    signal: str | None
    """The signal's name without SIG that such a status stands for. Only the trace knows whether
    it was one: the observation's step does."""
    stdout: str
    stderr: str
    seconds: float


def scenario_of(
    name: str, image: str, keys: Mapping[str, Any], *, path: Path, line: int, rootdir: Path
) -> Scenario:
    """Return the scenario of a held container from a scenario file's keys, checked as there.

    ``service`` may also be True (the image's own Entrypoint and Cmd) or a command. ``path`` and
    ``line`` are the test's.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    refused = sorted(_REFUSED & keys.keys())
    if refused:
        raise ConfigError(path, line, f"container(): {refused[0]!r} is not the container's to say")
    data = {key: _plain(value) for key, value in keys.items() if value is not None}
    match data.get("service"):
        case True:
            data["service"] = {}
        case False:
            del data["service"]
        case str() | list() as command:
            data["service"] = {"run": command}
    entry = {"image": image, "run": "true", **data}
    document = Document(path, {"scenarios": {_SCENARIO: entry}}, {(): line})
    [found] = scenarios_of(document, rootdir)
    return replace(found, name=name, steps=())


def _plain(value: Any) -> Any:
    """Return a value of Python as YAML would have it."""
    number: SourceInt | SourceFloat
    match value:
        case bool():
            return value
        case int():
            number = SourceInt(value)
        case float():
            number = SourceFloat(value)
        case str() | PurePath():
            return str(value)
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return value
    number.text = str(value)
    return number


class Held:
    """A guest and, unless it has no image, a container in it; made by :func:`held`."""

    def __init__(
        self, request: Request, guest: Guest, book: Notebook, instruments: Instruments
    ) -> None:
        self.guest = guest
        self.lost: GuestError | None = None
        self.timed_out = ""
        self._request = request
        self._book = book
        self._instruments = instruments
        self._at: Sitting | None = None
        self._recording: Recording | None = None
        self._steps: list[Step] = []
        self._begin = time.monotonic()
        self._seen: Observation | None = None

    def sit(self, at: Sitting, under_way: Recording) -> None:
        """Take the container that commands will run in, and start it.

        Raises:
            RuntimeFailure: it does not start, or its service does not become ready.
        """
        self._at, self._recording = at, under_way
        self._book.done = at.done
        self._book.notes.extend(at.notes)
        service = self._request.scenario.service
        with self._book.timing("start"):
            at.start(service, _first(self._request), self._request.scale)

    def run(
        self,
        command: str | Sequence[str],
        *,
        stdin: str = "",
        timeout: float = COMMAND_TIMEOUT,
    ) -> Result:
        """Run a command (a string for ``sh -c``) in the container to its end.

        Raises:
            UsageError: there is no container, or its observation was taken already.
            CommandTimeout: it did not end within ``timeout`` seconds, scaled to the machine.
            RuntimeFailure: the runtime could not run it: no such program, say.
            GuestError: the guest was lost.
        """
        if self._at is None:
            raise UsageError("no container runs in this guest")
        if self._seen is not None:
            raise UsageError("the observation was taken: run every command before")
        words = ("sh", "-c", command) if isinstance(command, str) else tuple(map(str, command))
        step = Step(
            name=f"step {len(self._steps) + 1}",
            run=words,
            stdin=stdin,
            timeout=timeout,
            expect=_ANYTHING,
        )
        self._steps.append(step)
        limit = timeout * self._request.scale
        with self._noticing():
            done = self._at.run(step, words, limit=limit, alone=False).result
        if done.timed_out:
            self.timed_out = f"{step.name} ({words[0]}) took longer than {limit:g} s"
            raise CommandTimeout(self.timed_out)
        if done.unmet:
            raise RuntimeFailure(done.unmet[0])
        return Result(
            argv=words,
            exit=done.exit,
            signal=_signal(done.exit),
            stdout=done.stdout,
            stderr=done.stderr,
            seconds=done.seconds,
        )

    def observation(self) -> Observation:
        """End the recording, once, and return all that was observed; no command runs after it.

        The verdict is ``passed`` whatever the commands ended with: to judge is the test's part.
        """
        if self._seen is None:
            self._collect()
            self._book.durations["cell"] = round(time.monotonic() - self._begin, 4)
            scenario = replace(self._request.scenario, steps=tuple(self._steps))
            request = replace(self._request, scenario=scenario)
            found = observed(request, self._book, self._instruments, Verdict.PASSED, "")
            console = self.lost.console if self.lost is not None else ()
            self._seen = replace(found, verdict=Verdict.PASSED, reason="", console=console)
        return self._seen

    def _collect(self) -> None:
        try:
            if self.lost is None:
                with self._noticing(), self._book.timing("collect"):
                    self._take()
        except GuestError as error:
            self._book.notes.append(f"the guest was lost before its trace was read: {error}")
        if self._book.trace is None and self._recording is not None:
            self._book.trace = self._recording.partial()

    def _take(self) -> None:
        recording = self._recording or Recording.idle(self.guest)
        if self._at is not None and self._request.scenario.service is not None:
            self._book.service = self._at.service_result()
        collect(self.guest, recording, self._book)

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except GuestError as error:
            self.lost = error
            raise
        except GuestCommandError as error:  # what is out of memory or processes serves nobody
            self.lost = GuestError(str(error), self.guest.console())
            raise self.lost from error


@contextmanager
def held(
    request: Request, apparatus: Apparatus, instruments: Instruments, book: Notebook
) -> Iterator[Held]:
    """Start the request's guest, its container in it unless it has no image, for the block.

    ``book`` keeps what is known when this fails: :func:`harness.scenarios.observed.observed`
    makes an observation of it.

    Raises:
        GuestError: the guest was lost.
        HarnessError: the container cannot be had, or does not start.
    """
    start = apparatus.started(
        request.machine, request.snapshot, log=request.log, say=book.notes.append
    )
    with start as guest:
        book.durations.update({name: round(took, 4) for name, took in guest.durations.items()})
        made = Held(request, guest, book, instruments)
        if not request.image.name:
            guest.run("dmesg -c >/dev/null")
            yield made
            return
        with armed(request, guest, book, instruments) as under_way:
            begin = time.monotonic()
            setting = setting_of(request, book.confined)
            waits = request.scenario.service is None
            with sitting(guest, under_way, setting, book.files, _first(request), waits=waits) as at:
                book.durations["attach"] = round(time.monotonic() - begin, 4)
                made.sit(at, under_way)
                yield made


def _first(request: Request) -> tuple[str, ...]:
    service = request.scenario.service
    if service is None:
        return sleeper_argv()
    spec = request.scenario.container
    return argv(request.image.config, spec, service.run, service.args)


def _signal(status: int | None) -> str | None:
    if status is None:
        return None
    try:
        return Signals(status - 128).name.removeprefix("SIG")
    except ValueError:
        return None
