from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.scenarios import values


@pytest.mark.parametrize(
    ("parse", "written", "meant"),
    [
        (values.duration, "30", 30.0),
        (values.duration, "30s", 30.0),
        (values.duration, "1.5m", 90.0),
        (values.duration, "250ms", 0.25),
        (values.duration, "1h", 3600.0),
        (values.size, "4096", 4096),
        (values.size, "64k", 65536),
        (values.size, "256M", 256 << 20),
        (values.size, "1GiB", 1 << 30),
        (values.size, "2tb", 2 << 40),
        (values.mode, "644", 0o644),
        (values.mode, "0o1777", 0o1777),
        (values.command, "echo $A", ("sh", "-c", "echo $A")),
        (values.command, ["a", "b c"], ("a", "b c")),
        (values.arguments, [], ()),
        (values.entrypoint, "", ()),
        (values.entrypoint, "/a", ("/a",)),
        (values.entrypoint, ["a", "b"], ("a", "b")),
        (values.comma_list, ["5.10", "6.*"], "5.10,6.*"),
        (values.capability, "cap_chown", "CAP_CHOWN"),
        (values.capability, "all", "ALL"),
        (values.signal_name, "SIGTERM", "TERM"),
        (values.signal_name, "9", "KILL"),
        (values.signal_name, "usr1", "USR1"),
        (values.ulimit, "unlimited", (values.UNLIMITED, values.UNLIMITED)),
        (values.ulimit, "1:unlimited", (1, values.UNLIMITED)),
        (values.ulimit_name, "RLIMIT_NOFILE", "nofile"),
    ],
)
def test_a_short_way_of_writing_means_one_thing(
    parse: Callable[[Any], Any], written: object, meant: object
) -> None:
    assert parse(written) == meant


@pytest.mark.parametrize(
    ("parse", "written"),
    [
        (values.duration, "25h"),
        (values.duration, "1 s"),
        (values.duration, "1e9"),
        (values.duration, None),
        (values.duration, "٣s" * 2),
        (values.size, "0"),
        (values.size, "1.5G"),
        (values.size, "9" * 30),
        (values.size, True),
        (values.mode, "77"),
        (values.mode, "17777"),
        (values.mode, "rw-"),
        (values.command, {}),
        (values.entrypoint, "a b"),
        (values.signal_name, "99"),
        (values.ulimit, "1:2:3"),
        (values.ulimit, "-1"),
        (values.pattern, "*"),
        (values.scenario_name, "a::b"),
        (values.scenario_name, ""),
    ],
)
def test_what_means_nothing_is_refused(parse: Callable[[Any], Any], written: object) -> None:
    with pytest.raises(ValueError, match=r"expected|unknown|made of|not a regular"):
        parse(written)
