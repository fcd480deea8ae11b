from __future__ import annotations

from harness.oci_limits import Limits, limits


def test_what_is_not_given_stays_as_it_was() -> None:
    assert limits([]) == Limits()
    assert limits(["files=7"]) == Limits(files=7)


def test_bytes_may_have_a_unit() -> None:
    assert limits(["unpacked=8G", "depth=3"]) == Limits(unpacked=8 << 30, depth=3)
    assert limits(["unpacked=512MiB"]).unpacked == 512 << 20
    assert limits(["unpacked=100"]).unpacked == 100
