from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.images import catalog
from harness.images.catalog import ImageEntry, Recipe
from harness.model.images import Image, ImageConfig
from harness.model.scenarios import Scenario, Step
from harness.scenarios.fitting import collect, fitting, named
from harness.scenarios.generic import generic

HERE = Path("/srv")
ENTRIES = {
    "redis": ImageEntry(name="redis", source=Recipe(suite="trixie")),
    "cache": ImageEntry(name="cache", source=catalog.adhoc("docker://redis:7", base=HERE).source),
}


def scenario(name: str, *images: str) -> Scenario:
    return Scenario(name=name, file="f.yaml", line=1, images=images, steps=(Step(),))


def fits(image: str, *images: str) -> bool:
    entry = ENTRIES.get(image) or catalog.adhoc(image, base=HERE)
    return bool(fitting(entry, [scenario("s", *images)], ENTRIES, HERE))


@pytest.mark.parametrize(
    "image",
    [
        "redis",
        "docker://redis",
        "docker://redis:7",
        "docker://docker.io/library/redis:7.2",
        "docker://registry.example.org:5000/mirror/redis@sha256:" + "a" * 64,
        "cache",
    ],
)
def test_an_image_fits_by_its_name_or_its_repository(image: str) -> None:
    assert fits(image, "redis")
    assert fits(image, "nginx", "redis")
    assert fits(image, "docker://docker.io/library/redis:6")
    assert not fits(image, "nginx")


def test_layouts_and_archives_fit_by_their_whole_reference_alone() -> None:
    assert not fits("oci:/srv/redis", "redis")
    assert fits("oci:/srv/redis", "oci:/srv/redis")


def test_a_scenario_whose_image_is_no_reference_fits_nothing() -> None:
    assert not fits("redis", "nope")


def write(path: Path, *names: str) -> None:
    path.parent.mkdir(exist_ok=True)
    body = "".join(f"  {name}: {{image: redis, run: 'true'}}\n" for name in names)
    path.write_text(f"scenarios:\n{body}")


def test_scenarios_are_those_of_the_directory_and_of_files_named_so(tmp_path: Path) -> None:
    write(tmp_path / "scenarios" / "b.yaml", "b")
    write(tmp_path / "scenarios" / "a.yml", "a1", "a2")
    write(tmp_path / "c.scenario.yaml", "c")
    write(tmp_path / "other.yaml", "d")
    (tmp_path / "scenarios" / "known.yaml").write_text("known: []\n")
    assert [one.name for one in collect(tmp_path, [tmp_path / "scenarios"])] == [
        "a1",
        "a2",
        "b",
        "c",
    ]
    assert [one.name for one in collect(tmp_path, [tmp_path])] == ["c", "d", "a1", "a2", "b"]
    assert collect(tmp_path / "scenarios" / "none", [tmp_path / "none"]) == ()


def test_scenarios_are_named_by_name_or_file_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "scenarios" / "a.yaml", "one", "two")
    write(tmp_path / "other.yaml", "three")
    known = collect(tmp_path, [tmp_path / "scenarios"])
    monkeypatch.chdir(tmp_path / "scenarios")
    found = named(["two", "../other.yaml", "a.yaml"], known, tmp_path)
    assert [one.name for one in found] == ["two", "three", "one"]
    with pytest.raises(UsageError, match=r"no scenario is called 'twoo'; did you mean 'two'\?"):
        named(["twoo"], known, tmp_path)


def image(name: str, *cmd: str) -> Image:
    return Image(name=name, ref=name, digest="", disk=Path(), slot=0, config=ImageConfig(cmd=cmd))


def test_an_image_with_a_command_is_started_and_every_image_is_asked_for_its_tools() -> None:
    start, tools = generic(image("a", "redis-server"))
    assert start.service is not None
    assert start.service.watch > 0
    assert start.steps == ()
    assert [step.name for step in tools.steps] == ["shell", "packages"]


def test_of_two_images_both_must_have_a_command_to_be_started() -> None:
    found = generic(image("a", "x"), image("b"))
    assert [one.name for one in found] == ["tools"]
    assert found[0].images == ("a", "b")
