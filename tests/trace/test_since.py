from __future__ import annotations

import itertools

from harness.trace import since
from harness.trace.since_publish import of_page, of_table, text
from harness.trace.syscalls import Syscalls

PAGE = """.TH syscalls 2 2024-05-02 "Linux man-pages 6.9.1"
.SH NAME
\\fBaccept\\fP(2)\t2.0\tT{
See notes on \\fBsocketcall\\fP(2)
\\fBopenat2\\fP(2)\t5.6
"""
TABLE = """#syscall (v6.16.0 2025-08-26),x86,x86_kver,x86_64,x86_64_kver
accept,PNR,SCMP_KV_UNDEF,43,SCMP_KV_3_0
openat2,437,SCMP_KV_5_7,437,SCMP_KV_5_7
clock_gettime64,403,SCMP_KV_5_1,PNR,SCMP_KV_UNDEF
mseal,462,SCMP_KV_6_10,462,SCMP_KV_6_10
"""


def test_the_manual_page_goes_before_the_table_which_has_what_it_lacks() -> None:
    assert of_page(PAGE) == {"accept": "2.0", "openat2": "5.6"}
    assert of_table(TABLE) == {"openat2": "5.7", "clock_gettime64": "5.1", "mseal": "6.10"}
    written = text(PAGE, TABLE)
    assert 'openat2 = "5.6"\n' in written
    assert 'mseal = "6.10"\n' in written
    assert "Linux man-pages 6.9.1" in written
    assert "v6.16.0" in written


def test_the_data_names_calls_of_the_tables_only() -> None:
    syscalls = Syscalls()
    known = since.load()
    names = set(syscalls.by_name("x86_64")) | set(syscalls.by_name("i386"))
    assert set(known) <= names
    assert (known["fchmodat2"], known["mseal"], known["io_uring_setup"]) == ("6.6", "6.10", "5.1")


def test_newer_calls_have_higher_numbers() -> None:
    """New calls get the next number since 5.1, two aside whose numbers were taken early."""
    syscalls, known = Syscalls(), since.load()
    early = {"close_range", "quotactl_fd"}
    numbered = sorted(
        (number, tuple(map(int, known[name].split("."))))
        for name, number in syscalls.by_name("x86_64").items()
        if name in known and name not in early and 424 <= number < 512
    )
    assert all(older[1] <= newer[1] for older, newer in itertools.pairwise(numbered))
