"""The packaged causes against their documented symptoms, and against cells where all is well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from observations import end, environment, failure, observation, step

from harness.explanations import Certainty
from harness.model.causes import KnownCause
from harness.model.observations import Failure, Observation, Origin, Verdict
from harness.scenarios import causes
from harness.verdicts.explanation import explain, named

SECCOMP = {"errno": "EPERM", "origin": Origin.SECCOMP}
OTHER: dict[str, Any] = {"origin": Origin.OTHER, "implemented": True}
HARDENED = {
    "fs.protected_regular": "2",
    "kernel.yama.ptrace_scope": "1",
    "vm.overcommit_memory": "2",
}


@pytest.fixture(scope="module")
def known() -> tuple[KnownCause, ...]:
    return causes.load([causes.packaged()])


def call(name: str, **other: Any) -> Failure:
    return failure(name, 400, **({"program": "app", "path": "/bin/app"} | other))


def cell(*calls: Failure, said: str = "", **other: Any) -> Observation:
    last = f"{calls[-1].name} {calls[-1].errno}" if calls else ""
    program = calls[-1].program if calls else "app"
    facts: dict[str, Any] = {
        "reason": "step 1: exit status is 1, expected 0",
        "steps": (step(exit=1, stderr=said, unmet=("exit status is 1, expected 0",)),),
        "ends": (end(exit=1, program=program, path=f"/bin/{program}", last_failure=last),),
    }
    return observation(verdict=Verdict.FAILED, failures=calls, **(facts | other))


ADDRESS = "cannot bind socket (Permission denied) [0.0.0.0:80]"
# What the threads quote, in the form in which a cell has it.
SYMPTOMS: dict[str, Observation] = {
    "profile-refuses-clone3": cell(call("clone3", **SECCOMP), said="can't start new thread"),
    "profile-refuses-faccessat2": cell(call("faccessat2", **SECCOMP)),
    "profile-refuses-fchmodat2": cell(call("fchmodat2", **SECCOMP), said="Cannot change mode"),
    "profile-refuses-statx": cell(call("statx", **SECCOMP), said="ls: cannot access '/tmp'"),
    "profile-refuses-time64": cell(call("utimensat_time64", abi="i386", **SECCOMP)),
    "profile-refuses-io-uring": cell(call("io_uring_setup", **SECCOMP)),
    "profile-refuses-unshare": cell(call("unshare", **SECCOMP), said="unshare failed"),
    "profile-refuses-ptrace": cell(call("ptrace", **SECCOMP)),
    "profile-refuses-personality": cell(call("personality", **SECCOMP)),
    "profile-refuses-numa-policy": cell(call("set_mempolicy", **SECCOMP)),
    "profile-refuses-keyctl": cell(call("keyctl", **SECCOMP)),
    "kernel-too-old-for-glibc": cell(said="FATAL: kernel too old"),
    "kernel-too-old-for-library": cell(
        cause="/usr/lib/libQt5Core.so.5 asks for Linux 3.17.0 by its ELF note, so that the loader "
        "passes it over on 3.10.0"
    ),
    "cpu-too-old-for-glibc": cell(said="Fatal glibc error: CPU does not support x86-64-v3"),
    "cgroup-v1-files-on-v2": cell(
        said="cat: /sys/fs/cgroup/memory/memory.limit_in_bytes: No such file or directory"
    ),
    "old-systemd-on-cgroup-v2": cell(
        said="Failed to mount cgroup at /sys/fs/cgroup/systemd: Operation not permitted"
    ),
    "jvm-fails-on-cgroup-v2": cell(
        said='Cannot invoke "jdk.internal.platform.CgroupInfo.getMountPoint()" because '
        '"anyController" is null'
    ),
    "sanitizer-mmap-rnd-bits": cell(
        said="FATAL: ThreadSanitizer: unexpected memory mapping 0x642538257000-0x64253825f000"
    ),
    "no-openat2": cell(call("openat2"), said="tar: Function not implemented"),
    "copy-file-range-missing": cell(call("copy_file_range", **OTHER)),
    "copy-file-range-across-file-systems": cell(call("copy_file_range", errno="EXDEV", **OTHER)),
    "renameat2-flags": cell(call("renameat2", errno="EINVAL", **OTHER)),
    "io-uring-disabled": cell(call("io_uring_setup", errno="EPERM", **OTHER)),
    "io-uring-locked-memory": cell(call("io_uring_setup", errno="ENOMEM", **OTHER)),
    "tmpfs-no-direct-io": cell(
        call("openat", errno="EINVAL", **OTHER), said="dd: failed to open: Invalid argument"
    ),
    "protected-regular": cell(
        call("openat", errno="EACCES", **OTHER),
        said="tee: /tmp/state: Permission denied",
        environment=environment(sysctl=HARDENED),
    ),
    "privileged-port-for-users": cell(call("bind", errno="EACCES", **OTHER), said=ADDRESS),
    "ping-group-range": cell(call("socket", errno="EACCES", program="ping", **OTHER)),
    "ipv6-off": cell(
        call("socket", errno="EAFNOSUPPORT", **OTHER),
        said="[::]:80 failed (97: Address family not supported by protocol)",
    ),
    "max-map-count": cell(
        said="max virtual memory areas vm.max_map_count [65530] is too low, increase it"
    ),
    "inotify-watches": cell(call("inotify_add_watch", errno="ENOSPC", **OTHER)),
    "inotify-instances": cell(call("inotify_init1", errno="EMFILE", **OTHER)),
    "shmmax-32m": cell(call("shmget", errno="EINVAL", **OTHER)),
    "user-namespaces-off": cell(call("unshare", errno="ENOSPC", **OTHER)),
    "sysctl-unknown-to-kernel": cell(
        steps=(),
        ends=(),
        reason="open /proc/sys/net/ipv4/ip_unprivileged_port_start: no such file or directory",
    ),
    "iptables-backend": cell(
        said="iptables v1.8.10: Could not fetch rule set generation id: Invalid argument"
    ),
    "ia32-off": cell(
        said="/bin/busybox: Exec format error",
        environment=environment(cmdline="console=ttyS0 ia32_emulation=0"),
    ),
}


@pytest.mark.parametrize("name", SYMPTOMS)
def test_a_documented_symptom_is_put_down_to_its_cause(
    name: str, known: tuple[KnownCause, ...]
) -> None:
    found = named(explain(SYMPTOMS[name], known))
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("name", SYMPTOMS)
def test_where_the_cell_passed_no_failure_is_put_down_to_it(
    name: str, known: tuple[KnownCause, ...]
) -> None:
    seen = SYMPTOMS[name]
    passed = replace(
        seen,
        verdict=Verdict.PASSED,
        reason="",
        cause="",
        steps=tuple(replace(one, exit=0, unmet=()) for one in seen.steps),
        ends=tuple(replace(one, exit=0) for one in seen.ends),
    )
    explanation = explain(passed, known)
    assert named(explanation) is None
    assert {one.certainty for one in explanation.causes} <= {Certainty.COPED}


@pytest.mark.parametrize(
    "seen",
    [
        cell(
            call("bind", errno="EACCES", **OTHER),
            said="cannot bind UNIX socket (Permission denied) [/var/run/haproxy.stat]",
        ),
        cell(
            call("openat", errno="EACCES", **OTHER), said="tee: /tmp/state: Permission denied"
        ),  # of a host that sets no fs.protected_regular
        cell(call("unshare", errno="EINVAL", **OTHER)),  # of one with user namespaces
        replace(SYMPTOMS["ia32-off"], environment=environment(cmdline="console=ttyS0")),
        replace(SYMPTOMS["cgroup-v1-files-on-v2"], environment=environment(cgroup="v1")),
        replace(SYMPTOMS["ia32-off"], environment=None),
    ],
    ids=[
        "a Unix socket",
        "no such sysctl",
        "another limit",
        "no such command line",
        "the other cgroups",
        "no host",
    ],
)
def test_a_cause_of_another_host_or_another_thing_is_not_named(
    seen: Observation, known: tuple[KnownCause, ...]
) -> None:
    assert explain(seen, known).causes == ()


def test_rhel_7_refuses_user_namespaces_by_another_errno(known: tuple[KnownCause, ...]) -> None:
    host = environment(sysctl={"user.max_user_namespaces": "0"})
    seen = replace(cell(call("unshare", errno="EINVAL", **OTHER)), environment=host)
    found = named(explain(seen, known))
    assert found is not None
    assert found.name == "user-namespaces-off"


KILLED_AT_ITS_LIMIT = [
    "Memory cgroup out of memory: Kill process 119 (dd) score 994 or sacrifice child",  # 3.10
    "Memory cgroup out of memory: Killed process 149 (dd) total-vm:68588kB, anon-rss:32452kB",
]
KILLED_FOR_THE_HOST = [
    "Out of memory: Kill process 119 (dd) score 994 or sacrifice child",
    "Out of memory: Killed process 149 (dd) total-vm:68588kB, anon-rss:32452kB",
]


def killed(message: str, program: str = "dd", **host: Any) -> Observation:
    return cell(
        steps=(step(exit=None, signal="KILL", unmet=("exit status is missing",)),),
        ends=(end(exit=None, signal="KILL", program=program),),
        messages=(message,),
        environment=environment(**host),
    )


@pytest.mark.parametrize(
    ("message", "cause"),
    [(one, "memory-limit") for one in KILLED_AT_ITS_LIMIT]
    + [(one, "memory-of-the-host") for one in KILLED_FOR_THE_HOST],
)
def test_whoever_was_killed_for_want_of_memory_is_told_by_the_kernels_words(
    message: str, cause: str, known: tuple[KnownCause, ...]
) -> None:
    (found,) = explain(killed(message), known).causes
    assert (found.name, found.certainty) == (cause, Certainty.STATED)


def test_a_kill_of_which_the_kernel_says_nothing_is_not_put_down_to_memory(
    known: tuple[KnownCause, ...],
) -> None:
    assert explain(killed("eth0: link is up"), known).causes == ()


@pytest.mark.parametrize(
    ("cgroup", "cause"), [("v1", "memory-limit"), ("v2", "jvm-ignores-cgroup-v2")]
)
def test_a_jvm_at_its_limit_may_not_know_it_on_cgroup_v2(
    cgroup: str, cause: str, known: tuple[KnownCause, ...]
) -> None:
    message = KILLED_AT_ITS_LIMIT[0].replace("dd", "java")
    found = named(explain(killed(message, "java", cgroup=cgroup), known))
    assert found is not None
    assert found.name == cause


def test_what_a_step_printed_that_ended_as_expected_is_no_evidence(
    known: tuple[KnownCause, ...],
) -> None:
    seen = SYMPTOMS["cpu-too-old-for-glibc"]
    fine = step(stderr=seen.steps[0].stderr)
    bad = step(exit=1, unmet=("exit status is 1, expected 0",))
    assert explain(replace(seen, steps=(fine, bad)), known).causes == ()


def test_a_warning_beside_the_call_that_broke_it_is_not_suspected(
    known: tuple[KnownCause, ...],
) -> None:
    warned = cell(call("clone3", **SECCOMP), said="WARNING Memory overcommit must be enabled!")
    found = {one.name: one.certainty for one in explain(warned, known).causes}
    assert found == {
        "profile-refuses-clone3": Certainty.SUSPECTED,
        "overcommit-memory": Certainty.UNCLEAR,
    }


def test_a_drill_counts_as_a_kernel_that_lacks_the_call(known: tuple[KnownCause, ...]) -> None:
    found = named(explain(cell(call("openat2", origin=Origin.DRILL)), known))
    assert found is not None
    assert found.name == "no-openat2"


@pytest.mark.parametrize("said", ["unshare failed: No space left on device", "no such words"])
def test_a_call_that_merely_failed_is_suspected_if_it_was_the_last_or_the_output_tells_of_it(
    said: str, known: tuple[KnownCause, ...]
) -> None:
    calls = (call("unshare", errno="ENOSPC", **OTHER), call("openat", errno="ENOENT", **OTHER))
    told = "No space left" in said
    assert (named(explain(cell(*calls, said=said), known)) is not None) is told
