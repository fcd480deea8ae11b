from __future__ import annotations

from harness.container.facts import Facts
from harness.model.hosts import Cgroup
from harness.scenarios.requirements import missing
from harness.scenarios.survey import Survey
from harness.trace.census import Census


def host(*, cgroup: Cgroup = Cgroup.V2, ia32: bool = True, userns: bool = True) -> Survey:
    implemented: dict[str, tuple[int, ...]] = {"x86_64": (0, 1)}
    if ia32:
        implemented["i386"] = (1, 2)
    return Survey(
        facts=Facts(
            release="6.12",
            cgroup=cgroup,
            controllers=frozenset(),
            namespaces=frozenset({"user"}),
            filesystems=frozenset(),
            sysctls=frozenset(),
            capabilities=frozenset(),
            ambient=True,
            user_namespaces=userns,
        ),
        modules=True,
        runtime="crun-1.21",
        runtime_version="crun version 1.21",
        runtime_why="crun-1.21 starts",
        census=Census(release="6.12", implemented=implemented, ways={}),
    )


def test_a_host_that_has_all_lacks_nothing() -> None:
    assert (
        missing({"userns": "true", "cgroup": "v2", "ia32": "true", "modules": "true"}, host()) == ""
    )


def test_what_a_host_lacks_is_named_in_words() -> None:
    lacking = missing({"userns": "true", "ia32": "true"}, host(ia32=False, userns=False))
    assert lacking == "user namespaces, 32-bit programs"


def test_a_hybrid_host_counts_as_cgroup_v1() -> None:
    assert missing({"cgroup": "v1"}, host(cgroup=Cgroup.HYBRID)) == ""
    assert missing({"cgroup": "v2"}, host(cgroup=Cgroup.HYBRID)) == "cgroup v2"
