from __future__ import annotations

from pathlib import Path

import pytest
from aptarchive import bzimage

from harness.errors import UsageError
from harness.kernels.selection import applies, select, version_in
from harness.model.hosts import HostEntry, LocalSource, Lock, OciSource


def entry(name: str, *tags: str, aliases: tuple[str, ...] = ()) -> HostEntry:
    return HostEntry(name=name, source=OciSource(ref="x"), tags=tags, aliases=aliases)


ENTRIES = [
    entry("el8"),
    entry("5.10", "lts", aliases=("bullseye",)),
    entry("6.1", "lts"),
    entry("6.12", "lts", aliases=("trixie",)),
    entry("6.12-docker", "alternative"),
    entry("latest", "default"),
    entry("unlocked"),
]
LOCKS = {
    name: Lock(release=release, packages=())
    for name, release in {
        "el8": "4.18.0-553.el8.x86_64",
        "5.10": "5.10.0-32-cloud-amd64",
        "6.12": "6.12.117+deb13-cloud-amd64",
        "6.12-docker": "6.12.117+deb13-cloud-amd64",
        "latest": "7.3.4+deb13-cloud-amd64",
    }.items()
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (None, "latest"),
        ("", "latest"),
        ("all", "el8 5.10 6.1 6.12 latest unlocked"),
        ("6.1", "6.1"),
        ("latest,5.10", "latest 5.10"),
        (" 6.1 , 6.1,trixie", "6.1 6.12"),
        ("bullseye", "5.10"),
        ("6.*", "6.1 6.12 6.12-docker"),
        ("el*", "el8"),
        ("5.14+", "6.1 6.12 latest"),
        ("6+", "6.1 6.12 latest"),
        ("5.10..6.12", "5.10 6.1 6.12"),
        ("5..6", "5.10 6.1 6.12"),
        (">=5.14", "6.1 6.12 latest"),
        (">5.10", "6.1 6.12 latest"),
        (">6", "latest"),
        ("<6", "el8 5.10"),
        ("<=6", "el8 5.10 6.1 6.12"),
        ("<6.12", "el8 5.10 6.1"),
        ("=6.12", "6.12"),
        ("tag:lts", "5.10 6.1 6.12"),
        ("tag:alternative", "6.12-docker"),
        ("6.12-docker", "6.12-docker"),
        ("<5,tag:default", "el8 latest"),
    ],
)
def test_an_expression_means_these_kernels(expression: str | None, expected: str) -> None:
    assert [found.name for found in select(expression, ENTRIES, LOCKS)] == expected.split()


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        (
            "6.11",
            r"unknown kernel '6\.11'; did you mean '6\.1.*'\? known kernels: el8, 5\.10 \(bul",
        ),
        ("qqq", r"^unknown kernel 'qqq'; known kernels: el8, 5\.10 \(bullseye\), 6\.1,"),
        ("6.1,9.*", r"no kernel matches '9\.\*'; known kernels: "),
        ("9+", r"no kernel matches '9\+'; known kernels: "),
        ("tag:lst", "no kernel is tagged 'lst'; did you mean 'lts'"),
        (",", "no kernel is named"),
    ],
)
def test_what_means_nothing_is_an_error_that_lists_what_there_is(
    expression: str, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        select(expression, ENTRIES, LOCKS)


def test_a_name_goes_before_what_else_it_could_mean() -> None:
    named = [entry("5.10+deb"), entry("6.1")]
    assert select("5.10+deb", named, {})[0].name == "5.10+deb"


def test_without_any_kernel_all_is_an_error() -> None:
    with pytest.raises(UsageError, match="known kernels: none"):
        select("all", [], {})


def test_a_local_kernel_is_compared_by_its_own_release(tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage("5.14.21"))
    local = HostEntry(name="mine", source=LocalSource(image=image))
    gone = HostEntry(name="gone", source=LocalSource(image=tmp_path / "gone"))
    assert [found.name for found in select("5.14+", [local, gone], {})] == ["mine"]


@pytest.mark.parametrize(
    ("expression", "release", "expected"),
    [
        ("", "5.10.0", True),
        ("5.10+", "5.10.0-32-cloud-amd64", True),
        ("5.11+", "5.10.0-32-cloud-amd64", False),
        ("<5,6.1..6.12", "6.2.0", True),
        ("host", "5.10.0", True),
        ("other", "5.10.0", False),
        ("h*", "5.10.0", True),
        ("tag:lts", "5.10.0", True),
        ("tag:new", "5.10.0", False),
        ("all", "5.10.0", True),
        ("5.10+", "", False),
    ],
)
def test_a_scenarios_range_applies_or_not(expression: str, release: str, expected: bool) -> None:
    assert applies(expression, name="host", release=release, tags=("lts",)) is expected


def test_versions_are_read_from_releases_and_numeric_names() -> None:
    assert version_in("5.14.0-570.el9") == (5, 14)
    assert version_in("7.3-rc1") == (7, 3)
    assert version_in("6.12") == (6, 12)
    assert version_in("el8") is None
    assert version_in("6.12x") is None
