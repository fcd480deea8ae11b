from typing import Any

import pytest

from harness.model.observations import Origin
from harness.trace.judge import Evidence, Judge, errno_name, rule, signal_name
from harness.trace.operations import Operations
from harness.trace.plan import OPEN, Armed, Plan
from harness.trace.records import CallKey, End, Tally, Trace
from harness.trace.syscalls import Syscalls

ENOSYS, EPERM, ENOENT, EINVAL = 38, 1, 2, 22
ARMED = Armed(traced=True, enters=((16, 16), (60, 60), (231, 231), (272, 272), (452, OPEN)))


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(Syscalls(), Operations())


def evidence(
    *, implemented: frozenset[int] | None = frozenset({16, 257, 272, 321}), **plan: Any
) -> Evidence:
    census = {} if implemented is None else {"x86_64": implemented}
    return Evidence(plan=Plan(**plan), armed=ARMED, implemented=census)


def tally(number: int, error: int, *, entered: bool = False, path: bytes = b"/bin/a") -> Tally:
    key = CallKey(path, number, error, entered, ())
    return Tally(key, pid=9, seconds=1.0, arguments=None, quiet=False)


def trace(*calls: Tally, ends: tuple[End, ...] = (), lost: int = 0) -> Trace:
    return Trace(
        calls=calls,
        ends=ends,
        apparatus=0,
        lost=lost,
        dropped=0,
        unparsed=0,
        complete=True,
        containers=1,
    )


@pytest.mark.parametrize(
    ("number", "error", "entered", "origin", "reached", "implemented"),
    [
        pytest.param(452, ENOSYS, True, Origin.KERNEL, True, False, id="the kernel lacks it"),
        pytest.param(452, ENOSYS, False, Origin.SECCOMP, False, False, id="both refuse it"),
        pytest.param(272, EPERM, False, Origin.SECCOMP, False, True, id="the filter forbids it"),
        pytest.param(272, EPERM, True, Origin.OTHER, True, True, id="the kernel forbids it"),
        pytest.param(272, ENOSYS, True, Origin.OTHER, True, True, id="it knows another operation"),
        pytest.param(257, ENOENT, False, Origin.OTHER, None, True, id="an ordinary failure"),
        pytest.param(257, ENOSYS, False, Origin.OTHER, None, True, id="implemented, not armed"),
        pytest.param(300, ENOSYS, False, Origin.UNKNOWN, None, False, id="missing, not armed"),
        pytest.param(16, 25, False, Origin.OTHER, None, True, id="begun before the recording"),
    ],
)
def test_two_facts_decide_the_origin(
    number: int,
    error: int,
    entered: bool,
    origin: Origin,
    reached: bool | None,
    implemented: bool | None,
) -> None:
    ruling = rule(tally(number, error, entered=entered), "x", "x86_64", evidence(), lost=False)
    assert (ruling.origin, ruling.reached, ruling.implemented) == (origin, reached, implemented)


def test_a_refused_call_that_the_kernel_lacks_as_well_says_so() -> None:
    assert (
        "lacks it as well" in rule(tally(452, ENOSYS), "x", "x86_64", evidence(), lost=False).remark
    )
    assert rule(tally(272, EPERM), "x", "x86_64", evidence(), lost=False).remark == ""


def test_absence_proves_nothing_when_events_were_lost() -> None:
    for error in (ENOSYS, EPERM):
        ruling = rule(tally(272, error), "x", "x86_64", evidence(), lost=True)
        assert (ruling.origin, ruling.reached) == (Origin.UNKNOWN, None)
    seen = rule(tally(452, ENOSYS, entered=True), "x", "x86_64", evidence(), lost=True)
    assert (seen.origin, seen.reached) == (Origin.KERNEL, True)


def test_without_a_census_only_a_filters_refusal_is_certain() -> None:
    nothing = evidence(implemented=None)
    refused = rule(tally(452, ENOSYS), "x", "x86_64", nothing, lost=False)
    assert (refused.origin, refused.implemented) == (Origin.SECCOMP, None)
    reached = rule(tally(452, ENOSYS, entered=True), "x", "x86_64", nothing, lost=False)
    assert (reached.origin, reached.reached) == (Origin.UNKNOWN, True)


@pytest.mark.parametrize(
    ("number", "error", "abi", "origin"),
    [
        pytest.param(452, ENOSYS, "x86_64", Origin.DRILL, id="refused by the drill"),
        pytest.param(452, EPERM, "x86_64", Origin.SECCOMP, id="the profile answers first"),
        pytest.param(272, ENOSYS, "x86_64", Origin.SECCOMP, id="older than the drill's release"),
        pytest.param(452, ENOSYS, "i386", Origin.SECCOMP, id="another table's number"),
    ],
)
def test_a_drills_refusal_is_told_from_a_profiles(
    number: int, error: int, abi: str, origin: Origin
) -> None:
    drill = evidence(drill={"x86_64": 314, "i386": 460})
    assert rule(tally(number, error), "x", abi, drill, lost=False).origin is origin


def test_a_filter_may_refuse_with_any_errno() -> None:
    profile = evidence(refusable=frozenset({272}))
    assert rule(tally(272, EINVAL), "x", "x86_64", profile, lost=False).origin is Origin.SECCOMP


def test_an_unknown_operation_of_a_multiplexed_call_is_called_that() -> None:
    call = tally(16, ENOSYS, entered=True)
    assert "multiplexed" in rule(call, "ioctl", "x86_64", evidence(), lost=False).remark


def test_a_32_bit_programs_numbers_are_of_its_own_table(judge: Judge) -> None:
    armed = Evidence(
        plan=Plan(),
        armed=ARMED,
        implemented={"x86_64": frozenset({452}), "i386": frozenset({5})},
        abis={"/bin/old": "i386"},
    )
    calls = (tally(452, ENOSYS, entered=True), tally(295, ENOENT, path=b"/bin/old"))
    ours, old = judge.failures(trace(*calls), armed)
    assert (ours.name, ours.abi, ours.implemented) == ("fchmodat2", "x86_64", True)
    assert (old.name, old.abi, old.implemented) == ("openat", "i386", False)


def test_failures_of_one_kind_are_one_line(judge: Judge) -> None:
    first, again = tally(257, ENOENT, path=b"/usr/bin/a"), tally(257, ENOENT, path=b"/opt/a")
    first.steps, again.steps, again.count = {1}, {0, 2}, 5
    (failure,) = judge.failures(trace(first, again), evidence())
    assert (failure.name, failure.errno, failure.program) == ("openat", "ENOENT", "a")
    assert (failure.count, failure.path, failure.steps) == (6, "/usr/bin/a", (0, 1, 2))


def test_a_number_beyond_the_table_is_named_by_it(judge: Judge) -> None:
    (failure,) = judge.failures(trace(tally(600, ENOSYS, entered=True)), evidence())
    assert (failure.name, failure.number, failure.origin) == ("syscall_600", 600, Origin.KERNEL)


def end(*, exit_: int | None = None, exit32: int | None = None, signal: int = 0) -> End:
    return End(9, 1, b"/bin/a", 2.0, exit_, exit32, signal, (257, ENOENT))


@pytest.mark.parametrize(
    ("raw", "status", "signal"),
    [
        (end(exit_=3), 3, None),
        (end(exit_=3, signal=9), 3, None),
        (end(signal=11), None, "SEGV"),
        (end(signal=64), None, "RTMAX"),
        pytest.param(end(), None, "SYS", id="a filter's kill leaves no event"),
    ],
)
def test_an_end_is_a_status_or_a_signal(
    judge: Judge, raw: End, status: int | None, signal: str | None
) -> None:
    (shown,) = judge.ends(trace(ends=(raw,)), evidence())
    assert (shown.exit, shown.signal) == (status, signal)
    assert shown.last_failure == "openat ENOENT"


def test_an_end_without_events_is_unknown_when_some_were_lost(judge: Judge) -> None:
    (shown,) = judge.ends(trace(ends=(end(),), lost=1), evidence())
    assert (shown.exit, shown.signal) == (None, None)


def test_a_32_bit_program_ends_by_its_own_numbers(judge: Judge) -> None:
    old = Evidence(plan=Plan(), armed=ARMED, abis={"/bin/a": "i386"})
    shown = judge.ends(trace(ends=(end(exit_=1, exit32=4), end(exit_=1))), old)
    assert [(one.exit, one.signal) for one in shown] == [(4, None), (None, None)]


def test_errno_and_signal_names_are_linuxs() -> None:
    assert errno_name(38) == "ENOSYS"
    assert errno_name(95) == "EOPNOTSUPP"
    assert errno_name(4095) == "4095"
    assert signal_name(9) == "KILL"
    assert signal_name(40) == "RT8"
    assert signal_name(99) == "99"
