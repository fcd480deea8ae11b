"""Upgrades on a laboratory that does without guests: all but the cells is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from observations import environment, failure, observation, step, unavailable

from harness.assembly import Assembly, Options
from harness.errors import ImageError, UsageError
from harness.findings import Kind
from harness.images import catalog
from harness.laboratory import Laboratory
from harness.model.hosts import HostEntry
from harness.model.images import Image, ImageConfig
from harness.model.observations import Observation, Origin, ProcessEnd, Verdict
from harness.model.scenarios import Scenario
from harness.results.meta import RunMeta
from harness.results.runs import RunDir, load_comparison, load_run
from harness.scenarios.observed import scenario_digest
from harness.upgrade import CONFIRMATIONS, Upgrade, carry_out
from harness.upgrade_plan import Plan, of_images, of_kernels
from harness.verdicts.upgrade import Answer

FILE = """
scenarios:
  works: {image: redis, run: "true"}
  falls-back: {image: redis, run: "true"}
  breaks: {image: postgres, run: "true"}
  noisy: {image: python, run: "true"}
  known:
    image: node
    run: "true"
    known: [{kernels: "5.10", syscall: openat2, reason: it falls back}]
  absent: {image: java, run: "true"}
  narrow: {image: nginx, run: "true", kernels: 6.1}
"""
NEWER = "docker://redis:8"
OPENAT2 = failure("openat2", 437, program="app", pid=7)


def seen(scenario: Scenario, image: str, entry: HostEntry, count: int) -> Observation:
    """What each scenario's cells are like; 5.10 lacks openat2, and so does who is refused it."""
    lacks = entry.name == "5.10" or "openat2" in scenario.container.refuse
    origin = Origin.KERNEL if entry.name == "5.10" else Origin.SECCOMP
    call = replace(OPENAT2, origin=origin)
    died = ProcessEnd(pid=7, parent=1, program="app", path="/app", offset=0.5, exit=3)
    facts: dict[str, Any] = {"verdict": Verdict.PASSED}
    match scenario.name:
        case "breaks" if lacks:
            facts = {
                "verdict": Verdict.FAILED,
                "reason": "step 1: exit status is 3",
                "steps": (step(exit=3, unmet=("exit status is 3",)),),
                "failures": (call,),
                "ends": (died,),
            }
        case "falls-back" | "known" if lacks:
            facts["failures"] = (call,)
            facts["ends"] = (replace(died, exit=0),)
        case "noisy":
            facts["steps"] = (step(stdout=f"run {'x' * count}\n"),)
        case "absent":
            return unavailable(entry.name, "the mirror is down", environment=None)
        case "tools" if image == "shell-less":
            unmet = ("the runtime could not run it: sh: not found",)
            facts = {"verdict": Verdict.FAILED, "steps": (step(exit=127, unmet=unmet),)}
    return observation(
        entry.name,
        scenario.name,
        image,
        file=scenario.file,
        environment=environment(entry.name, image),
        scenario_digest=scenario_digest(scenario),
        **facts,
    )


class Scripted(Laboratory):
    """Runs no guest."""

    count = 0

    def observe(
        self,
        id: str,
        scenario: Scenario,
        image: str,
        entry: HostEntry,
        log: Path | None,
        *,
        traced: bool = True,
        counted: bool = False,
    ) -> Observation:
        self.count += 1
        return replace(seen(scenario, image, entry, self.count), id=id)

    def image(self, name: str) -> Image:
        if name == "debian-bullseye":
            raise ImageError("it is damaged")
        config = ImageConfig(cmd=("app",))
        return Image(name=name, ref=name, digest="", disk=Path(), slot=0, config=config)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Scripted]:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "all.yaml").write_text(FILE)
    assembly = Assembly(Options(rootdir=tmp_path, store=tmp_path / "store"))
    entries = catalog.load_catalog(catalog.directories())
    bare = catalog.adhoc("oci:/srv/bare", base=tmp_path)
    entries["shell-less"] = replace(bare, name="shell-less")
    entries[NEWER] = catalog.adhoc(NEWER, base=tmp_path)
    yield Scripted(assembly, entries)
    assembly.close()


Carry = Callable[..., Upgrade]


@pytest.fixture
def carry(laboratory: Scripted, tmp_path: Path) -> Carry:
    def do(plan: Plan, *, confirm: bool = False) -> Upgrade:
        run = RunDir.create(tmp_path / "results", RunMeta())
        return carry_out(plan, laboratory, run, confirm=confirm, say=lambda text: None)

    return do


def between(laboratory: Laboratory, *images: str, scenarios: tuple[str, ...] = ()) -> Plan:
    entry = laboratory.assembly.entry
    return of_kernels(laboratory, entry("latest"), entry("5.10"), images, scenarios)


def recorded(tmp_path: Path) -> Path:
    return tmp_path / "results" / "latest"


def test_each_image_has_its_answer_and_all_of_it_is_recorded(
    laboratory: Scripted, carry: Carry, tmp_path: Path
) -> None:
    done = carry(between(laboratory, "redis", "postgres"))
    redis, postgres = done.advices
    assert (redis.image, redis.answer) == ("redis", Answer.FALLBACKS)
    assert [one.scenario for one in redis.findings] == ["works", "falls-back"]
    assert (postgres.image, postgres.answer) == ("postgres", Answer.BROKEN)
    [finding] = postgres.findings
    assert finding.cause is not None
    assert (finding.cause.syscall, finding.cause.confirmed) == ("openat2", None)
    assert finding.cause.since == "5.6"
    run = load_run(recorded(tmp_path))
    assert not run.problems
    assert {one.id for one in run.observations} == {one.id for one in done.observations}
    assert load_comparison(recorded(tmp_path)) == done.comparison


def test_a_new_finding_is_run_once_more_on_both_sides_and_nothing_else(
    laboratory: Scripted, carry: Carry, tmp_path: Path
) -> None:
    carry(between(laboratory, "redis"))
    repeats = sorted((one.scenario, one.kernel) for one in load_run(recorded(tmp_path)).repeats)
    assert repeats == [
        ("falls-back", "5.10"),
        ("falls-back", "latest"),
        ("falls-back", "latest"),
        ("works", "latest"),
    ]


def test_what_differs_from_run_to_run_is_no_finding(laboratory: Scripted, carry: Carry) -> None:
    [advice] = carry(between(laboratory, "python")).advices
    assert advice.answer is Answer.SAFE
    assert advice.findings[0].kind is Kind.SAME
    assert advice.findings[0].noise


def test_a_known_difference_is_shown_as_known(laboratory: Scripted, carry: Carry) -> None:
    [advice] = carry(between(laboratory, "node")).advices
    assert advice.answer is Answer.SAFE
    assert [one.known for one in advice.findings[0].known] == ["it falls back"]


def test_so_is_one_that_the_file_of_known_differences_has(
    laboratory: Scripted, carry: Carry, tmp_path: Path
) -> None:
    text = "known: [{scenario: falls-*, kernels: 5.10, syscall: openat2, reason: accepted}]\n"
    (tmp_path / "scenarios" / "known.yaml").write_text(text)
    [advice] = carry(between(laboratory, "redis")).advices
    assert advice.answer is Answer.SAFE
    assert [one.known for one in advice.findings[1].known] == ["accepted"]


def test_a_cause_is_confirmed_where_the_image_works(
    laboratory: Scripted, carry: Carry, tmp_path: Path
) -> None:
    [advice] = carry(between(laboratory, "postgres"), confirm=True).advices
    cause = advice.findings[0].cause
    assert cause is not None
    assert cause.confirmed is True
    assert "on latest, where it works, with ENOSYS to openat2" in cause.evidence[-1]
    assert len(list((recorded(tmp_path) / CONFIRMATIONS).iterdir())) == 1
    assert not any("refusing" in one.id for one in load_run(recorded(tmp_path)).observations)


def test_what_cannot_be_had_is_no_finding(laboratory: Scripted, carry: Carry) -> None:
    java, bullseye = carry(between(laboratory, "java", "debian-bullseye")).advices
    assert java.could_not_run == ("absent on latest: the mirror is down",)
    assert bullseye.could_not_run == ("the image cannot be had: it is damaged",)


def test_a_scenario_for_other_kernels_is_not_exercised(laboratory: Scripted, carry: Carry) -> None:
    [advice] = carry(between(laboratory, "nginx")).advices
    assert advice.answer is Answer.UNKNOWN
    assert advice.not_exercised == ("narrow: it is for kernels 6.1, not for latest",)


def test_an_image_that_no_scenario_names_is_tried_as_any_image(
    laboratory: Scripted, carry: Carry
) -> None:
    [advice] = carry(between(laboratory, "systemd-tools")).advices
    assert [(one.file, one.scenario) for one in advice.findings] == [
        ("generic", "start"),
        ("generic", "tools"),
    ]
    assert advice.answer is Answer.SAFE


def test_an_image_without_a_shell_is_judged_by_its_command_alone(
    laboratory: Scripted, carry: Carry
) -> None:
    [advice] = carry(between(laboratory, "shell-less")).advices
    assert [one.scenario for one in advice.findings] == ["start"]
    assert advice.not_exercised == (
        "shell and package tools: the runtime could not run it: sh: not found",
    )
    assert advice.answer is Answer.SAFE


def test_scenarios_that_are_named_run_in_the_images_that_are_given(
    laboratory: Scripted, carry: Carry
) -> None:
    [advice] = carry(between(laboratory, "python", scenarios=("breaks",))).advices
    assert (advice.image, advice.answer) == ("python", Answer.BROKEN)


def test_scenarios_that_are_named_run_in_their_own_images_when_none_is_given(
    laboratory: Scripted, carry: Carry
) -> None:
    done = carry(between(laboratory, scenarios=("breaks", "works")))
    assert [one.image for one in done.advices] == ["postgres", "redis"]
    assert [len(one.findings) for one in done.advices] == [1, 1]


def test_on_one_kernel_two_images_are_compared(laboratory: Scripted, carry: Carry) -> None:
    entry = laboratory.assembly.entry("6.1")
    plan = of_images(laboratory, entry, "redis", NEWER, ["works"])
    [advice] = carry(plan).advices
    assert (advice.image, advice.answer) == (f"redis to {NEWER}", Answer.SAFE)
    assert [one.image for one in carry(plan).observations] == ["redis", NEWER]


def test_what_is_asked_must_be_two_things(laboratory: Scripted) -> None:
    entry = laboratory.assembly.entry("6.1")
    with pytest.raises(UsageError, match=r"both kernels are 6\.1"):
        of_kernels(laboratory, entry, entry, ["redis"], [])
    with pytest.raises(UsageError, match="both images are redis"):
        of_images(laboratory, entry, "redis", "redis", [])
    with pytest.raises(UsageError, match="say which images"):
        of_kernels(laboratory, entry, laboratory.assembly.entry("5.10"), [], [])
    with pytest.raises(UsageError, match="unknown image 'nope'"):
        between(laboratory, "nope")
