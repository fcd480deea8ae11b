"""Surveys of hosts, for tests of what is concluded from them."""

from __future__ import annotations

from harness.container.facts import Facts
from harness.model.hosts import Cgroup
from harness.scenarios.survey import Survey
from harness.trace.census import Census


def surveyed(
    *,
    cgroup: Cgroup = Cgroup.V2,
    ia32: bool = True,
    userns: bool = True,
    refused: tuple[str, ...] = (),
) -> Survey:
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
        refused_sysctls=refused,
        census=Census(release="6.12", implemented=implemented, ways={}),
    )
