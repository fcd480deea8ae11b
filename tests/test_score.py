from __future__ import annotations

from pathlib import Path

import pytest
from aptarchive import bzimage

from harness.errors import UsageError
from harness.model.hosts import AptSource, Engine, HostEntry, LocalSource
from harness.score import supplied

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
