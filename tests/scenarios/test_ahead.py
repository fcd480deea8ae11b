from __future__ import annotations

import signal
import threading

import pytest

from harness.ending import Ending
from harness.scenarios.ahead import Ahead


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_impatient_is_heard_once_everything_was_told_to_end(number: signal.Signals) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    told = threading.Event()
    running: Ahead[str, bool] = Ahead(1, Ending())
    running.begin([("job", lambda: told.wait(30))])

    def tell() -> None:
        for _ in range(2):
            signal.raise_signal(number)
        told.set()

    before = signal.signal(number, interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            running.close(tell)
    finally:
        signal.signal(number, before)
    assert told.is_set()


def test_an_interrupt_that_came_is_heard_also_where_telling_fails_and_handlers_are_put_back() -> (
    None
):
    def fail() -> None:
        signal.raise_signal(signal.SIGINT)
        raise ValueError

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        Ahead[str, bool](1, Ending()).close(fail)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
