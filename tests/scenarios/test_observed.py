"""What is recorded of a step's end and of its host."""

from __future__ import annotations

import pytest
from surveys import surveyed

from harness.model.observations import ProcessEnd
from harness.scenarios.observed import agrees, in_force


@pytest.mark.parametrize(
    ("exit", "signal", "status", "agreed"),
    [
        pytest.param(7, None, 7, True, id="both know the exit status"),
        pytest.param(None, "KILL", 137, True, id="a runtime says 128 and the signal"),
        pytest.param(137, None, 137, True, id="a program may exit like that by itself"),
        pytest.param(None, "SYS", None, True, id="only the trace knows"),
        pytest.param(None, "SYS", 0, False, id="its exit event was lost"),
        pytest.param(None, None, 0, False, id="the trace knows nothing"),
        pytest.param(1, None, 0, False, id="another pid's end"),
    ],
)
def test_the_trace_is_believed_where_the_runtimes_status_allows(
    exit: int | None, signal: str | None, status: int | None, agreed: bool
) -> None:
    end = ProcessEnd(
        pid=9, parent=1, program="sh", path="/bin/sh", offset=1.0, exit=exit, signal=signal
    )
    assert agrees(end, status) is agreed


def test_a_host_has_the_sysctls_that_its_kernel_took() -> None:
    asked = {"kernel.yama.ptrace_scope": "1", "vm.swappiness": "9"}
    survey = surveyed(refused=("kernel.yama.ptrace_scope",))
    assert in_force(asked, survey) == {"vm.swappiness": "9"}


def test_a_kernel_that_allows_no_user_namespaces_by_itself_is_recorded_so() -> None:
    limit = "user.max_user_namespaces"
    assert in_force({}, surveyed(userns=False)) == {limit: "0"}
    assert in_force({limit: "0"}, surveyed(userns=False)) == {limit: "0"}
    assert in_force({}, surveyed()) == {}
