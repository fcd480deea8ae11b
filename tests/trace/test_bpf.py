import struct

import pytest

from harness.trace import bpf
from harness.trace.operations import FCNTL
from harness.trace.plan import Plan, enter_ranges

ARMED = bpf.flags(enter_ranges(Plan(missing=frozenset({134}), refusable=frozenset({272}))))


def test_what_the_filters_would_arm_has_a_byte_and_what_they_would_not_has_none() -> None:
    assert {number: ARMED[number] for number in (134, 272, 16)} == dict.fromkeys(
        (134, 272, 16), bpf.ARMED
    )
    assert not ARMED.keys() & {0, 1, 257, 334}
    assert ARMED[bpf.NUMBERS - 1] == bpf.ARMED


def test_calls_that_do_not_return_and_fcntl_are_told_apart() -> None:
    assert (ARMED[60], ARMED[231], ARMED[252]) == (bpf.ENDS, bpf.ENDS, bpf.ENDS32)
    assert ARMED[FCNTL] == bpf.FCNTL_CALL
    assert bpf.flags(enter_ranges(Plan(ia32=True)))[1] == bpf.ENDS32


def test_an_fcntl_that_a_profile_can_refuse_is_armed_whatever_its_command() -> None:
    assert bpf.flags(enter_ranges(Plan(refusable=frozenset({FCNTL}))))[FCNTL] == bpf.ARMED


@pytest.mark.parametrize("name", bpf.programs())
def test_a_program_jumps_forward_within_itself_and_reads_within_the_value(name: str) -> None:
    steps = list(struct.iter_unpack("<BBhi", bpf.programs()[name]))
    for place, (operation, registers, offset, value) in enumerate(steps):
        if operation & 0x07 == 0x05 and operation not in (0x85, 0x95):  # a jump, no call, no end
            assert 0 <= offset < len(steps) - place - 1
        if operation == 0x85 and registers >> 4 == 1:  # a function begins behind another's end
            assert value > 0
            assert steps[place + value][0] == 0x95
    addresses = [steps[place + 1][3] for place, step in enumerate(steps) if step[0] == 0x18]
    assert addresses
    assert all(0 <= each < bpf.SIZE for each in addresses)
    assert steps[-1][0] == 0x95
