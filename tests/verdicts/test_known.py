from __future__ import annotations

import pytest
from observations import end, failure, observation, redis_broken

from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Known as Entry
from harness.verdicts.known import judge
from harness.verdicts.outcome import Known

ANY = Entry(kernels="5.10", reason="upstream bug 1")
EPOLL = Entry(kernels="5.10", reason="no fallback", syscall="epoll_pwait2", errno="ENOSYS")


def on_5_10(expression: str) -> bool:
    return expression == "5.10"


@pytest.mark.parametrize(
    ("entry", "cell", "state"),
    [
        (ANY, redis_broken(), Known.COVERED),
        (EPOLL, redis_broken(), Known.COVERED),
        (ANY, observation(verdict=Verdict.DIED), Known.COVERED),
        (ANY, observation(verdict=Verdict.UNAVAILABLE), Known.NO),
        (ANY, observation(), Known.COVERED),
        (Entry(kernels="6.1", reason=""), redis_broken(), Known.NO),
        (Entry(kernels="5.10", reason="", syscall="clone3"), redis_broken(), Known.NO),
        (Entry(kernels="5.10", reason="", field="stdout"), redis_broken(), Known.NO),
        (Entry(kernels="5.10", reason="", field="timed out"), redis_broken(), Known.NO),
        (
            EPOLL,
            redis_broken(ends=(end(310, program="redis-cli"),)),
            Known.NO,
        ),
    ],
    ids=[
        "names nothing",
        "names the call that failed it",
        "a lost guest",
        "never ran",
        "passed, so stale",
        "another kernel",
        "another call",
        "about outputs",
        "another verdict",
        "a call that its process coped with",
    ],
)
def test_an_entry_covers_the_failure_that_it_is_about(
    entry: Entry, cell: Observation, state: Known
) -> None:
    assert judge(cell, [entry], on_5_10).state is state


def test_a_known_failure_that_passes_is_stale() -> None:
    judgement = judge(observation(), [ANY], on_5_10)
    assert (judgement.stale, judgement.entry) == ((ANY,), ANY)


def test_a_known_enosys_that_the_program_copes_with_is_neither_failure_nor_stale() -> None:
    entry = Entry(kernels="5.10", reason="falls back to fchmodat", syscall="fchmodat2")
    judgement = judge(observation(failures=(failure(),)), [entry], on_5_10)
    assert (judgement.state, judgement.stale) == (Known.NO, ())


def test_a_known_enosys_that_does_not_occur_is_stale_unless_it_may_have_been_missed() -> None:
    assert judge(observation(), [EPOLL], on_5_10).stale == (EPOLL,)
    assert judge(observation(), [EPOLL], on_5_10).state is Known.NO
    assert judge(observation(traced=False), [EPOLL], on_5_10).stale == ()
    assert judge(observation(lost_events=4), [EPOLL], on_5_10).stale == ()
