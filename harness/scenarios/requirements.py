"""What a scenario declares that the apparatus must offer, held against a host's survey."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model.hosts import Cgroup
from harness.scenarios.survey import Survey


def missing(requires: Mapping[str, str], survey: Survey) -> str:
    """Return what the host lacks, in words; empty when it has all.

    Never concluded from a failure: only what a probe found before the container started.
    """
    offered = {
        "userns": survey.facts.user_namespaces,
        "cgroup": _cgroup(requires.get("cgroup", ""), survey),
        "ia32": "i386" in survey.census.implemented,
        "modules": survey.modules,
    }
    names = {
        "userns": "user namespaces",
        "cgroup": f"cgroup {requires.get('cgroup', '')}",
        "ia32": "32-bit programs",
        "modules": "loadable modules",
    }
    return ", ".join(names[key] for key in requires if not offered[key])


def _cgroup(wanted: str, survey: Survey) -> bool:
    mounted = survey.facts.cgroup
    if wanted == Cgroup.V1:
        return mounted in (Cgroup.V1, Cgroup.HYBRID)
    return mounted is Cgroup.V2
