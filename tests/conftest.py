from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from aptarchive import Archive, Server, Signer, serving
from preloaded import preloading

from harness.packages.download import Fetcher, Limits
from harness.store import Store

pytest_plugins = ["pytester"]

# A shell's background job ignores it, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The words that, before ``pytest`` or ``harness``, run it with its modules there already."""
    yield from preloading(tmp_path_factory.mktemp("preloaded"))


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    key = Signer(tmp_path_factory.mktemp("key") / "home", "archive")
    yield key
    key.close()


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    key = Signer(tmp_path_factory.mktemp("key") / "home", "stranger")
    yield key
    key.close()


@pytest.fixture
def archive(tmp_path: Path, signer: Signer) -> Archive:
    return Archive(tmp_path / "archive", signer)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = tmp_path / "archive"
    root.mkdir(exist_ok=True)
    with serving(root) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def limits() -> Limits:
    return Limits(connect=10.0, stall=10.0, attempts=2, backoff=0.0)


@pytest.fixture
def fetcher(store: Store, limits: Limits) -> Iterator[Fetcher]:
    with Fetcher(store, limits=limits) as fetcher:
        yield fetcher
