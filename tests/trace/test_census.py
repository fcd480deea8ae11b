import shutil
from dataclasses import dataclass

import pydantic
import pytest

from harness import process
from harness.process import Completed
from harness.trace.census import (
    Census,
    CensusTaker,
    compare,
    missing,
    parse_kallsyms,
    parse_probe,
)
from harness.trace.plan import plan_for
from harness.trace.syscalls import Syscalls

# As three generations of kernels print /proc/kallsyms.
BEFORE_4_17 = """\
ffffffff810c0000 T sys_ni_syscall
ffffffff810c0000 W sys_kcmp
ffffffff811a0000 T sys_read
ffffffff811a0000 T SyS_read
ffffffff811a1000 T SyS_newuname
ffffffff81600000 T stub_clone
ffffffff811a2000 T compat_sys_openat
ffffffff811a3000 T sys32_pread
ffffffff811a4000 T sys_restart_syscall
"""
FROM_4_17 = """\
ffffffff810c0000 T sys_ni_syscall
ffffffff810c0000 W __x64_sys_kcmp
ffffffff810c0000 T __x64_sys_uselib
ffffffff810c0000 W __ia32_sys_kcmp
ffffffff811a0000 T __x64_sys_read
ffffffff811a1000 T __x64_sys_newuname
ffffffff811a2000 T __ia32_compat_sys_openat
ffffffff811a3000 T __ia32_compat_sys_x86_pread
"""
SOCKET = "ffffffff811a5000 T sys_socket\n"
SOCKET_4_17 = "ffffffff811a5000 T __ia32_sys_socket\n"
SINCE_5_7 = """\
ffffffff810c0000 T __x64_sys_ni_syscall
ffffffff810c0010 W __x64_sys_kcmp
ffffffff811a0000 T __x64_sys_read
ffffffff811a1000 T __x64_sys_newuname
ffffffff811a2000 T __ia32_compat_sys_openat
ffffffff811a3000 T __ia32_sys_ia32_pread64
"""


@pytest.fixture(scope="module")
def syscalls() -> Syscalls:
    return Syscalls()


@pytest.fixture(scope="module")
def taker(syscalls: Syscalls) -> CensusTaker:
    return CensusTaker(syscalls)


@pytest.mark.parametrize("text", [BEFORE_4_17, FROM_4_17, SINCE_5_7])
def test_symbols_tell_what_is_built_in_on_every_generation(taker: CensusTaker, text: str) -> None:
    symbols = parse_kallsyms(text)
    assert symbols is not None
    found = taker.by_symbols(symbols, "x86_64")
    assert {0, 63} <= found  # read, uname
    assert 312 not in found  # kcmp
    assert {295, 180} <= taker.by_symbols(symbols, "i386")  # openat, pread64
    assert 349 not in taker.by_symbols(symbols, "i386")


def test_stubs_are_entry_points_before_4_17(taker: CensusTaker) -> None:
    symbols = parse_kallsyms(BEFORE_4_17)
    assert symbols is not None
    assert 56 in taker.by_symbols(symbols, "x86_64")


@pytest.mark.parametrize(
    "text", ["", "0000000000000000 T sys_ni_syscall\n0000000000000000 T sys_read\n"]
)
def test_hidden_or_missing_symbols_are_no_way(text: str) -> None:
    assert parse_kallsyms(text) is None


def test_the_probes_lines_say_what_is_there() -> None:
    text = "0 errno 9\n1 errno 0\n2 errno 38\n3 signal 4\n4 signal 31\n5 limit\ndone\n"
    assert parse_probe(text) == {0: True, 1: True, 2: False, 3: True, 4: False, 5: True}


@pytest.mark.parametrize("text", ["", "0 errno 9\n", "perl: not found\n"])
def test_a_probe_that_did_not_end_is_none(text: str) -> None:
    assert parse_probe(text) is None


def test_raw_probing_counts_and_a_disagreement_is_said(taker: CensusTaker) -> None:
    raw = {0: True, 312: False, 447: False, 452: True}
    numbers, found = taker.combine(raw, frozenset({0, 312, 447, 34, 60}), "x86_64")
    assert numbers == (0, 34, 60, 452)
    assert len(found) == 2
    assert found[0].startswith("kcmp (x86_64 312): raw probing ENOSYS, kallsyms has a symbol")
    assert found[1].startswith("fchmodat2 (x86_64 452): raw probing answers, kallsyms has no")


@dataclass
class Guest:
    """Answers as a guest's shell does; a number that is not among ``there`` is refused."""

    symbols: str
    there: frozenset[int]

    def run(
        self, command: str, *, stdin: bytes = b"", limit: float = 60.0, check: bool = True
    ) -> Completed:
        if command == "uname -r":
            said = "3.10.0\n"
        elif "kallsyms" in command:
            said = self.symbols
        else:
            numbers = (f"{n} errno {9 if n in self.there else 38}\n" for n in (0, 295, 353, 359))
            said = "".join(numbers) + "done\n"
        return Completed((), 0, said.encode(), b"", 0.0)


@pytest.mark.parametrize(
    ("symbols", "disagrees"), [(BEFORE_4_17 + SOCKET, False), (FROM_4_17 + SOCKET_4_17, True)]
)
def test_before_4_17_a_symbol_does_not_tell_which_table_has_the_call(
    taker: CensusTaker, symbols: str, disagrees: bool
) -> None:
    census = taker.take(Guest(symbols, frozenset({0, 295})))
    assert 359 not in census.implemented["i386"]
    said = [line for line in census.disagreements if line.startswith("socket (i386 359)")]
    assert bool(said) == disagrees


def test_one_way_alone_is_enough(taker: CensusTaker) -> None:
    assert taker.combine(None, frozenset({3, 1}), "x86_64") == ((1, 3), [])
    numbers, found = taker.combine({0: True, 2: False}, None, "x86_64")
    assert 0 in numbers and 2 not in numbers and 60 in numbers
    assert found == []


def test_a_number_without_a_name_cannot_disagree(taker: CensusTaker) -> None:
    assert taker.combine({500: True}, frozenset(), "x86_64") == ((500,), [])


def census(*numbers: int) -> Census:
    return Census(release="6.1", implemented={"x86_64": numbers}, ways={"x86_64": "raw"})


def test_censuses_are_compared_by_what_is_added_and_removed() -> None:
    difference = compare(census(1, 2, 3), census(2, 3, 4))
    assert (difference.added, difference.removed) == ((4,), (1,))


def test_what_is_missing_are_the_tables_numbers_that_are_not_there(syscalls: Syscalls) -> None:
    there = tuple(number for number in syscalls.numbers() if number != 452)
    assert missing(census(*there), syscalls) == (452,)


def test_a_census_survives_json() -> None:
    adapter = pydantic.TypeAdapter(Census)
    assert adapter.validate_json(adapter.dump_json(census(1, 2))) == census(1, 2)


def test_the_plan_arms_holes_of_the_table_and_counts_what_is_newer_than_it() -> None:
    plan = plan_for({"x86_64": [0, 1, 2, 5, 473]}, table_end=471)
    assert {3, 4, 6, 471, 472} <= plan.missing
    assert plan.beyond == 473
    assert not plan_for({}, table_end=471).missing


@pytest.mark.skipif(shutil.which("perl") is None, reason="perl is not installed here")
def test_the_probe_script_tells_present_from_absent(tmp_path: object) -> None:
    from importlib.resources import files

    script = (files("harness.trace") / "census_probe.pl").read_text()
    done = process.run(["perl", "-", "38", "40", "39", "38:0,0,0"], limit=60, stdin=script.encode())
    assert done.stdout.decode().splitlines()[-1] == "done"
    found = parse_probe(done.stdout.decode())
    assert found == {38: True, 40: True}
    beyond = process.run(["perl", "-", "511", "511", "-", "-"], limit=60, stdin=script.encode())
    assert parse_probe(beyond.stdout.decode()) == {511: False}
