from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from observations import end, environment, failure, observation, redis_broken, step

from harness.findings import Difference, Field, Finding, Kind
from harness.model.causes import KnownCause, Pattern
from harness.model.hosts import Accelerator
from harness.model.observations import Observation, Origin, Verdict
from harness.model.scenarios import Known
from harness.verdicts.compare import Terms, compare
from harness.verdicts.differences import Factors
from harness.verdicts.views import Recorded

MIB = 1 << 20


def cell(kernel: str = "5.10", **other: Any) -> Observation:
    return observation(kernel, **other)


def printed(text: str, kernel: str = "5.10", **other: Any) -> Observation:
    return cell(kernel, steps=(step(stdout=text, **other),))


def compared(
    before: Observation,
    after: Observation,
    *,
    before_too: Sequence[Observation] = (),
    after_too: Sequence[Observation] = (),
    known: Sequence[Known] = (),
    **terms: Any,
) -> Finding:
    return compare(
        Recorded(observation=before, run="one", repeats=tuple(before_too)),
        Recorded(observation=after, run="two", repeats=tuple(after_too)),
        Terms(known=lambda one: [e for e in known if e.kernels == one.kernel], **terms),
    )


def fields(differences: Sequence[Difference]) -> list[Field]:
    return [one.field for one in differences]


# --- kinds ------------------------------------------------------------------------------


def test_two_alike_observations_are_the_same_and_the_finding_says_where_they_are_from() -> None:
    finding = compared(cell("latest"), cell("5.10"))
    assert finding.kind is Kind.SAME
    assert not finding.differences
    assert (finding.before.run, finding.after.run) == ("one", "two")
    assert finding.after.release == "5.10.0-35-cloud-amd64"
    assert finding.after.cell == cell("5.10").id


def test_a_cell_that_met_its_expectations_on_the_baseline_alone_is_broken() -> None:
    before = redis_broken("latest", verdict=Verdict.PASSED, reason="", failures=(), ends=())
    finding = compared(before, redis_broken("5.10"))
    assert finding.kind is Kind.BROKEN
    assert finding.differences[0].field is Field.VERDICT
    assert finding.differences[0].after.startswith("failed: step 2")
    assert finding.cause is not None
    assert finding.cause.syscall == "epoll_pwait2"


def test_the_other_way_round_it_is_fixed() -> None:
    after = redis_broken("latest", verdict=Verdict.PASSED, reason="", failures=(), ends=())
    finding = compared(redis_broken("5.10"), after)
    assert finding.kind is Kind.FIXED
    assert finding.cause is None


def test_a_step_that_takes_too_long_is_broken_as_well() -> None:
    late = cell(verdict=Verdict.TIMED_OUT, steps=(step(timed_out=True, exit=None),))
    assert compared(cell("latest"), late).kind is Kind.BROKEN


def test_of_two_failures_nothing_is_learnt() -> None:
    finding = compared(redis_broken("latest"), redis_broken("5.10"))
    assert finding.kind is Kind.UNKNOWN
    assert "fails on both sides" in finding.notes[0]


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_lost_guest_is_never_a_regression(lost: str) -> None:
    died = cell("5.10", verdict=Verdict.DIED, reason="QEMU ended", steps=())
    fine = cell("latest")
    finding = compared(died, fine) if lost == "before" else compared(fine, died)
    assert finding.kind is Kind.UNKNOWN
    assert finding.notes == ("the guest was lost on 5.10: QEMU ended",)
    assert not finding.differences


def test_another_output_is_changed_and_shown_from_above_the_first_line_that_differs() -> None:
    head = "".join(f"line {n}\n" for n in range(20))
    finding = compared(printed(f"{head}old\n", "latest"), printed(f"{head}new\n"))
    assert finding.kind is Kind.CHANGED
    [one] = finding.differences
    assert (one.field, one.step) == (Field.STDOUT, 0)
    assert one.before == "[18 lines, the same]\nline 18\nline 19\nold\n"
    assert one.after.endswith("new\n")


def test_an_enormous_output_is_shown_in_part() -> None:
    [one] = compared(printed("a" * 9000, "latest"), printed("b")).differences
    assert one.before.endswith("[7000 more characters]")


def test_outputs_that_differ_in_the_release_alone_are_the_same() -> None:
    before = printed("Linux 7.3.4+deb13-cloud-amd64\n", "latest")
    assert compared(before, printed("Linux 5.10.0-35-cloud-amd64\n")).kind is Kind.SAME


def test_a_scenarios_own_rules_come_with_its_observations() -> None:
    rules = ((r"worker \d+", "worker N"),)
    before = observation("latest", steps=(step(stdout="worker 3"),), normalise=rules)
    after = observation("5.10", steps=(step(stdout="worker 12"),), normalise=rules)
    assert compared(before, after).kind is Kind.SAME


def test_of_a_service_the_lines_are_compared_in_any_order() -> None:
    def served(kernel: str, *lines: str) -> Observation:
        return cell(kernel, steps=(step(name="service", stderr="\n".join((*lines, ""))),))

    before = served("latest", "up", "worker", "down")
    assert compared(before, served("5.10", "worker", "up", "worker", "down")).kind is Kind.SAME
    assert compared(before, served("5.10", "up", "down")).kind is Kind.CHANGED


def test_an_exit_status_that_differs_is_changed_while_expectations_are_met() -> None:
    before, after = (cell(k, steps=(step(exit=n),)) for k, n in (("latest", 1), ("5.10", 2)))
    [one] = compared(before, after).differences
    assert (one.field, one.before, one.after) == (Field.EXIT, "1", "2")


def test_a_kernel_message_that_is_new_is_a_difference() -> None:
    finding = compared(cell("latest"), cell(messages=("cgroup: fork rejected",)))
    assert finding.kind is Kind.CHANGED
    assert finding.differences == (Difference(field=Field.MESSAGES, after="cgroup: fork rejected"),)


# --- failing calls ----------------------------------------------------------------------


def test_a_new_enosys_that_the_program_coped_with_is_degraded() -> None:
    finding = compared(cell("latest"), cell(failures=(failure(),)))
    assert finding.kind is Kind.DEGRADED
    [one] = finding.differences
    assert (one.field, one.syscall, one.errno) == (Field.ENOSYS, "fchmodat2", "ENOSYS")
    assert (one.program, one.origin, one.coped) == ("systemd-tmpfiles", Origin.KERNEL, True)
    assert one.before == ""


def test_a_failure_that_is_gone_is_changed_only() -> None:
    finding = compared(cell("5.10", failures=(failure(),)), cell("latest"))
    assert finding.kind is Kind.CHANGED
    assert (finding.differences[0].before, finding.differences[0].after) == ("ENOSYS", "")


def test_a_call_that_fails_in_another_way_is_one_difference() -> None:
    earlier = failure(errno="EOPNOTSUPP", origin=Origin.OTHER)
    [one] = compared(cell("latest", failures=(earlier,)), cell(failures=(failure(),))).differences
    assert (one.field, one.before, one.after) == (Field.ENOSYS, "EOPNOTSUPP", "ENOSYS")


def test_pids_and_counts_of_failing_calls_are_not_compared() -> None:
    before = cell("latest", failures=(failure(pid=9, count=1, offset=7.0),))
    assert compared(before, cell(failures=(failure(),))).kind is Kind.SAME


def test_a_refusal_by_another_origin_is_a_difference() -> None:
    before = cell("latest", failures=(failure(origin=Origin.SECCOMP),))
    assert compared(before, cell(failures=(failure(),))).kind is Kind.DEGRADED


@pytest.mark.parametrize(
    ("name", "errno", "origin"),
    [
        ("read", "EAGAIN", Origin.OTHER),
        ("wait4", "EINTR", Origin.OTHER),
        ("futex", "ETIMEDOUT", Origin.OTHER),
    ],
)
def test_a_call_that_failed_because_of_when_it_was_made_is_no_difference(
    name: str, errno: str, origin: Origin
) -> None:
    late = failure(name, 0, errno=errno, origin=origin)
    assert compared(cell("latest"), cell(failures=(late,))).kind is Kind.SAME


@pytest.mark.parametrize("name", ["clone", "setuid"])
def test_a_limit_that_answers_eagain_is_a_difference(name: str) -> None:
    refused = failure(name, 0, errno="EAGAIN", origin=Origin.OTHER)
    assert compared(cell("latest"), cell(failures=(refused,))).kind is Kind.DEGRADED


def test_calls_that_a_side_may_have_lost_count_for_nothing() -> None:
    known = failure(origin=Origin.UNKNOWN)
    lossy = cell("latest", lost_events=12, failures=(known,))
    finding = compared(lossy, cell(failures=(failure(), failure("clone3", 435))))
    assert finding.kind is Kind.SAME
    assert "12 events of the tracer were lost" in finding.notes[0]
    assert compared(cell(failures=(failure(),)), lossy).kind is Kind.SAME


def test_calls_are_not_compared_with_those_of_an_untraced_cell() -> None:
    finding = compared(cell("latest", traced=False), cell(failures=(failure(),)))
    assert finding.kind is Kind.SAME
    assert "was not traced" in finding.notes[0]


# --- noise ------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["before", "after"])
def test_what_differs_between_two_runs_on_one_kernel_is_noise(side: str) -> None:
    one, two, three = printed("7", "latest"), printed("8", "latest"), printed("9")
    again = {"before_too": [two]} if side == "before" else {"after_too": [printed("1")]}
    finding = compared(one, three, **again)  # type: ignore[arg-type]
    assert finding.kind is Kind.SAME
    assert fields(finding.noise) == [Field.STDOUT]
    assert not finding.differences


def test_noise_in_one_field_leaves_a_difference_in_another() -> None:
    one, again = printed("7", "latest"), printed("8", "latest")
    finding = compared(one, printed("9", stderr="new"), before_too=[again])
    assert fields(finding.differences) == [Field.STDERR]
    assert fields(finding.noise) == [Field.STDOUT]


def test_a_failing_call_that_comes_and_goes_is_noise() -> None:
    finding = compared(cell("latest"), cell(failures=(failure(),)), after_too=[cell()])
    assert finding.kind is Kind.SAME
    assert finding.noise[0].syscall == "fchmodat2"


def test_a_verdict_that_comes_and_goes_teaches_nothing() -> None:
    failed = cell(verdict=Verdict.FAILED, reason="step 1: x")
    for again in (
        {"after_too": [cell()]},
        {"before_too": [cell("latest", verdict=Verdict.FAILED)]},
    ):
        finding = compared(cell("latest"), failed, **again)  # type: ignore[arg-type]
        assert finding.kind is Kind.UNKNOWN
        assert "not the same in every run" in finding.notes[0]


def test_a_repeat_whose_guest_was_lost_is_no_noise() -> None:
    died = cell("latest", verdict=Verdict.DIED, steps=())
    finding = compared(printed("a", "latest"), printed("b"), before_too=[died])
    assert finding.kind is Kind.CHANGED


# --- memory and time --------------------------------------------------------------------


def sized(kernel: str, size: int, way: str = "memory.peak") -> Observation:
    return cell(kernel, steps=(step(peak_memory=size * MIB, peak_memory_way=way),))


def test_memory_counts_only_beyond_the_stated_factor_and_by_enough() -> None:
    assert compared(sized("latest", 100), sized("5.10", 190)).kind is Kind.SAME
    assert compared(sized("latest", 5), sized("5.10", 30)).kind is Kind.SAME
    [one] = compared(sized("latest", 100), sized("5.10", 250)).differences
    assert (one.field, one.before, one.after) == (Field.MEMORY, "100.0 MiB", "250.0 MiB")


def test_every_run_of_both_sides_must_be_beyond_the_factor() -> None:
    again = [sized("latest", 200)]
    finding = compared(sized("latest", 100), sized("5.10", 250), before_too=again)
    assert finding.kind is Kind.SAME


def test_two_ways_of_measuring_memory_are_never_compared() -> None:
    finding = compared(sized("latest", 100), sized("5.10", 900, "rusage"))
    assert finding.kind is Kind.SAME
    assert "two ways" in finding.notes[0]


def test_time_counts_only_beyond_its_factor() -> None:
    fast, slow = (cell(k, steps=(step(seconds=n),)) for k, n in (("latest", 2.0), ("5.10", 30.0)))
    assert fields(compared(fast, slow).differences) == [Field.TIME]
    assert compared(fast, slow, factors=Factors(time=20.0)).kind is Kind.SAME


# --- known differences ------------------------------------------------------------------

ENOSYS = Known(kernels="5.10", reason="falls back", syscall="fchmodat2", errno="ENOSYS")
OUTPUT = Known(kernels="5.10", reason="older wording", field="stdout", where="create")


def test_a_known_refusal_is_shown_as_known_and_nothing_else_is() -> None:
    other = failure("clone3", 435)
    finding = compared(cell("latest"), cell(failures=(failure(), other)), known=[ENOSYS])
    assert finding.kind is Kind.DEGRADED
    assert [one.known for one in finding.known] == ["falls back"]
    assert [one.syscall for one in finding.differences] == ["clone3"]
    only = compared(cell("latest"), cell(failures=(failure(),)), known=[ENOSYS])
    assert (only.kind, only.stale) == (Kind.SAME, ())


def test_what_is_known_of_the_baselines_kernel_explains_that_it_is_gone() -> None:
    finding = compared(cell("5.10", failures=(failure(),)), cell("latest"), known=[ENOSYS])
    assert finding.kind is Kind.SAME
    assert [one.known for one in finding.known] == ["falls back"]


def test_a_known_output_is_that_of_its_step() -> None:
    before, after = printed("a", "latest"), printed("b")
    assert compared(before, after, known=[OUTPUT]).kind is Kind.SAME
    elsewhere = Known(kernels="5.10", reason="x", field="stdout", where="other")
    finding = compared(before, after, known=[elsewhere])
    assert (finding.kind, finding.stale) == (Kind.CHANGED, ("x",))


def test_of_a_known_failure_all_differences_are_consequences() -> None:
    before = redis_broken("latest", verdict=Verdict.PASSED, reason="", failures=(), ends=())
    entry = Known(kernels="5.10", reason="no fallback", syscall="epoll_pwait2")
    finding = compared(before, redis_broken(), known=[entry])
    assert finding.kind is Kind.SAME
    assert Field.VERDICT in fields(finding.known)
    assert not finding.differences


@pytest.mark.parametrize("entry", [ENOSYS, OUTPUT])
def test_a_known_difference_of_which_nothing_happened_is_stale(entry: Known) -> None:
    assert compared(cell("latest"), cell(), known=[entry]).stale == (entry.reason,)


def test_a_known_output_that_is_noise_is_not_stale() -> None:
    finding = compared(
        printed("a", "latest"), printed("b"), after_too=[printed("c")], known=[OUTPUT]
    )
    assert not finding.stale


# --- what is unlike ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [{"scenario_digest": "e" * 32}, {"environment": environment(accelerator=Accelerator.KVM)}],
    ids=["scenario", "accelerator"],
)
def test_what_makes_an_answer_worthless_is_refused_unless_it_is_asked_for(
    other: dict[str, Any],
) -> None:
    after = cell(steps=(step(stdout="other"),), **other)
    refused = compared(cell("latest"), after)
    assert refused.kind is Kind.UNKNOWN
    assert "--compare-anyway" in refused.notes[0]
    assert not refused.differences
    anyway = compared(cell("latest"), after, anyway=True)
    assert anyway.kind is Kind.CHANGED
    assert anyway.unlike == refused.unlike != ()


def test_a_failing_process_is_said_where_the_step_still_met_its_expectations() -> None:
    failed = cell(failures=(failure(),), ends=(end(exit=1),))
    assert compared(cell("latest"), failed).differences[0].coped is False


def test_a_breakage_that_is_a_known_case_is_noted_with_what_helps() -> None:
    known = KnownCause(
        name="no-epoll-pwait2",
        text="epoll_pwait2 is new.",
        help="A newer kernel.",
        references=("epoll_wait(2)", "another"),
        when=(Pattern(syscall=("epoll_pwait2",), errno=("ENOSYS",)),),
    )
    fine = redis_broken("latest", verdict=Verdict.PASSED, reason="", failures=(), ends=())
    left = Recorded(observation=fine, run="one")
    right = Recorded(observation=redis_broken("5.10"), run="two")
    found = compare(left, right, Terms(causes=(known,)))
    assert found.notes == ("known case no-epoll-pwait2: A newer kernel. See epoll_wait(2)",)
    back = compare(right, left, Terms(causes=(known,)))
    assert (back.kind, back.notes) == (Kind.FIXED, ())
