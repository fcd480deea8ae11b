"""Calls refused besides what a profile refuses."""

from __future__ import annotations

import errno
import json

import pytest

from harness.container import seccomp
from harness.container.filtering import Traits, answer, fit
from harness.container.profiles import Chosen
from harness.errors import UsageError
from harness.model.hosts import Engine
from harness.scenarios.confine import Confined, confine

NUMBERS = {"read": 0, "openat": 257, "clone3": 435, "mseal": 462}
CRUN = Traits(newest=456)
PROFILE = seccomp.parse(
    json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": errno.ENOSYS,
            "syscalls": [
                {"names": ["read", "openat"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["clone3"], "action": "SCMP_ACT_ALLOW"},
            ],
        }
    ),
    "test.json",
)


def confined(refuse: dict[str, str], profile: seccomp.Profile | None = PROFILE) -> Confined:
    return confine(
        Chosen("test", "test", profile),
        engine=Engine.PODMAN,
        capabilities=(),
        release="6.1.0",
        traits=CRUN,
        numbers=NUMBERS,
        refuse=refuse,
    )


def answers(found: Confined) -> dict[str, int | None]:
    assert found.filter is not None
    fitted = fit(found.filter, CRUN, NUMBERS)
    return {name: answer(fitted, name, number).errno for name, number in NUMBERS.items()}


def test_the_call_is_answered_as_asked_and_all_others_as_before() -> None:
    before = {"read": None, "openat": None, "clone3": None, "mseal": errno.ENOSYS}
    assert answers(confined({})) == before
    assert answers(confined({"openat": "EINVAL"})) == {**before, "openat": errno.EINVAL}


def test_a_refusal_that_is_the_profiles_default_holds_against_the_rule_that_allowed_it() -> None:
    found = confined({"clone3": "ENOSYS"})
    assert answers(found)["clone3"] == errno.ENOSYS
    assert found.filter is not None
    assert not any("clone3" in rule.names for rule in found.filter.rules[1:])


def test_the_tracer_watches_the_refused_call() -> None:
    assert NUMBERS["openat"] in confined({"openat": "ENOSYS"}).refusable
    assert NUMBERS["openat"] not in confined({}).refusable


def test_what_runs_unconfined_is_refused_that_call_alone() -> None:
    found = confined({"openat": "ENOSYS"}, profile=None)
    assert answers(found) == {"read": None, "openat": errno.ENOSYS, "clone3": None, "mseal": None}


@pytest.mark.parametrize(
    ("refuse", "said"),
    [
        ({"mseal": "ENOSYS"}, "mseal cannot be refused: the runtime's libseccomp does not know it"),
        ({"nope": "ENOSYS"}, "nope cannot be refused: the runtime's libseccomp does not know it"),
        ({"read": "ENOPE"}, "read cannot be refused with ENOPE: there is no errno of that name"),
    ],
)
def test_what_no_rule_can_say_is_refused_by_name(refuse: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        confined(refuse)
    assert str(caught.value) == said
