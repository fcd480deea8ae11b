from __future__ import annotations

import pytest
from observations import KERNELS, end, failure, observation, step

from harness.model.observations import Observation, Origin, ProcessEnd, Verdict
from harness.verdicts.enosys import Coped, coped_text, describe, distinct, line, new_in_row


def test_what_differs_in_operation_or_count_alone_is_one_enosys() -> None:
    cell = observation(
        failures=(
            failure("bpf", 321, operation="BPF_PROG_LOAD", count=2),
            failure("bpf", 321, operation="BPF_MAP_CREATE", count=5),
        )
    )
    (item,) = distinct(cell)
    assert item.count == 7


@pytest.mark.parametrize(
    "other",
    [
        {"number": 453},
        {"program": "cp"},
        {"origin": Origin.SECCOMP},
        {"abi": "i386"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_in_call_program_or_origin_is_another(other: dict[str, object]) -> None:
    second = failure(**({"number": 452} | other))  # type: ignore[arg-type]
    assert len(distinct(observation(failures=(failure(), second)))) == 2


def test_other_errors_are_no_enosys() -> None:
    assert distinct(observation(failures=(failure(errno="EPERM"),))) == ()


@pytest.mark.parametrize(
    ("cell", "coped"),
    [
        (observation(failures=(failure(),)), Coped.COPED),
        (observation(failures=(failure(steps=()),)), Coped.COPED),
        (
            observation(failures=(failure(steps=()),), verdict=Verdict.FAILED),
            Coped.UNKNOWN,
        ),
        (
            observation(failures=(failure(),), ends=(end(exit=1),), verdict=Verdict.FAILED),
            Coped.FAILED,
        ),
        (
            observation(failures=(failure(),), ends=(end(exit=None, signal="SEGV"),)),
            Coped.FAILED,
        ),
        (observation(failures=(failure(),), ends=()), Coped.UNKNOWN),
        (observation(failures=(failure(),), ends=(end(exit=None),)), Coped.UNKNOWN),
        (
            observation(
                failures=(failure(),),
                steps=(step(unmet=("stdout is empty",)),),
                verdict=Verdict.FAILED,
            ),
            Coped.UNKNOWN,
        ),
        (
            observation(
                failures=(failure(steps=(0,)),),
                steps=(step(), step(unmet=("stdout is empty",))),
                verdict=Verdict.FAILED,
            ),
            Coped.COPED,
        ),
        (observation(failures=(failure(),), ends=(end(), end(212, exit=1))), Coped.UNKNOWN),
        (
            observation(failures=(failure(count=1),), ends=(end(), end(212, exit=1))),
            Coped.COPED,
        ),
    ],
    ids=[
        "its process ended with 0 and its step is as expected",
        "the step is not known but the cell passed",
        "the step is not known and the cell failed",
        "its process ended with 1",
        "its process was killed",
        "no end was seen",
        "it ended in a way that was not seen",
        "its process ended with 0 and its step is not as expected",
        "another step is not as expected",
        "one of several processes that may have met it failed",
        "another process of the program failed",
    ],
)
def test_a_program_has_coped_only_when_that_was_seen(cell: Observation, coped: Coped) -> None:
    assert [item.coped for item in distinct(cell)] == [coped]


def test_each_row_tells_an_enosys_once_with_its_kernels_in_order() -> None:
    cells = [observation(kernel, failures=(failure(),)) for kernel in ("6.1", "5.10")]
    (new,) = new_in_row([*cells, observation("6.12")], KERNELS)
    assert (
        line(new) == "ENOSYS  fchmodat2 (452)  systemd-tmpfiles  on 5.10, 6.1  from kernel  coped"
    )


def test_another_row_tells_it_again() -> None:
    cells = [observation(scenario=name, failures=(failure(),)) for name in ("one", "two")]
    assert [new.row.scenario for new in new_in_row(cells, KERNELS)] == ["one", "two"]


def test_what_an_earlier_run_saw_in_the_row_is_not_new() -> None:
    clone3 = failure("clone3", 435, origin=Origin.SECCOMP)
    earlier = [observation("5.10", failures=(failure(),))]
    now = [observation("6.1", failures=(failure(), clone3))]
    assert [new.enosys.name for new in new_in_row(now, KERNELS, earlier)] == ["clone3"]


def test_what_became_of_the_program_is_told_by_kernel_where_it_differs() -> None:
    failed: tuple[ProcessEnd, ...] = (end(exit=1),)
    cells = [
        observation("5.10", failures=(failure(),), ends=failed, verdict=Verdict.FAILED),
        observation("6.1", failures=(failure(),)),
    ]
    (new,) = new_in_row(cells, KERNELS)
    assert coped_text(new) == "its process failed on 5.10; coped on 6.1"


def test_a_call_of_the_other_table_says_so() -> None:
    (item,) = distinct(observation(failures=(failure("clock_gettime64", 403, abi="i386"),)))
    assert describe(item) == "clock_gettime64 (403, i386)"
