"""What is believed of a step's end."""

from __future__ import annotations

import pytest

from harness.model.observations import ProcessEnd
from harness.scenarios.observed import agrees


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
