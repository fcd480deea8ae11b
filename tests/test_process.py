from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import process
from harness.ending import Ending
from harness.errors import EndedError, ToolError


def ends(pid: int) -> bool:
    """Wait for the end of a process that is nobody's child here."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def test_a_program_runs_to_its_end_and_what_it_wrote_is_there() -> None:
    done = process.run(
        ["sh", "-c", "cat; echo err >&2; pwd; echo $X"],
        limit=20,
        stdin=b"in\x00",
        cwd=Path("/"),
        env={"X": "y", "PATH": os.environ["PATH"]},
    )
    assert (done.status, done.stdout, done.stderr) == (0, b"in\x00/\ny\n", b"err\n")
    assert done.seconds < 20


def test_an_error_has_the_status_and_the_tail_of_stderr() -> None:
    with pytest.raises(ToolError, match=r"^sh ended with status 3: x*why$") as caught:
        process.run(
            ["sh", "-c", "head -c 5000 /dev/zero | tr '\\0' x >&2; echo why >&2; exit 3"], limit=20
        )
    assert len(str(caught.value)) < 2100


def test_without_a_check_the_status_is_a_result_and_a_signal_is_negative() -> None:
    assert process.run(["false"], limit=20, check=False).status == 1
    killed = process.run(["sh", "-c", "kill -USR1 $$"], limit=20, check=False)
    assert killed.status == -signal.SIGUSR1


def test_the_limit_ends_the_whole_group_and_says_so(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"sleep 1000 & echo $! >{note}; echo waiting >&2; wait"
    with pytest.raises(ToolError, match=r"^sh took longer than 1 s and was ended: waiting$"):
        process.run(["sh", "-c", script], limit=1)
    assert ends(int(note.read_text()))


def test_a_program_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERMINATE_GRACE", 0.1)
    with pytest.raises(ToolError, match="took longer than 1 s"):
        process.run(["sh", "-c", "trap '' TERM; while :; do sleep 1000; done"], limit=1)


def test_an_interrupt_ends_the_whole_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    os.mkfifo(note)
    seen: list[int] = []

    def interrupt() -> None:
        seen.append(int(note.read_text()))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        process.run(["sh", "-c", f"sleep 1000 & echo $! >{note}; wait"], limit=60)
    helper.join()
    assert ends(seen[0])


def test_what_other_threads_wait_for_can_be_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    os.mkfifo(note)
    script = f"sleep 1000 & echo $! >{note}; wait"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(process.run, ["sh", "-c", script], limit=60)
        sleeper = int(note.read_text())
        while not process._running:  # it runs before it is counted
            time.sleep(0.01)
        process.end_running()
        with pytest.raises(ToolError, match=r"^sh ended with status -15$"):
            waiting.result()
    assert ends(sleeper)


def test_threads_that_were_told_to_end_start_nothing_more(tmp_path: Path) -> None:
    note, may_go_on = tmp_path / "note", threading.Event()

    def late() -> None:
        may_go_on.wait(60)
        process.run(["touch", note], limit=60)

    ending = Ending()
    with ThreadPoolExecutor(initializer=ending.join) as pool:
        started = pool.submit(late)
        ending.tell()
        may_go_on.set()
        with pytest.raises(EndedError, match=r"^the session ends: nothing is begun"):
            started.result()
    assert not note.exists()


def test_the_threads_of_another_session_go_on_and_so_does_who_ends_one(tmp_path: Path) -> None:
    note, may_go_on = tmp_path / "note", threading.Event()

    def late() -> int:
        may_go_on.wait(60)
        return process.run(["touch", note], limit=60).status

    ending = Ending()
    with ThreadPoolExecutor(initializer=Ending().join) as pool:
        started = pool.submit(late)
        ending.tell()
        process.end_running()
        may_go_on.set()
        assert started.result() == 0
    assert process.run(["cat", note], limit=60).status == 0


def test_what_is_started_while_others_are_ended_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unseen(set[subprocess.Popen[bytes]]):
        """Counts a child only after the end, as where the end comes between start and count."""

        def add(self, child: subprocess.Popen[bytes]) -> None:
            counting.set()
            over.wait(60)
            super().add(child)

    counting, over, note = threading.Event(), threading.Event(), tmp_path / "pid"
    os.mkfifo(note)
    monkeypatch.setattr(process, "_running", Unseen())
    script = f"sleep 1000 & echo $! >{note}; wait"
    ending = Ending()
    with ThreadPoolExecutor(initializer=ending.join) as pool:
        late = pool.submit(process.run, ["sh", "-c", script], limit=30)
        sleeper = int(note.read_text())
        counting.wait(60)
        ending.tell()
        process.end_running()
        over.set()
        with pytest.raises(EndedError):
            late.result()
    assert ends(sleeper)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ToolError, match=r"^cannot start /nowhere/tool: No such file or directory$"):
        process.run(["/nowhere/tool"], limit=1)
    with pytest.raises(ToolError, match=r"^no-such-tool is not installed: install the package t$"):
        process.find("no-such-tool", "t")


def test_nobody_types_into_a_program_that_reads() -> None:
    assert process.run(["cat"], limit=20).stdout == b""


def test_a_program_that_is_attended_speaks_for_itself(capfd: pytest.CaptureFixture[str]) -> None:
    assert process.attend(["sh", "-c", "echo out; echo err >&2; exit 3"], limit=20, grace=5) == 3
    assert capfd.readouterr() == ("out\n", "err\n")


def test_an_attended_program_is_asked_to_end_before_it_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "note"
    polite = f"trap 'echo asked >{note}; exit 0' INT; while :; do sleep 0.1; done"
    with pytest.raises(ToolError, match=r"^sh took longer than 1 s and was ended$"):
        process.attend(["sh", "-c", polite], limit=1, grace=20)
    assert note.read_text() == "asked\n"
    stubborn = f"trap '' INT; echo $$ >{note}; while :; do sleep 0.1; done"
    with pytest.raises(ToolError):
        process.attend(["sh", "-c", stubborn], limit=1, grace=0.1)
    assert ends(int(note.read_text()))


def test_an_attended_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ToolError, match=r"^cannot start /nowhere/x: No such file"):
        process.attend(["/nowhere/x"], limit=1, grace=1)
