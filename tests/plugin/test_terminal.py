from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from harness.ending import Ending
from harness.plugin.terminal import TerminalProgress, accelerator_line, places_line, seconds_line
from harness.scenarios.ahead import Ahead, awaited


def test_what_other_threads_say_waits_for_the_one_that_writes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pytester.parseconfigure()
    written: list[tuple[int, str]] = []
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    monkeypatch.setattr(
        reporter, "write_line", lambda line: written.append((threading.get_ident(), line))
    )
    progress = TerminalProgress(config)
    thread = threading.Thread(target=progress.say, args=("from afar",))
    thread.start()
    thread.join()
    assert not written
    progress.say("from here")
    me = threading.get_ident()
    assert written == [(me, "kernels: from afar"), (me, "kernels: from here")]


def test_a_line_comes_out_of_a_pipe_at_once(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pytester.parseconfigure()
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    done: list[str] = []
    monkeypatch.setattr(reporter, "write_line", done.append)
    monkeypatch.setattr(reporter, "flush", lambda: done.append("flush"))
    TerminalProgress(config).say("image node: mmdebstrap runs")
    assert done == ["kernels: image node: mmdebstrap runs", "flush"]


def test_slow_emulation_is_never_silent() -> None:
    assert accelerator_line("tcg", "no /dev/kvm") == (
        "accelerator: TCG, software emulation, slow (no /dev/kvm)"
    )
    assert accelerator_line("kvm", "") == "accelerator: KVM"
    assert accelerator_line("", "") == "accelerator: none used"
    assert places_line(1) == "1 guest at once; --guests sets it"
    assert places_line(2) == "2 guests at once; --guests sets it"


def test_where_a_cells_seconds_went_is_told_in_the_order_in_which_they_passed() -> None:
    assert seconds_line({"cell": 1.5, "qemu": 0.04, "unheard-of": 1.0}) == (
        "seconds: qemu 0.04, cell 1.50"
    )
    assert not seconds_line({})


def test_while_a_result_is_awaited_the_waiting_thread_does_what_else_there_is() -> None:
    future: Future[int] = Future()

    def meanwhile() -> None:
        if not future.done():
            future.set_result(7)

    assert awaited(future, meanwhile) == 7


def test_closing_interrupts_what_runs_and_drops_what_has_not_begun() -> None:
    begun, ended = threading.Event(), threading.Event()
    ran: list[str] = []

    def long() -> str:
        begun.set()
        ended.wait()
        ran.append("long")
        return "long"

    def later() -> str:
        ran.append("later")
        return "later"

    ahead: Ahead[str, str] = Ahead(1, Ending())
    ahead.begin([("long", long), ("later", later)])
    begun.wait()
    ahead.close(ended.set)
    assert ran == ["long"]


def test_a_job_that_nobody_listed_runs_where_it_is_asked_for() -> None:
    ahead: Ahead[str, int] = Ahead(1, Ending())
    assert ahead.result("other", threading.get_ident) == threading.get_ident()
    ahead.close(lambda: None)
