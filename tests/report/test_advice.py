from __future__ import annotations

from typing import Any

from harness.findings import Cause, Difference, Field, Finding, Kind, Side
from harness.model.observations import Origin
from harness.report.advice import advice_text
from harness.verdicts.upgrade import Advice, advise

CAUSE = Cause(
    syscall="openat2",
    errno="ENOSYS",
    program="app",
    origin=Origin.KERNEL,
    since="5.6",
    evidence=("app (pid 7) ended with status 3",),
)


def finding(kind: Kind, *differences: Difference, **other: object) -> Finding:
    side = Side(run="r", cell="c", kernel="k")
    facts = {"scenario": "s", "file": "f.yaml", "image": "i", "before": side, "after": side}
    return Finding(kind=kind, differences=differences, **(facts | other))  # type: ignore[arg-type]


def shown(*advices: Advice) -> list[str]:
    releases = {"latest": "7.3.4", "5.10": "5.10.0-35"}
    return advice_text("latest to 5.10", releases, advices).splitlines()


def test_a_safe_image_is_one_line_a_scenario_and_what_no_answer_covers_is_said() -> None:
    assert shown(advise("redis", [finding(Kind.SAME)])) == [
        "latest to 5.10 (latest: 7.3.4, 5.10: 5.10.0-35)",
        "",
        "redis: SAFE",
        "  s (f.yaml): same",
        "",
        "No answer covers what a guest does not model: SELinux and AppArmor, the overlay on xfs "
        "that engines use (an image is on ext4 here), networks beyond loopback, devices, load.",
    ]


def test_a_breakage_has_its_cause_and_the_evidence() -> None:
    lines = shown(advise("redis", [finding(Kind.BROKEN, cause=CAUSE)]))
    assert lines[2:6] == [
        "redis: BROKEN",
        "  s (f.yaml): broken",
        "    cause, suspected: app gets ENOSYS from kernel for openat2, a call that Linux has "
        "since 5.6",
        "      app (pid 7) ended with status 3",
    ]
    assert any("cause: not found" in line for line in shown(advise("x", [finding(Kind.BROKEN)])))


def test_fallbacks_and_what_is_no_longer_missing_are_listed() -> None:
    call: dict[str, Any] = {"syscall": "openat2", "errno": "ENOSYS", "program": "app"}
    new = Difference(field=Field.ENOSYS, after="ENOSYS", origin=Origin.SECCOMP, coped=True, **call)
    gone = Difference(field=Field.ENOSYS, before="ENOSYS", **call)
    lines = shown(advise("redis", [finding(Kind.DEGRADED, new, gone)]))
    assert lines[2] == "redis: SAFE WITH FALLBACKS"
    assert lines[4:6] == [
        "    fallback: no failure -> ENOSYS: openat2 in app, refused by the seccomp profile, coped",
        "    no longer missing: ENOSYS -> no failure: openat2 in app",
    ]


def test_outputs_are_shown_side_under_side_bounded_and_harmless() -> None:
    long = "".join(f"line {number}\n" for number in range(9))
    outputs = Difference(field=Field.STDOUT, step=1, before=long, after="\x1b[31mred\ntwo\n")
    status = Difference(field=Field.EXIT, step=0, before="", after="3")
    lines = shown(advise("redis", [finding(Kind.CHANGED, outputs, status)]))
    assert lines[4:13] == [
        "    stdout of step 2:",
        "      - line 0",
        "      - line 1",
        "      - line 2",
        "      - line 3",
        "      - ... 5 more lines",
        "      + \\x1b[31mred",
        "      + two",
        "    exit of step 1: before: nothing; after: 3",
    ]


def test_a_call_that_a_program_did_not_cope_with_is_no_fallback() -> None:
    call: dict[str, Any] = {"syscall": "openat2", "errno": "ENOSYS", "program": "app"}
    new = Difference(field=Field.ENOSYS, after="ENOSYS", origin=Origin.KERNEL, coped=False, **call)
    lines = shown(advise("redis", [finding(Kind.BROKEN, new, cause=CAUSE)]))
    said = "openat2 in app, not implemented by this kernel, its process failed"
    assert f"    fails now: no failure -> ENOSYS: {said}" in lines


def test_what_is_said_of_several_scenarios_is_said_once() -> None:
    one, two = finding(Kind.SAME, notes=("a", "b")), finding(Kind.SAME, notes=("b",))
    assert shown(advise("redis", [one, two]))[2:7] == [
        "redis: SAFE",
        "  s (f.yaml): same",
        "    a",
        "  s (f.yaml): same",
        "  of 2 scenarios: b",
    ]


def test_what_was_not_learnt_is_said() -> None:
    lines = shown(
        advise(
            "redis",
            [finding(Kind.UNKNOWN, notes=("it fails on both sides: no",))],
            not_exercised=["narrow: it is for kernels 6.1"],
            could_not_run=["s on 5.10: the mirror is down"],
        )
    )
    assert lines[2:7] == [
        "redis: UNKNOWN",
        "  could not run: s on 5.10: the mirror is down",
        "  s (f.yaml): unknown",
        "    it fails on both sides: no",
        "  not exercised: narrow: it is for kernels 6.1",
    ]
