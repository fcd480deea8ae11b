import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from harness.errors import GuestError
from harness.trace.plan import Plan
from harness.trace.recorder import dropped_events, recording


@dataclass
class Reply:
    stdout: bytes = b""
    status: int = 0
    stderr: bytes = b""


class Ended:
    def wait(self, limit: float) -> bool:
        return True


@dataclass
class Tracer:
    """A guest whose tracer prints what is written to its marker."""

    said: bytes
    commands: list[str] = field(default_factory=list)
    sink: Callable[[bytes], None] | None = None

    def run(
        self, command: str, *, stdin: bytes = b"", limit: float = 60.0, check: bool = True
    ) -> Reply:
        self.commands.append(command)
        mark = re.search(r'echo ["\'](harness [^"\']*)["\'] > ', command)
        if mark and self.sink:
            self.sink(f" <...>-1 [000] .... 1.0: tracing_mark_write: {mark[1]}\n".encode())
        return Reply(b"entries: 1\noverrun: 4\ndropped events: 3\nread events: 9\n\0overrun: 9\n")

    @contextmanager
    def stream(
        self, command: str, sink: Callable[[bytes], None], stdin: bytes = b""
    ) -> Iterator[Ended]:
        self.sink = sink
        for byte in self.said:
            sink(bytes([byte]))
        yield Ended()
        self.sink = None


WELL = (
    b"names=off\nclock=mono\nexit_filter=errno-range\nenter=yes\nforks=task_newtask\n"
    b"execs=yes\nends=yes\nsignals=yes\ntraced=yes\n"
)


def test_a_recording_ends_with_its_own_mark_and_counts_what_the_kernel_dropped() -> None:
    guest = Tracer(WELL)
    with recording(guest, Plan()) as one:
        one.mark("step 1")
        trace, said = one.finish("dmesg")
    assert "dmesg" in guest.commands[-1]
    assert said == b"overrun: 9\n"
    assert trace.complete
    assert trace.lost == 7
    assert one.armed.notes == ()
    assert one.armed.covers(231)


def test_a_kernel_without_a_tracer_is_said_once_and_nothing_fails() -> None:
    with recording(Tracer(b"traced=no\n"), Plan()) as one:
        one.mark("step 1")
        assert one.mark_command("step 1") == ":"
        trace, _ = one.finish()
    assert not one.armed.traced
    assert trace.calls == ()
    assert len(one.armed.notes) == 1
    assert "no tracer" in one.armed.notes[0]


def test_an_arming_that_broke_off_is_an_error_and_no_empty_recording() -> None:
    with (
        pytest.raises(GuestError, match="could not be armed: b'names=off"),
        recording(Tracer(b"names=off\n"), Plan()),
    ):
        pass


def test_what_could_not_be_armed_is_said() -> None:
    said = WELL.replace(b"enter=yes", b"enter=no").replace(b"errno-range", b"none")
    with recording(Tracer(said), Plan()) as one:
        one.finish()
    assert len(one.armed.notes) == 2
    assert not one.armed.covers(231)
    assert one.armed.ways is not None
    assert one.armed.ways["trace clock"] == "mono"


def test_statistics_of_all_processors_add_up() -> None:
    assert dropped_events("overrun: 2\ndropped events: 1\noverrun: 5\nnow ts: 4.2\n") == 8
    assert dropped_events("dropped events: 1\nrecursion_misses:\t4\n") == 5
    assert dropped_events("") == 0
