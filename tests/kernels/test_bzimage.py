from __future__ import annotations

from pathlib import Path

import pytest
from aptarchive import bzimage

from harness.kernels.bzimage import release_of


@pytest.mark.parametrize(
    "release",
    ["3.10.0-1160.el7.x86_64", "6.12.117+deb13-cloud-amd64", "6.1.0-rc1", "6.18.0_mine~2", "6.6"],
)
def test_a_release_is_read_from_the_header(tmp_path: Path, release: str) -> None:
    (tmp_path / "bzImage").write_bytes(bzimage(release))
    assert release_of(tmp_path / "bzImage") == release


@pytest.mark.parametrize(
    "release", ["/root/.ssh", "..", ".", "../../6.1", "6.1/../..", "6.1\n", "6.1\x1b[2J", "6" * 65]
)
def test_what_leads_elsewhere_as_a_directorys_name_is_no_release(
    tmp_path: Path, release: str
) -> None:
    (tmp_path / "bzImage").write_bytes(bzimage(release))
    assert release_of(tmp_path / "bzImage") == ""
