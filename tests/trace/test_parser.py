import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.trace import families, ledger
from harness.trace.parser import LONGEST, TraceParser
from harness.trace.records import End, Trace

# As 5.10 and 7.3 print them: five flags instead of four, and group_dead, are the newer one's.
OLD = """\
           <...>-81      [000] ....    12.600000: tracing_mark_write: harness start
           <...>-81      [000] ....    12.683482: tracing_mark_write: harness container pid 92
           <...>-81      [000] ....    12.722335: task_newtask: pid=92 comm=sh clone_flags=1200000 oom_score_adj=0
           <...>-92      [000] ....    12.722400: sys_enter: NR 442 (ffffff9c, 0, 0, 0, 0, 0)
           <...>-92      [000] ....    12.722462: sys_exit: NR 442 = -38
           <...>-92      [000] ....    12.795411: sched_process_exec: filename=/usr/bin/perl pid=92 old_pid=92
           <...>-92      [000] ....    12.950438: sys_exit: NR 257 = -2
           <...>-92      [000] ....    12.951350: sys_exit: NR 257 = -2
           <...>-92      [000] ....    13.473352: sys_enter: NR 16 (0, 5401, 7ffd99221370, 5, 7ffd992213b0, 0)
           <...>-92      [000] .N..    13.473584: sys_exit: NR 16 = -25
           <...>-92      [000] ....    13.747064: sys_enter: NR 600 (1, 2, 3, 100, f3, 55764ac70cc8)
           <...>-92      [000] .N..    13.747275: sys_exit: NR 600 = -38
           <...>-92      [000] ....    13.821914: sys_enter: NR 231 (7, ffffffffffffff98, e7, 5, 7ffd99221a60, 0)
           <...>-92      [000] ....    13.831233: sched_process_exit: comm=perl pid=92 prio=120
           <...>-81      [000] ....    13.900000: tracing_mark_write: harness end
"""  # noqa: E501 - lines as the kernel prints them
NEW = (
    OLD.replace(" ....  ", " .....  ")
    .replace(" .N..  ", " .l...  ")
    .replace("prio=120", "prio=120 group_dead=true")
    .replace("<...>-92     ", "<...>-92  ")
)

# The same as the programs of harness.trace.bpf print it: what was armed when it has failed.
PROGRAMS = """\
           <...>-81      [000] ....    12.600000: tracing_mark_write: harness start
           <...>-81      [000] ....    12.683482: tracing_mark_write: harness container pid 92
           <...>-81      [000] ....    12.722335: task_newtask: pid=92 comm=sh clone_flags=1200000 oom_score_adj=0
           <...>-92      [000] d...    12.722460: bpf_trace_printk: e 442 ffffff9c, 0
           <...>-92      [000] d...    12.722461: bpf_trace_printk: b 0, 0, 0
           <...>-92      [000] d...    12.722462: bpf_trace_printk: c 0 442 -38
           <...>-92      [000] ....    12.795411: sched_process_exec: filename=/usr/bin/perl pid=92 old_pid=92
           <...>-92      [000] d...    12.950438: bpf_trace_printk: x 257 -2
           <...>-92      [000] d...    12.951350: bpf_trace_printk: x 257 -2
           <...>-92      [000] d...    13.473580: bpf_trace_printk: e 16 0, 5401
           <...>-92      [000] d...    13.473582: bpf_trace_printk: b 7ffd99221370, 5, 7ffd992213b0
           <...>-92      [000] d...    13.473584: bpf_trace_printk: c 0 16 -25
           <...>-92      [000] dN..    13.747271: bpf_trace_printk: e 600 1, 2
           <...>-92      [000] dN..    13.747273: bpf_trace_printk: b 3, 100, f3
           <...>-92      [000] dN..    13.747275: bpf_trace_printk: c 55764ac70cc8 600 -38
           <...>-92      [000] d...    13.821914: bpf_trace_printk: e 231 7
           <...>-92      [000] ....    13.831233: sched_process_exit: comm=perl pid=92 prio=120
           <...>-81      [000] ....    13.900000: tracing_mark_write: harness end
"""  # noqa: E501 - lines as the kernel prints them


def line(pid: int, event: str, seconds: float = 5.0) -> str:
    return f"           <...>-{pid:<7} [000] ..... {seconds:11.6f}: {event}\n"


def fork(parent: int, child: int, *, thread: bool = False) -> str:
    flags = "3d0f00" if thread else "1200000"
    return line(parent, f"task_newtask: pid={child} comm=sh clone_flags={flags} oom_score_adj=0")


def execs(pid: int, path: str, old: int | None = None) -> str:
    return line(pid, f"sched_process_exec: filename={path} pid={pid} old_pid={old or pid}")


def fails(pid: int, number: int, error: int) -> str:
    return line(pid, f"sys_exit: NR {number} = -{error}")


def enters(pid: int, number: int, *arguments: int) -> str:
    words = ", ".join(f"{word:x}" for word in (*arguments, 0, 0, 0, 0, 0, 0)[:6])
    return line(pid, f"sys_enter: NR {number} ({words})")


def dies(pid: int) -> str:
    return line(pid, f"sched_process_exit: comm=sh pid={pid} prio=120 group_dead=true")


def mark(words: str) -> str:
    return line(1, f"tracing_mark_write: harness {words}")


def parsed(text: str | bytes, *, token: str = "", chunk: int = 1 << 30, dropped: int = 0) -> Trace:
    data = text.encode() if isinstance(text, str) else text
    parser = TraceParser(token)
    for start in range(0, len(data), chunk):
        parser.feed(data[start : start + chunk])
    return parser.finish(dropped=dropped)


def kinds(trace: Trace) -> dict[tuple[str, int, int], int]:
    return {
        (call.key.path.decode(), call.key.number, call.key.error): call.count
        for call in trace.calls
    }


def only_end(text: str) -> End:
    trace = parsed(mark("container pid 9") + fork(1, 9) + execs(9, "/bin/a") + text)
    assert len(trace.ends) == 1
    return trace.ends[0]


# --- formats ----------------------------------------------------------------------------


def test_both_formats_of_lines_are_read_alike() -> None:
    old, new = parsed(OLD), parsed(NEW)
    assert old == new
    assert old.unparsed == 0
    assert old.complete
    assert kinds(old) == {
        ("/usr/bin/perl", 257, 2): 2,
        ("/usr/bin/perl", 16, 25): 1,
        ("/usr/bin/perl", 600, 38): 1,
    }


def test_what_bpf_programs_print_is_read_as_the_events_are() -> None:
    assert parsed(PROGRAMS) == parsed(OLD)


def test_a_repeated_armed_call_is_counted_and_another_operation_is_another_call() -> None:
    again = "".join(
        line(92, f"bpf_trace_printk: {said}") for said in ("e 16 0, 5401", "c 0 16 -25")
    )
    other = "".join(
        line(92, f"bpf_trace_printk: {said}") for said in ("e 16 0, 5402", "c 0 16 -25")
    )
    begun, end = PROGRAMS.split("           <...>-92      [000] d...    13.821914")
    text = f"{begun}{again}{other}           <...>-92      [000] d...    13.821914{end}"
    found = {call.key.operation: call.count for call in parsed(text).calls if call.key.number == 16}
    assert found == {(0x5401,): 2, (0x5402,): 1}


def test_a_call_has_the_arguments_offset_and_operation_of_its_first_occurrence() -> None:
    calls = {call.key.number: call for call in parsed(OLD).calls}
    assert calls[16].key.operation == (0x5401,)
    assert calls[600].key.entered
    assert calls[600].arguments is not None
    assert calls[600].arguments[:4] == (1, 2, 3, 0x100)
    assert round(calls[600].seconds, 6) == 1.147275
    assert not calls[257].key.entered
    assert calls[257].arguments is None


def test_what_a_process_does_before_its_first_exec_is_the_runtimes() -> None:
    trace = parsed(OLD)
    assert trace.apparatus == 1
    assert 442 not in {call.key.number for call in trace.calls}


def test_the_mark_may_come_after_the_process_has_ended() -> None:
    lines = OLD.splitlines(keepends=True)
    early, late = OLD, "".join([lines[0], *lines[2:-1], lines[1], lines[-1]])
    assert kinds(parsed(late)) == kinds(parsed(early))
    assert parsed(late).ends[0].exit == 7


def test_nothing_after_the_end_mark_counts() -> None:
    trace = parsed(OLD + fails(92, 257, 2) + "no line of a trace\n")
    assert trace == parsed(OLD)


def test_a_trace_without_an_end_mark_says_so() -> None:
    assert not parsed(OLD[: OLD.rindex("           <")]).complete


def test_a_marker_without_symbols_is_still_a_mark() -> None:
    assert parsed(OLD.replace("tracing_mark_write", "0xffffffff8118a3b0")) == parsed(OLD)


def test_lines_without_flags_are_read() -> None:
    assert kinds(parsed(OLD.replace(" .... ", " ").replace(" .N.. ", " "))) == kinds(parsed(OLD))


def test_sched_process_fork_does_where_task_newtask_is_missing() -> None:
    text = OLD.replace(
        "task_newtask: pid=92 comm=sh clone_flags=1200000 oom_score_adj=0",
        "sched_process_fork: comm=sh pid=81 child_comm=sh child_pid=92",
    )
    assert parsed(text) == parsed(OLD)


def test_lost_events_are_counted_and_never_twice() -> None:
    text = "CPU:0 [LOST 17 EVENTS]\n" + OLD
    assert parsed(text).lost == 17
    assert parsed(text, dropped=20).lost == 20
    assert parsed(text).unparsed == 0


def test_lines_that_are_no_events_are_counted() -> None:
    assert parsed("# tracer: nop\n\nx" + "\n" + OLD).unparsed == 3


# --- membership -------------------------------------------------------------------------


def test_descendants_of_the_container_are_its_own_and_others_are_not() -> None:
    trace = parsed(
        mark("container pid 9")
        + (fork(1, 9) + execs(9, "/bin/sh") + fork(9, 10) + fork(10, 11) + execs(11, "/bin/ls"))
        + (fork(1, 20) + execs(20, "/usr/bin/crun") + fails(20, 442, 38))
        + (fails(9, 1, 9) + fails(10, 2, 9) + fails(11, 3, 9) + fails(77, 4, 9))
    )
    assert set(kinds(trace)) == {("/bin/sh", 1, 9), ("/bin/sh", 2, 9), ("/bin/ls", 3, 9)}
    assert trace.apparatus == 2


def test_a_thread_runs_its_processs_program() -> None:
    trace = parsed(
        mark("container pid 9")
        + (
            fork(1, 9)
            + execs(9, "/bin/java")
            + fork(9, 10, thread=True)
            + fork(10, 11, thread=True)
        )
        + (fails(11, 5, 1) + dies(11) + dies(10))
        + (enters(9, 231, 3) + dies(9))
    )
    assert kinds(trace) == {("/bin/java", 5, 1): 1}
    assert [(end.pid, end.exit) for end in trace.ends] == [(9, 3)]


def test_an_exec_in_a_thread_goes_on_as_the_leader() -> None:
    trace = parsed(
        mark("container pid 9")
        + (fork(1, 9) + execs(9, "/bin/a") + fork(9, 10, thread=True))
        + line(9, "signal_deliver: sig=9 errno=0 code=0 sa_handler=0 sa_flags=0")
        + (dies(9) + execs(9, "/bin/b", old=10))
        + (fails(9, 5, 1) + enters(9, 231, 0) + dies(9))
    )
    assert kinds(trace) == {("/bin/b", 5, 1): 1}
    assert [(end.path, end.exit, end.signal) for end in trace.ends] == [(b"/bin/b", 0, 0)]


@pytest.mark.parametrize("below", ["", "/busybox"])
def test_the_sleeper_and_what_it_starts_of_itself_are_apparatus(below: str) -> None:
    sleeper = families.SLEEPER.decode() + below
    trace = parsed(
        mark("container pid 9")
        + (fork(1, 9) + execs(9, sleeper) + fails(9, 5, 1))
        + (fork(9, 10) + execs(10, "/proc/self/exe") + fails(10, 5, 1) + dies(10))
        + (enters(9, 231, 0) + dies(9))
    )
    assert trace.calls == ()
    assert trace.ends == ()
    assert trace.apparatus == 2


def test_a_program_that_starts_itself_again_keeps_its_name() -> None:
    again = execs(9, "/proc/self/exe") + fails(9, 5, 1)
    head = mark("container pid 9") + fork(1, 9)
    assert kinds(parsed(head + execs(9, "/bin/busybox") + again)) == {("/bin/busybox", 5, 1): 1}
    assert kinds(parsed(head + again)) == {("/proc/self/exe", 5, 1): 1}


def test_a_reused_pid_is_another_process() -> None:
    trace = parsed(
        mark("container pid 9")
        + (fork(1, 9) + execs(9, "/bin/a") + fork(9, 10) + enters(10, 231, 0) + dies(10))
        + (fork(1, 10) + fails(10, 5, 1))
    )
    assert trace.calls == ()
    assert trace.apparatus == 1


# --- steps ------------------------------------------------------------------------------


def test_failures_belong_to_the_step_that_ran_when_they_happened() -> None:
    trace = parsed(
        mark("container pid 9")
        + (fork(1, 9) + execs(9, "/bin/redis") + fails(9, 5, 1))
        + (mark("step 1") + fails(9, 5, 1) + mark("step 1 end") + fails(9, 5, 1))
        + (mark("step 2") + fails(9, 5, 1))
    )
    assert [(call.count, call.steps) for call in trace.calls] == [(4, {1, 2})]


def test_a_steps_own_process_belongs_to_it_however_late_its_mark_is() -> None:
    trace = parsed(
        mark("step 3")
        + (fork(1, 9) + execs(9, "/bin/a") + fails(9, 5, 1))
        + (mark("step 4") + fails(9, 5, 1) + mark("step 3 pid 9"))
    )
    assert [(call.count, call.steps) for call in trace.calls] == [(2, {3})]


# --- what is no failure -----------------------------------------------------------------


def test_restart_codes_returns_from_signals_and_large_results_are_dropped() -> None:
    text = "".join(fails(9, 130, code) for code in (512, 513, 514, 515, 516, 4096))
    text += line(9, "sys_exit: NR -1 = -4") + line(9, "sys_exit: NR 5 = 0")
    assert parsed(mark("container pid 9") + fork(1, 9) + execs(9, "/bin/a") + text).calls == ()


def test_a_beginning_belongs_to_the_next_end_of_the_same_call_alone() -> None:
    trace = parsed(
        mark("container pid 9")
        + (fork(1, 9) + execs(9, "/bin/a"))
        + (enters(9, 41, 1) + fails(9, 5, 1) + fails(9, 41, 1))
    )
    assert {(call.key.number, call.key.entered) for call in trace.calls} == {
        (5, False),
        (41, False),
    }


@pytest.mark.parametrize("before", ["", "0x"])
def test_an_fcntl_has_the_command_of_its_own_event(before: str) -> None:
    trace = parsed(
        line(1, "tracing_mark_write: harness container pid 9")
        + execs(9, "/bin/a")
        + line(9, f"sys_fcntl(fd: 3, cmd: {before}409, arg: {before}7ffd1)")
        + fails(9, 72, 22)
    )
    (call,) = trace.calls
    assert (call.key.operation, call.arguments) == ((0x409,), (3, 0x409, 0x7FFD1))
    assert not trace.unparsed


def test_repeats_of_a_begun_call_are_one_line_for_each_operation() -> None:
    ioctl = [
        enters(9, 16, fd, request) + fails(9, 16, 25) for fd in (0, 1, 2) for request in (7, 8)
    ]
    trace = parsed(mark("container pid 9") + fork(1, 9) + execs(9, "/bin/a") + "".join(ioctl))
    assert {(call.key.operation, call.count) for call in trace.calls} == {((7,), 3), ((8,), 3)}


# --- ends -------------------------------------------------------------------------------


def test_an_exit_status_is_exit_groups_argument() -> None:
    assert only_end(enters(9, 231, 0x105) + dies(9)).exit == 5
    assert only_end(enters(9, 60, 3) + dies(9)).exit == 3


def test_a_signal_that_ends_a_process_is_named_even_where_sigkill_was_delivered() -> None:
    killed = line(9, "signal_deliver: sig=9 errno=0 code=0 sa_handler=0 sa_flags=0")
    sent = line(1, "signal_generate: sig=15 errno=0 code=0 comm=a pid=9 grp=1 res=0")
    assert only_end(killed + dies(9)).signal == 9
    assert only_end(sent + killed + dies(9)).signal == 15


def test_a_handled_signal_ends_nothing() -> None:
    handled = line(9, "signal_deliver: sig=15 errno=0 code=0 sa_handler=55c3 sa_flags=4000000")
    end = only_end(handled + enters(9, 231, 0) + dies(9))
    assert (end.exit, end.signal) == (0, 0)


def test_threads_killed_by_exit_group_do_not_make_a_killed_process() -> None:
    killed = line(10, "signal_deliver: sig=9 errno=0 code=0 sa_handler=0 sa_flags=0")
    end = only_end(fork(9, 10, thread=True) + enters(9, 231, 4) + dies(9) + killed + dies(10))
    assert end.exit == 4


def test_the_last_failure_is_not_a_harmless_one() -> None:
    text = fails(9, 257, 13) + fails(9, 0, 11) + enters(9, 16, 1, 0x5401) + fails(9, 16, 25)
    assert only_end(text + dies(9)).last == (257, 13)


def test_the_last_failure_is_the_last_even_of_repeats() -> None:
    text = fails(9, 257, 13) + fails(9, 257, 2) + fails(9, 257, 13)
    assert only_end(text + dies(9)).last == (257, 13)


# --- hostile images ---------------------------------------------------------------------


def test_a_program_whose_path_looks_like_lines_of_a_trace_is_just_a_path() -> None:
    path = "./a b\n pid=1 old_pid=1\n" + fails(9, 222, 38).rstrip("\n")
    trace = parsed(
        mark("container pid 9") + fork(1, 9) + execs(9, path) + enters(9, 231, 127) + dies(9)
    )
    assert trace.calls == ()
    assert trace.ends[0].path.decode() == path
    assert trace.unparsed == 0


def test_a_process_name_with_a_line_end_is_no_line() -> None:
    text = execs(9, "/bin/a") + dies(9).replace("comm=sh", "comm=x\n<...>-9 pid=1")
    trace = parsed(mark("container pid 9") + fork(1, 9).replace("=sh ", "=a\nb\n ") + text)
    assert [end.pid for end in trace.ends] == [9]
    assert trace.unparsed == 0


def test_a_recording_with_a_token_takes_no_other_marks() -> None:
    forged = mark("end") + mark("container pid 1") + mark("0badc0de end")
    text = OLD.replace("harness ", "harness 5eed5eed ")
    assert parsed(forged + text, token="5eed5eed") == parsed(text, token="5eed5eed")
    assert kinds(parsed(text, token="5eed5eed")) == kinds(parsed(OLD))


# --- bounds -----------------------------------------------------------------------------


def test_kinds_of_failures_beyond_the_limit_are_counted_not_kept() -> None:
    many = "".join(fails(9, number, 38) for number in range(1000, 1050 + ledger.MAX_TALLIES))
    trace = parsed(mark("container pid 9") + fork(1, 9) + execs(9, "/bin/a") + many)
    assert len(trace.calls) == ledger.MAX_TALLIES
    assert trace.dropped == 50


def test_short_lived_processes_do_not_pile_up_before_the_mark() -> None:
    loop = "".join(
        fork(9, pid) + execs(pid, "/bin/true") + fails(pid, 21, 2) + enters(pid, 231, 0) + dies(pid)
        for pid in range(100, 100 + 3 * ledger.MAX_FAMILIES)
    )
    head = fork(1, 9) + execs(9, "/bin/sh")
    early, late = (
        parsed(text + mark("end"))
        for text in (mark("container pid 9") + head + loop, head + loop + mark("container pid 9"))
    )
    assert kinds(early) == kinds(late) == {("/bin/true", 21, 2): 3 * ledger.MAX_FAMILIES}
    assert len(early.ends) == len(late.ends) == ledger.MAX_ENDS
    assert early.dropped == late.dropped > 0


# --- any input --------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    [
        OLD,
        NEW,
        *OLD.splitlines(keepends=True),
        "           <...>-9 [000] .... 1.0: sched_process_exec: filename=",
        " pid=9 old_pid=9\n",
        "CPU:0 [LOST 3 EVENTS]\n",
        "CPU:0 [LOST EVENTS]\n",
        "x" * 4500,
        "\n",
        "9" * 30,
        mark("step 99999999999999999999 pid 88888888888888888888"),
        enters(9, 16, 1) + fails(9, 16, 25),
        enters(9, 231, 2**64 - 1),
        line(9, "sys_enter: NR 54 (1)") + fails(9, 54, 1),
        execs(92, "/bin/b") + fork(92, 92) + dies(92),
        line(92, "signal_generate: sig=999 errno=0 code=0 comm=a pid=92 grp=1 res=0"),
    ]
).map(str.encode)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.one_of(FRAGMENTS, st.binary(max_size=80)), max_size=40),
    chunk=st.integers(1, 4000),
)
def test_whatever_comes_is_taken_and_cut_anywhere_it_means_the_same(
    parts: list[bytes], chunk: int
) -> None:
    data = b"".join(parts)
    assert parsed(data, chunk=chunk) == parsed(data)


def test_records_at_the_edge_of_a_batch_are_taken_once() -> None:
    head = mark("container pid 9") + fork(1, 9) + execs(9, "/bin/a")
    body = "".join(fails(9, 257, 2) + enters(9, 600) + fails(9, 600, 38) for _ in range(6000))
    whole = parsed(head + body + mark("end"))
    assert kinds(whole) == {("/bin/a", 257, 2): 6000, ("/bin/a", 600, 38): 6000}
    for chunk in (4096, 65_536, 65_537, LONGEST):
        assert parsed(head + body + mark("end"), chunk=chunk) == whole


def test_a_million_events_take_seconds() -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    head = mark("container pid 100") + fork(1, 100) + execs(100, "/usr/bin/redis")
    pids = range(101, 131)
    head += "".join(fork(100, pid) for pid in pids)
    block = "".join(
        fails(chance.choice(pids), *chance.choice([(0, 11), (45, 11), (202, 110), (262, 2)]))
        for _ in range(9_800)
    ) + "".join(
        enters(pid, 16, 1, 0x5401) + fails(pid, 16, 25) for pid in [*pids, *pids, *pids, 100]
    )
    data = block.encode()
    parser = TraceParser()
    parser.feed(head.encode())
    began = time.process_time()
    for _ in range(100):
        parser.feed(data)
    trace = parser.finish()
    seconds = time.process_time() - began
    assert sum(call.count for call in trace.calls) == 100 * (9_800 + 91)
    assert len(parser._buffer) < 1 << 17
    assert seconds < 20, f"1,000,000 events took {seconds:.1f} s of processor time"
