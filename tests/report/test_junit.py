from __future__ import annotations

from observations import failure, observation, unavailable

from harness.model.observations import Origin, Verdict
from harness.report.junit import properties
from harness.verdicts.outcome import outcome


def test_a_cells_facts_are_properties_and_each_enosys_is_one() -> None:
    cell = observation(
        failures=(
            failure(),
            failure("clone3", 435, program="python3", origin=Origin.SECCOMP, pid=9),
        )
    )
    pairs = properties(cell, outcome(cell.verdict, 2))
    assert pairs == (
        ("kernel", "5.10"),
        ("image", "systemd-tools"),
        ("scenario", "tmpfiles"),
        ("verdict", "passed"),
        ("outcome", "passed with 2 ENOSYS"),
        ("kernel_release", "5.10.0-35-cloud-amd64"),
        ("kernel_origin", "linux-image-cloud-amd64 of bullseye"),
        ("image_ref", "recipe:systemd-tools"),
        ("image_digest", "sha256:" + "a" * 64),
        ("accelerator", "tcg"),
        ("cpu", "Haswell-noTSX,-pcid"),
        ("qemu", "7.2.19"),
        ("engine", "podman"),
        ("runtime", "crun version 1.21"),
        ("seccomp", "podman-trixie"),
        ("cgroup", "v2"),
        ("enosys_count", "2"),
        ("enosys", "fchmodat2 (452) systemd-tmpfiles kernel: coped"),
        ("enosys", "clone3 (435) python3 seccomp: not known whether it coped"),
    )


def test_a_cell_that_never_ran_has_its_reason_and_no_environment() -> None:
    cell = unavailable("latest", "the mirror\x1b is down")
    assert properties(cell, outcome(Verdict.UNAVAILABLE, 0)) == (
        ("kernel", "latest"),
        ("image", "systemd-tools"),
        ("scenario", "tmpfiles"),
        ("verdict", "unavailable"),
        ("outcome", "unavailable"),
        ("reason", "the mirror\\x1b is down"),
        ("enosys_count", "0"),
    )


def test_doubts_are_properties_too() -> None:
    cell = observation(lost_events=3, traced=False)
    pairs = dict(properties(cell, outcome(cell.verdict, 0)))
    assert (pairs["lost_events"], pairs["traced"]) == ("3", "false")
