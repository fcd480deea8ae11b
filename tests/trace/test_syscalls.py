import pytest

from harness.trace.syscalls import Syscalls


@pytest.fixture(scope="module")
def syscalls() -> Syscalls:
    return Syscalls()


@pytest.mark.parametrize(
    ("number", "abi", "name"),
    [
        (452, "x86_64", "fchmodat2"),
        (257, "x86_64", "openat"),
        (295, "i386", "openat"),
        (600, "x86_64", "syscall_600"),
        (600, "i386", "syscall_600"),
    ],
)
def test_names_and_numbers_belong_to_each_other(
    syscalls: Syscalls, number: int, abi: str, name: str
) -> None:
    assert syscalls.name(number, abi) == name
    assert syscalls.number(name, abi) == number


def test_an_unknown_name_has_no_number(syscalls: Syscalls) -> None:
    assert syscalls.number("no_such_call") is None
    assert syscalls.number("syscall_") is None


def test_the_table_goes_both_ways(syscalls: Syscalls) -> None:
    table = syscalls.numbers("x86_64")
    assert len(table) > 370
    assert all(syscalls.number(name) == number for number, name in table.items())
