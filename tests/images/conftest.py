from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import pytest
from ociimages import Builder, Member, Registry, running_registry, tar_of

from harness import oci


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "source")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    if shutil.which("docker-registry") is None:
        pytest.skip("needs the package docker-registry")
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants ``reader`` with the password ``secret``."""
    if shutil.which("docker-registry") is None:
        pytest.skip("needs the package docker-registry")
    directory = tmp_path_factory.mktemp("guarded")
    htpasswd = directory / "htpasswd"
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    htpasswd.write_text(f"reader:{hashed}\n")
    with running_registry(directory, htpasswd=htpasswd) as running:
        yield running


@pytest.fixture
def whiteouts() -> tuple[tuple[bytes, str], ...]:
    """Two layers: the second, of zstd, takes a file of the first away and adds one."""
    below = tar_of(
        Member(name="etc", kind=tarfile.DIRTYPE, mode=0o755),
        Member(name="etc/kept", content=b"kept\n"),
        Member(name="etc/gone", content=b"gone\n"),
    )
    above = tar_of(Member(name="etc/.wh.gone"), Member(name="etc/added", content=b"added\n"))
    return (below, "gzip"), (above, "zstd")


@pytest.fixture
def resolve_text(tmp_path: Path) -> Callable[[str], oci.Resolved]:
    return lambda text: oci.resolve(oci.reference(text, base=tmp_path))
