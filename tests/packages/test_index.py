from __future__ import annotations

import textwrap

import pytest

from harness.errors import UnavailableError, VerificationError
from harness.packages import closure
from harness.packages.index import Index, Package, Relation


def paragraph(name: str, version: str = "1", **fields: str) -> str:
    values = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Filename": f"pool/{name}_{version}.deb",
        "Size": "10",
        "SHA256": "0" * 64,
        **{key.replace("_", "-"): value for key, value in fields.items()},
    }
    return "".join(f"{key}: {value}\n" for key, value in values.items())


def index(*paragraphs: str) -> Index:
    return Index("\n".join(paragraphs).encode(), "the index")


def names(found: list[Package]) -> list[str]:
    return [package.locked.name for package in found]


def test_versions_are_ordered_as_debian_orders_them() -> None:
    versions = ["1.9", "1.10~rc1", "1.10", "1.10-1~bpo", "1.10-1"]
    packages = index(*(paragraph("a", version) for version in versions))
    assert packages.get("a").locked.version == "1.10-1"
    for operator, version, expected in (
        ("<<", "1.10", "1.10~rc1"),
        ("<=", "1.10", "1.10"),
        ("=", "1.9", "1.9"),
        (">=", "1.10-1", "1.10-1"),
    ):
        found = packages.find(Relation(name="a", operator=operator, version=version))
        assert found is not None
        assert found.locked.version == expected
    assert packages.find(Relation(name="a", operator=">>", version="1.10-1")) is None


def test_a_package_that_is_not_there_is_said() -> None:
    with pytest.raises(UnavailableError, match="the index: there is no package b"):
        index(paragraph("a")).get("b")


def test_depends_and_pre_depends_are_followed_and_recommends_are_not() -> None:
    packages = index(
        paragraph("a", Depends="b (>= 1), c", Pre_Depends="d", Recommends="e"),
        *(paragraph(name) for name in "bcde"),
    )
    assert names(closure.depends(packages, ["a"])) == ["a", "b", "c", "d"]


def test_of_alternatives_the_first_that_exists_is_taken() -> None:
    packages = index(
        paragraph("a", Depends="gone | b (>= 2) | c, c | gone"),
        paragraph("b", "1"),
        paragraph("c"),
    )
    assert names(closure.depends(packages, ["a"])) == ["a", "c"]


def test_a_virtual_package_is_met_by_its_provider() -> None:
    packages = index(
        paragraph("a", Depends="virtual, other"),
        paragraph("z", Provides="virtual (= 3), x"),
        paragraph("y", Provides="x, other"),
    )
    assert names(closure.depends(packages, ["a"])) == ["a", "y", "z"]


def test_what_is_left_out_is_left_out_with_what_only_it_needs() -> None:
    packages = index(
        paragraph("a", Depends="b, c"),
        paragraph("b", Depends="d"),
        paragraph("c"),
        paragraph("d"),
    )
    assert names(closure.depends(packages, ["a"], without={"b"})) == ["a", "c"]


def test_circles_end() -> None:
    packages = index(paragraph("a", Depends="b"), paragraph("b", Depends="a"))
    assert names(closure.depends(packages, ["a"])) == ["a", "b"]


def test_a_dependency_that_nothing_meets_is_said_whole() -> None:
    packages = index(paragraph("a", Depends="b (>= 2) | gone"), paragraph("b", "1"))
    problem = r"the index: a depends on b \(>= 2\) \| gone, which is not there"
    with pytest.raises(UnavailableError, match=problem):
        closure.depends(packages, ["a"])


def test_a_kernels_packages_are_those_of_exactly_its_version() -> None:
    packages = index(
        paragraph("meta", "7.3-1", Depends="image (= 7.3-1)"),
        paragraph(
            "image",
            "7.3-1",
            Depends="binary (= 7.3-1), dracut | initramfs-tools",
            Pre_Depends="base",
        ),
        paragraph("binary", "7.3-1", Depends="modules (= 7.3-1)"),
        paragraph("modules", "7.2-1"),
        paragraph("modules", "7.3-1", Depends="kmod"),
        *(paragraph(name) for name in ("dracut", "kmod", "base")),
    )
    found = closure.exact(packages, "meta")
    assert names(found) == ["meta", "image", "binary", "modules"]
    assert {package.locked.version for package in found} == {"7.3-1"}


def test_paragraphs_are_found_whatever_field_comes_first() -> None:
    text = textwrap.dedent(
        """

        Version: 2
        Package: a
        Architecture: all
        Filename: pool/a.deb
        Size: 1
        SHA256: 00
        Description: two lines
         Package: b



        """
    )
    packages = Index(text.encode(), "the index")
    assert packages.names() == ["a"]
    assert packages.get("a").locked.architecture == "all"


def test_an_entry_without_a_checksum_is_refused() -> None:
    packages = Index(b"Package: a\nVersion: 1\nFilename: a.deb\nSize: 1\n", "the index")
    with pytest.raises(VerificationError, match="the entry of a has no field SHA256"):
        packages.get("a")
