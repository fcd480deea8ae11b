from __future__ import annotations

from surveys import surveyed

from harness.model.hosts import Cgroup
from harness.scenarios.requirements import missing


def test_a_host_that_has_all_lacks_nothing() -> None:
    assert (
        missing({"userns": "true", "cgroup": "v2", "ia32": "true", "modules": "true"}, surveyed())
        == ""
    )


def test_what_a_host_lacks_is_named_in_words() -> None:
    lacking = missing({"userns": "true", "ia32": "true"}, surveyed(ia32=False, userns=False))
    assert lacking == "user namespaces, 32-bit programs"


def test_a_hybrid_host_counts_as_cgroup_v1() -> None:
    assert missing({"cgroup": "v1"}, surveyed(cgroup=Cgroup.HYBRID)) == ""
    assert missing({"cgroup": "v2"}, surveyed(cgroup=Cgroup.HYBRID)) == "cgroup v2"
