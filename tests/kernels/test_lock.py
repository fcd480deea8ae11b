from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.kernels.lock import read_locks, update_locks, write_locks
from harness.model.hosts import Lock, LockedPackage


def lock(release: str, version: str = "1:1.0~rc1-1", architecture: str = "amd64") -> Lock:
    package = LockedPackage(
        name="linux-image",
        version=version,
        path="pool/main/l/linux/linux-image_1.0.deb",
        sha256="0" * 63 + "e",
        size=1,
        architecture=architecture,
    )
    return Lock(release=release, source="apt suite main cloud", packages=(package,))


LOCKS = {
    "latest": lock("7.3.4+deb13"),
    "5.10": lock("5.10"),
    "5.9": lock("5.9", version="1.10"),
    "tools": lock("", version="1e5", architecture="i386"),
}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "new/kernels.lock.yaml"
    write_locks(file, LOCKS)
    assert read_locks([file]) == LOCKS
    assert list(file.parent.iterdir()) == [file]


def test_the_file_is_the_same_whatever_the_order_and_names_its_writer(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    write_locks(first, LOCKS)
    write_locks(second, dict(reversed(LOCKS.items())))
    assert first.read_text() == second.read_text()
    assert first.read_text().startswith("# Written by `harness kernels lock`")
    assert list(read_locks([first])) == ["5.9", "5.10", "latest", "tools"]


def test_a_later_file_overrides_and_a_missing_one_is_none(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    write_locks(first, LOCKS)
    write_locks(second, {"5.10": lock("5.10.1")})
    locks = read_locks([first, second, tmp_path / "missing.yaml"])
    assert locks["5.10"].release == "5.10.1"
    assert locks["latest"] == LOCKS["latest"]


def test_an_update_keeps_the_others(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    write_locks(file, LOCKS)
    update_locks(file, {"5.10": lock("5.10.2")})
    assert read_locks([file]) == {**LOCKS, "5.10": lock("5.10.2")}


def test_a_lock_that_was_edited_wrongly_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    write_locks(file, {"5.10": lock("5.10")})
    text = file.read_text()
    file.write_text(text.replace("sha256:", "sha265:"))
    with pytest.raises(ConfigError, match=r"a\.yaml:\d+: .*sha265: unknown key; did you mean 'sha"):
        read_locks([file])
    file.write_text(text.replace("path: pool", "path: /pool"))
    with pytest.raises(ConfigError, match=r"a\.yaml:\d+: .*path"):
        read_locks([file])
