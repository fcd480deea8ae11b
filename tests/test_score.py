from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from aptarchive import bzimage

from harness.errors import UsageError
from harness.laboratory import not_run
from harness.model.cases import Case, Effect, Expected
from harness.model.hosts import AptSource, Engine, HostEntry, LocalSource
from harness.model.observations import Verdict
from harness.model.scenarios import Scenario, Step
from harness.score import Try, recorded, supplied

SOURCE = AptSource(bases=("http://a",), suite="old")
OLD = HostEntry(name="3.10", source=SOURCE, aliases=("el7",), engine=Engine.DOCKER)
SAME = HostEntry(name="3.10-podman", source=SOURCE)
OTHER = HostEntry(name="6.12", source=AptSource(bases=("http://a",), suite="new"))


def test_a_kernel_by_path_serves_every_host_on_its_source_and_leaves_their_settings(
    tmp_path: Path,
) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage("3.10.0-1160.el7.x86_64"))
    found = {entry.name: entry for entry in supplied([OLD, SAME, OTHER], [f"el7={image}"])}
    assert found["3.10"].source == found["3.10-podman"].source == LocalSource(image=image)
    assert (found["3.10"].engine, found["3.10-podman"].engine) == (Engine.DOCKER, Engine.PODMAN)
    assert found["6.12"] is OTHER


def test_a_kernel_by_path_for_no_host_is_an_error_that_names_it(tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage("3.10.0-1160.el7.x86_64"))
    with pytest.raises(UsageError, match=r"--kernel 3\.11=.*: there is no such host"):
        supplied([OLD], [f"3.11={image}"])


def test_of_several_runs_the_last_that_has_a_cell_counts_if_it_is_of_the_same_scenario() -> None:
    scenario = Scenario(name="s", file="f.yaml", line=1, images=("i",), steps=(Step(),))
    works = Expected(hosts=("6.12",), effect=Effect.WORKS)
    case = Case(
        name="c",
        kind="errno",
        references=(),
        scenario=scenario,
        image="i",
        expected=(works,),
        file="f.yaml",
        line=1,
    )
    one = Try(case=case, expected=works, entry=OTHER)
    first = replace(not_run(one.cell.id, scenario, "i", OTHER), verdict=Verdict.FAILED)
    second = replace(first, verdict=Verdict.PASSED)
    assert recorded([one], [first, second]) == [second]
    [other] = recorded([one], [replace(first, scenario_digest="another")])
    assert (other.verdict, other.reason) == (
        Verdict.UNAVAILABLE,
        "its scenario was another one then",
    )
    [missing] = recorded([one], [])
    assert (missing.verdict, missing.reason) == (Verdict.UNAVAILABLE, "no run has it")
