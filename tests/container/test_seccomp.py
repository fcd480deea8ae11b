"""Profiles in the engines' form, resolved and answered as engines and runtimes do."""

import errno
import json

import pytest

from harness.container import seccomp
from harness.container.filtering import Traits, answer, fit, refusable
from harness.errors import ConfigError
from harness.model.hosts import Engine

NUMBERS = {"read": 0, "ptrace": 101, "mount": 165, "personality": 135, "clone3": 435, "mseal": 462}
CRUN = Traits(newest=466)
RUNC = Traits(newest=466, stubs=True)


def profile(*rules: dict[str, object], **top: object) -> seccomp.Profile:
    text = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules, **top}
    return seccomp.parse(json.dumps(text), "test.json")


def resolved(
    *rules: dict[str, object],
    engine: Engine = Engine.DOCKER,
    capabilities: tuple[str, ...] = (),
    release: str = "5.10.0-32-cloud-amd64",
    **top: object,
) -> seccomp.Filter:
    found = seccomp.resolve(
        profile(*rules, **top), engine=engine, capabilities=capabilities, release=release
    )
    assert found is not None
    return found


def allow(*names: str, **more: object) -> dict[str, object]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", **more}


def test_a_rule_for_a_capability_applies_only_with_all_of_them() -> None:
    rule = allow("mount", includes={"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]})
    assert not resolved(rule, capabilities=("CAP_SYS_ADMIN",)).rules
    assert resolved(rule, capabilities=("CAP_BPF", "CAP_SYS_ADMIN")).rules


def test_a_rule_is_excluded_by_any_of_its_capabilities() -> None:
    rule = allow("mount", excludes={"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]})
    assert resolved(rule).rules
    assert not resolved(rule, capabilities=("CAP_BPF",)).rules


def test_rules_of_other_architectures_do_not_apply() -> None:
    assert not resolved(allow("read", includes={"arches": ["s390x"]})).rules
    assert not resolved(allow("read", excludes={"arches": ["amd64"]})).rules
    assert resolved(allow("read", includes={"arches": ["amd64", "x32"]})).rules


@pytest.mark.parametrize(
    ("release", "applies"),
    [("4.8.0", True), ("4.18.0-553.el8", True), ("5.0", True), ("3.10.0-1160", False)],
)
def test_docker_compares_the_first_two_numbers_of_the_kernel(release: str, applies: bool) -> None:
    rule = allow("ptrace", includes={"minKernel": "4.8"})
    assert bool(resolved(rule, release=release).rules) is applies


def test_podman_does_not_know_a_least_kernel() -> None:
    rule = allow("ptrace", includes={"minKernel": "4.8"})
    assert resolved(rule, engine=Engine.PODMAN, release="3.10.0").rules


def test_the_native_architecture_brings_its_sub_architectures() -> None:
    found = resolved(
        archMap=[
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {
                "architecture": "SCMP_ARCH_X86_64",
                "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            },
        ]
    )
    assert found.architectures == ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32")


def test_the_old_form_names_one_call_a_rule() -> None:
    found = resolved({"name": "read", "action": "SCMP_ACT_ALLOW", "args": None})
    assert found.rules[0].names == ("read",)


def test_an_errno_by_name_comes_before_the_older_number() -> None:
    rule = {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "ENOSYS", "errnoRet": 1}
    found = resolved(rule, engine=Engine.PODMAN, defaultErrno="ENOSYS")
    assert found.rules[0].errno == errno.ENOSYS
    assert found.default_errno == errno.ENOSYS


def test_an_empty_profile_means_no_filter() -> None:
    nothing = seccomp.parse("{}", "x.json")
    assert seccomp.resolve(nothing, engine=Engine.PODMAN, capabilities=(), release="6.1") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "x.json: not a seccomp profile"),
        ('{"defaultAction": "SCMP_ACT_NO"}', "defaultAction: 'SCMP_ACT_NO' is none of"),
        ('{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": 5}', "syscalls"),
        (
            '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls":'
            ' [{"name": "read", "names": ["write"], "action": "SCMP_ACT_ALLOW"}]}',
            "both name and names",
        ),
        (
            '{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["a"],'
            ' "archMap": [{"architecture": "b"}]}',
            "keep one of them",
        ),
    ],
)
def test_what_no_engine_would_take_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        seccomp.parse(text, "x.json")


def test_the_runtimes_form_has_errno_arguments_and_architectures() -> None:
    args = [{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]
    spec = seccomp.to_oci(
        resolved(
            allow("personality", args=args), defaultErrnoRet=38, architectures=["SCMP_ARCH_X86"]
        )
    )
    assert spec == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86"],
        "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": args}],
    }


# --- what becomes of a call -------------------------------------------------------------


def test_what_no_rule_names_gets_the_default() -> None:
    fitted = fit(resolved(allow("read"), defaultErrnoRet=38), CRUN, NUMBERS)
    assert answer(fitted, "mount", 165).errno == errno.ENOSYS
    assert not answer(fitted, "read", 0).refused


def test_a_call_allowed_for_some_arguments_may_be_refused() -> None:
    args = [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]
    found = answer(
        fit(resolved(allow("personality", args=args)), CRUN, NUMBERS), "personality", 135
    )
    assert (found.refused, found.always, found.errno) == (True, False, errno.EPERM)


def test_the_first_rule_without_conditions_stands() -> None:
    refuse: dict[str, object] = {
        "names": ["mount"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 1,
    }
    first = fit(resolved(refuse, allow("mount"), defaultErrnoRet=38), CRUN, NUMBERS)
    assert answer(first, "mount", 165).errno == errno.EPERM
    second = fit(resolved(allow("mount"), refuse, defaultErrnoRet=38), CRUN, NUMBERS)
    assert not answer(second, "mount", 165).refused


def test_a_rule_that_says_the_default_is_dropped_before_it_counts() -> None:
    redundant: dict[str, object] = {"names": ["mount"], "action": "SCMP_ACT_ERRNO"}
    fitted = fit(resolved(redundant, allow("mount")), CRUN, NUMBERS)
    assert not answer(fitted, "mount", 165).refused


def test_a_call_that_libseccomp_does_not_know_gets_the_default_though_it_is_allowed() -> None:
    fitted = fit(resolved(allow("mseal")), Traits(newest=456), NUMBERS)
    assert answer(fitted, "mseal", 462).refused


def test_runc_answers_enosys_above_the_newest_call_of_the_profile() -> None:
    fitted = fit(resolved(allow("read", "clone3")), RUNC, NUMBERS)
    assert fitted.stub_above == 435
    assert answer(fitted, "mseal", 462).errno == errno.ENOSYS
    assert answer(fitted, "mount", 165).errno == errno.EPERM


def test_crun_answers_the_default_whatever_the_number() -> None:
    fitted = fit(resolved(allow("read", "clone3")), CRUN, NUMBERS)
    assert answer(fitted, "mseal", 462).errno == errno.EPERM
    assert answer(fitted, "syscall_999", 999).errno == errno.EPERM


def test_runc_has_no_stub_under_a_default_of_enosys() -> None:
    assert fit(resolved(allow("read"), defaultErrnoRet=38), RUNC, NUMBERS).stub_above is None


def test_rules_for_all_calls_move_runcs_stub_above_what_it_knows() -> None:
    fitted = fit(resolved(allow("read", "clone3")), RUNC, NUMBERS, stubs_of_day=False)
    assert answer(fitted, "mseal", 462).errno == errno.EPERM
    assert fitted.stub_above == 462
    assert "ENOSYS to calls above 466" in fitted.notes[0]


def test_rc93_gets_no_native_architecture_and_so_makes_no_stub() -> None:
    old = Traits(newest=448, stubs=True, default_errno=False, redundant=False)
    found = resolved(allow("read"), architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
    fitted = fit(found, old, NUMBERS, stubs_of_day=False)
    assert fitted.filter.architectures == ("SCMP_ARCH_X86",)
    assert answer(fitted, "clone3", 435).errno == errno.EPERM


def test_a_runtime_that_ignores_the_default_errno_gets_a_rule_for_each_call() -> None:
    old = Traits(newest=448, default_errno=False)
    fitted = fit(resolved(allow("read"), defaultErrnoRet=38), old, NUMBERS)
    assert "defaultErrnoRet" not in seccomp.to_oci(fitted.filter)
    assert answer(fitted, "mount", 165).errno == errno.ENOSYS
    assert answer(fitted, "mseal", 462).errno == errno.EPERM
    assert "above 448" in fitted.notes[0]


def test_all_that_may_be_refused_is_to_be_armed() -> None:
    args = [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]
    found = resolved(allow("read", "clone3"), allow("personality", args=args))
    assert refusable(fit(found, CRUN, NUMBERS), NUMBERS) == {101, 165, 135, 462}


def test_a_permissive_default_refuses_nothing_by_itself() -> None:
    text = {"defaultAction": "SCMP_ACT_LOG", "syscalls": []}
    found = seccomp.resolve(
        seccomp.parse(json.dumps(text), "x"), engine=Engine.DOCKER, capabilities=(), release="6.1"
    )
    assert found is not None
    assert not refusable(fit(found, RUNC, NUMBERS), NUMBERS)
