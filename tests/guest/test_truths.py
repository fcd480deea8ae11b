"""What is known to be true of real kernels, seen through the whole harness."""

from __future__ import annotations

import pytest
from guest.conftest import Observe, one_step

from harness.laboratory import Laboratory
from harness.model.hosts import Engine
from harness.model.observations import Failure, Observation, Origin, Verdict
from harness.model.scenarios import Scenario, Step

pytestmark = pytest.mark.guest

KERNELS = ("5.10", "6.1", "6.12", "latest")
PERL = "debian-trixie"


def failures(observation: Observation, name: str, errno: str = "ENOSYS") -> list[Failure]:
    assert observation.lost_events == 0, observation
    return [f for f in observation.failures if (f.name, f.errno) == (name, errno)]


def tmpfiles(seccomp: str = "") -> Scenario:
    return one_step(
        "sh",
        "-c",
        "mkdir -m 700 /run/made; echo 'd /run/made 0751 root root' | systemd-tmpfiles --create - "
        "&& stat -c %a /run/made",
        seccomp=seccomp,
    )


def call(*numbers: int) -> tuple[str, ...]:
    text = ", ".join(map(str, numbers))
    return ("perl", "-e", f"$r = syscall($_, 0, 0, 0, 0, 0, 0), print qq($_ $r\\n) for {text}")


def test_tmpfiles_meets_the_kernels_enosys_on_5_10_and_copes(observe: Observe) -> None:
    seen = observe("5.10", "systemd-tools", tmpfiles())
    assert seen.verdict is Verdict.PASSED, seen
    (met,) = failures(seen, "fchmodat2")
    assert (met.program, met.origin, met.number) == ("systemd-tmpfiles", Origin.KERNEL, 452)
    assert met.reached is True
    assert met.implemented is False
    assert met.arguments is not None


def test_the_same_call_is_refused_by_bookworms_profile_before_it_reaches_the_kernel(
    observe: Observe,
) -> None:
    seen = observe("5.10", "systemd-tools", tmpfiles("podman-bookworm"))
    (met,) = failures(seen, "fchmodat2")
    assert met.origin is Origin.SECCOMP
    assert met.reached is False
    assert met.remark == "the kernel lacks it as well"


def test_the_same_call_succeeds_on_the_newest_kernel(observe: Observe) -> None:
    seen = observe("latest", "systemd-tools", tmpfiles())
    assert seen.verdict is Verdict.PASSED, seen
    assert failures(seen, "fchmodat2") == []
    assert "751" in seen.steps[0].stdout


@pytest.mark.parametrize(
    ("name", "way"), [("6.12", "bpf (raw tracepoints)"), ("latest", "bpf (perf events)")]
)
def test_of_many_processes_none_ends_unseen(observe: Observe, name: str, way: str) -> None:
    many = "n=0; while [ $n -lt 400 ]; do /bin/true || exit 1; n=$((n+1)); done"
    seen = observe(name, PERL, one_step("sh", "-c", many))
    assert seen.environment is not None
    assert seen.environment.ways["trace calls"] == way
    assert seen.lost_events == 0
    assert [one.exit for one in seen.ends] == [0] * 401


@pytest.mark.parametrize("name", KERNELS)
def test_a_number_beyond_every_table_is_the_kernels_own_refusal(
    observe: Observe, name: str
) -> None:
    seen = observe(name, PERL, one_step(*call(600), seccomp="unconfined"))
    (met,) = failures(seen, "syscall_600")
    assert (met.number, met.program, met.origin) == (600, "perl", Origin.KERNEL)


def test_a_call_that_only_the_profile_refuses_is_seccomps(observe: Observe) -> None:
    add_key = 248
    confined = observe("5.10", PERL, one_step(*call(add_key)))
    (met,) = failures(confined, "add_key")
    assert met.origin is Origin.SECCOMP
    assert met.implemented is True
    assert met.remark == ""
    bare = observe("5.10", PERL, one_step(*call(add_key), seccomp="unconfined"))
    assert failures(bare, "add_key") == []
    assert any(f.name == "add_key" for f in bare.failures)


def test_dockers_engine_answers_eperm_to_what_podmans_answers_enosys(observe: Observe) -> None:
    scenario = one_step(*call(248), engine=Engine.DOCKER)
    seen = observe("6.12", PERL, scenario)
    (met,) = failures(seen, "add_key", "EPERM")
    assert met.origin is Origin.SECCOMP
    assert seen.environment is not None
    assert "runc" in seen.environment.runtime


@pytest.mark.parametrize("name", KERNELS)
def test_the_censuss_two_ways_agree(laboratory: Laboratory, name: str) -> None:
    census = laboratory.ready(laboratory.assembly.entry(name)).survey.census
    assert census.ways["x86_64"] == "raw and kallsyms"
    assert census.disagreements == ()


def test_the_census_of_5_10_has_what_came_before_it_and_lacks_what_came_after(
    laboratory: Laboratory,
) -> None:
    census = laboratory.ready(laboratory.assembly.entry("5.10")).survey.census
    close_range, epoll_pwait2 = 436, 441
    assert close_range in census.implemented["x86_64"]
    assert epoll_pwait2 not in census.implemented["x86_64"]


def test_how_each_process_ended_and_what_failed_last_in_it_is_recorded(observe: Observe) -> None:
    script = 'perl -e "kill 11, \\$\\$"; cat /missing; exit 7'
    scenario = Scenario(
        name="ends", file="f.yaml", line=1, images=(), steps=(Step(run=("sh", "-c", script)),)
    )
    seen = observe("6.12", PERL, scenario)
    assert seen.verdict is Verdict.FAILED
    assert "expected exit status 0, got exit status 7" in seen.reason
    ends = {end.program: end for end in seen.ends}
    assert ends["perl"].signal == "SEGV"
    assert (ends["cat"].exit, ends["cat"].last_failure) == (1, "openat ENOENT")
    assert (ends["sh"].exit, ends["sh"].signal) == (7, None)
