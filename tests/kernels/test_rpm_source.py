from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aptarchive import Server, Signer
from rpmrepository import (
    Layout,
    Repository,
    el7,
    el8,
    el9,
    flip,
    sign_package,
    stalled,
    to_itself,
)

from harness import defaults
from harness.errors import HarnessError, UnavailableError, UsageError, VerificationError
from harness.kernels import catalog, sources, tools
from harness.kernels.lock import read_locks, write_locks
from harness.kernels.schema import describe
from harness.model.hosts import HostEntry, Kernel, Lock, RpmSource
from harness.packages.download import Fetcher, Limits
from harness.packages.signature import Keyring
from harness.store import Store

EL8 = ("kernel-core", "kernel-modules")
PACKAGES: dict[Layout, tuple[str, ...]] = {
    el7: ("kernel",),
    el8: EL8,
    el9: ("kernel-core", "kernel-modules-core", "kernel-modules"),
}
METADATA: dict[Layout, str] = {el7: "gz", el8: "xz", el9: "zstd"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Repository:
    """An el8 repository, built once."""
    repository = Repository(tmp_path_factory.mktemp("model") / "archive", signer)
    el8(repository)
    repository.publish()
    return repository


@pytest.fixture
def repository(model: Repository, server: Server, tmp_path: Path, signer: Signer) -> Repository:
    """A copy of it that a test may spoil, served by ``server``."""
    root = tmp_path / "archive"
    shutil.rmtree(root)
    copy = Repository(root, signer)
    shutil.copytree(model.root, root, dirs_exist_ok=True)
    return copy


@pytest.fixture
def keyrings(signer: Signer) -> dict[str, Keyring]:
    return {"test": signer.keyring()}


@pytest.fixture
def fetcher(store: Store) -> Iterator[Fetcher]:
    limits = Limits(connect=10.0, stall=0.5, attempts=2, backoff=0.0)
    with Fetcher(store, limits=limits) as fetcher:
        yield fetcher


@pytest.fixture
def resolver(fetcher: Fetcher, keyrings: dict[str, Keyring]) -> sources.Resolver:
    return sources.Resolver.of(fetcher, keyrings)


@pytest.fixture
def entry(server: Server) -> HostEntry:
    source = RpmSource(bases=(server.base,), packages=EL8, keys=("test",))
    return HostEntry(name="4.18", source=source, where="catalog.yaml:1")


def obtained(entry: HostEntry, lock: Lock, resolver: sources.Resolver) -> Kernel:
    fetcher = resolver.fetcher
    keyrings = resolver.keyrings
    return sources.obtain(entry, lock, store=fetcher.store, fetcher=fetcher, keyrings=keyrings)


def contents(kernel: Kernel) -> dict[str, bytes]:
    assert kernel.modules is not None
    files = {path for path in kernel.modules.rglob("*") if path.is_file()}
    return {str(path.relative_to(kernel.modules)): path.read_bytes() for path in files}


@pytest.mark.parametrize("layout", [el7, el8, el9])
def test_a_kernel_of_each_release_is_locked_fetched_and_unpacked(
    layout: Layout, tmp_path: Path, server: Server, signer: Signer, resolver: sources.Resolver
) -> None:
    shutil.rmtree(tmp_path / "archive")
    repository = Repository(tmp_path / "archive", signer)
    uname = layout(repository)
    compression = METADATA[layout]
    repository.publish(f"--general-compress-type={compression}")
    assert repository.primary().suffix == {"gz": ".gz", "xz": ".xz", "zstd": ".zst"}[compression]
    entry = HostEntry(
        name="el", source=repository.source(server.base, packages=PACKAGES[layout]), where="here"
    )
    lock = sources.resolve(entry, resolver)
    assert lock.release == uname
    assert {package.name for package in lock.packages} == set(PACKAGES[layout])
    kernel = obtained(entry, lock, resolver)
    assert uname.encode() in kernel.vmlinuz.read_bytes()
    assert kernel.release == uname
    modules = {name: data for name, data in contents(kernel).items() if name.endswith(".ko.xz")}
    assert modules == {"kernel/fs/ext4/ext4.ko.xz": b"ext4", "kernel/net/veth.ko.xz": b"veth"}
    assert not list(kernel.vmlinuz.parent.rglob("System.map*"))
    asked = len(server.asked)
    assert obtained(entry, lock, resolver) == kernel
    assert len(server.asked) == asked


def test_the_lock_of_a_kernel_survives_its_file(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver, tmp_path: Path
) -> None:
    lock = sources.resolve(entry, resolver)
    write_locks(tmp_path / "kernels.lock.yaml", {"4.18": lock})
    assert read_locks([tmp_path / "kernels.lock.yaml"]) == {"4.18": lock}
    assert sources.lock_of(entry, {"4.18": lock}, resolver).fresh is False
    assert sources.lock_of(entry, {}, resolver).fresh is True


def test_the_newest_version_that_every_package_has_is_taken(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver
) -> None:
    el8(repository, "553.9.1.el8_10")
    newest = el8(repository, "553.10.1.el8_10")
    alone = {"lib/modules/x/vmlinuz": b"x"}
    repository.add("kernel-core", "4.18.0", "553.11.1.el8_10", alone)
    repository.add("kernel-core", "4.18.0", "600.el8", alone, architecture="i686")
    repository.add("kernel-modules", "4.18.0", "600.el8", alone, architecture="i686")
    repository.publish()
    lock = sources.resolve(entry, resolver)
    assert lock.release == newest
    assert {package.version for package in lock.packages} == {"4.18.0-553.10.1.el8_10"}
    assert {package.architecture for package in lock.packages} == {"x86_64"}


def test_packages_of_no_version_in_common_are_said(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver
) -> None:
    next(repository.packages.glob("kernel-modules-*")).unlink()
    repository.add("kernel-modules", "4.18.0", "1.el8", {"lib/modules/x/a.ko": b""})
    repository.publish()
    with pytest.raises(UnavailableError, match="are there in no version alike; name a mirror"):
        sources.resolve(entry, resolver)


def test_the_next_base_is_taken_where_one_lacks_the_packages(
    repository: Repository, entry: HostEntry, server: Server, resolver: sources.Resolver
) -> None:
    source = repository.source(f"{server.base}/none", server.base, packages=EL8)
    lock = sources.resolve(replace(entry, source=source), resolver)
    assert lock.release == "4.18.0-553.el8_10.x86_64"
    assert obtained(replace(entry, source=source), lock, resolver).release == lock.release
    assert any(path.startswith("/none/Packages/") for path in server.asked)


def test_a_base_is_replaced_by_its_mirror(
    repository: Repository, entry: HostEntry, server: Server, store: Store, signer: Signer
) -> None:
    far = "https://vault.example.invalid/8.10/os"
    source = repository.source(far, packages=EL8)
    with Fetcher(store, mirrors={"https://vault.example.invalid/8.10": server.base}) as fetcher:
        resolver = sources.Resolver.of(fetcher, {"test": signer.keyring()})
        with pytest.raises(UnavailableError, match=r"127.*/os/repodata/repomd.xml: 404"):
            sources.resolve(replace(entry, source=source), resolver)
    with Fetcher(store, mirrors={far: server.base}) as fetcher:
        resolver = sources.Resolver.of(fetcher, {"test": signer.keyring()})
        lock = sources.resolve(replace(entry, source=source), resolver)
        assert obtained(replace(entry, source=source), lock, resolver).modules is not None


def test_a_repository_is_read_from_a_directory(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver
) -> None:
    source = repository.source(repository.root.as_uri(), packages=EL8)
    lock = sources.resolve(replace(entry, source=source), resolver)
    assert obtained(replace(entry, source=source), lock, resolver).release == lock.release


def refused(call: object, resolver: sources.Resolver) -> str:
    """Return the one line that ``call`` ends with, having made sure that nothing is installed."""
    assert callable(call)
    with pytest.raises(HarnessError) as caught:
        call()
    root = resolver.fetcher.store.root
    assert not list(root.glob("kernels/*"))
    assert not list(root.glob("tmp/*"))
    text = str(caught.value)
    assert "\n" not in text
    assert isinstance(caught.value, (VerificationError, UnavailableError))
    return f"{type(caught.value).__name__}: {text}"


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        ("repomd.xml", "VerificationError: .*repomd.xml: no valid signature .* bad signature"),
        ("repomd.xml.asc", "VerificationError: .*repomd.xml: no valid signature"),
        ("primary", "VerificationError: .*primary.xml.*: its sha256 is .* instead of"),
    ],
)
def test_a_flipped_byte_in_the_metadata_is_found(
    spoiled: str, said: str, repository: Repository, entry: HostEntry, resolver: sources.Resolver
) -> None:
    primary = spoiled == "primary"
    flip(repository.primary() if primary else repository.repodata / spoiled)
    assert_matches(said, refused(lambda: sources.resolve(entry, resolver), resolver))


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


def test_metadata_signed_by_a_stranger_is_refused(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver, stranger: Signer
) -> None:
    repository.sign(stranger)
    said = refused(lambda: sources.resolve(entry, resolver), resolver)
    assert_matches(r"VerificationError: .*signed by \w+ \(ERRSIG\) only", said)


def test_metadata_without_a_signature_is_refused_unless_the_source_says_so(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver, server: Server
) -> None:
    (repository.repodata / "repomd.xml.asc").unlink()
    said = refused(lambda: sources.resolve(entry, resolver), resolver)
    assert_matches(r"UnavailableError: .*repomd.xml.asc: 404 .*; name a mirror", said)
    source = repository.source(server.base, packages=EL8, signed=False)
    assert sources.resolve(replace(entry, source=source), resolver).packages


@pytest.mark.parametrize("where", [0.01, 0.5, 0.99])
def test_a_flipped_byte_in_a_package_is_found(
    where: float, repository: Repository, entry: HostEntry, resolver: sources.Resolver
) -> None:
    lock = sources.resolve(entry, resolver)
    flip(next(repository.packages.glob("kernel-modules-*")), where)
    said = refused(lambda: obtained(entry, lock, resolver), resolver)
    assert_matches("VerificationError: .*its sha256 is .* nothing of it was kept", said)


def test_a_package_signed_by_a_stranger_is_refused(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver, stranger: Signer
) -> None:
    package = next(repository.packages.glob("kernel-modules-*"))
    sign_package(package, stranger)
    repository.publish()
    lock = sources.resolve(entry, resolver)
    said = refused(lambda: obtained(entry, lock, resolver), resolver)
    assert_matches(r"VerificationError: kernel-modules 4.18.0-\S+: no valid sig.*NOKEY", said)


def test_an_unsigned_package_is_refused(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver
) -> None:
    more = {"lib/modules/4.18.0-700.el8.x86_64/a.ko": b"a"}
    repository.add("kernel-core", "4.18.0", "700.el8", more)
    repository.add("kernel-modules", "4.18.0", "700.el8", {"lib/modules/x": b""}, sign=False)
    repository.publish()
    lock = sources.resolve(entry, resolver)
    said = refused(lambda: obtained(entry, lock, resolver), resolver)
    assert_matches("VerificationError: kernel-modules .*no valid signature", said)


def test_packages_without_a_kernel_are_refused(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver
) -> None:
    for name in EL8:
        repository.add(name, "4.18.0", "700.el8", {f"lib/modules/other/{name}.ko": b"a"})
    repository.publish()
    lock = sources.resolve(entry, resolver)
    said = refused(lambda: obtained(entry, lock, resolver), resolver)
    assert_matches("VerificationError: there is no kernel 4.18.0-700.el8.x86_64 in kernel-c", said)


def test_a_package_that_is_gone_names_the_remedy(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver
) -> None:
    lock = sources.resolve(entry, resolver)
    next(repository.packages.glob("kernel-modules-*")).unlink()
    said = refused(lambda: obtained(entry, lock, resolver), resolver)
    assert_matches(r"UnavailableError: kernel-modules .*: 404 .*`harness kernels lock 4.18`", said)


def test_a_repository_that_is_not_there_names_the_remedy(
    server: Server, entry: HostEntry, resolver: sources.Resolver
) -> None:
    said = refused(lambda: sources.resolve(entry, resolver), resolver)
    assert_matches(r"UnavailableError: the kernel 4.18 cannot be had: .*404.*mirrors.yaml", said)
    assert_matches(r"HARNESS_MIRRORS=.*`harness store import`", said)


def test_a_redirect_loop_ends(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver, server: Server
) -> None:
    server.misbehaviours["/repodata/repomd.xml"] = to_itself
    said = refused(lambda: sources.resolve(entry, resolver), resolver)
    assert_matches("UnavailableError: .*more than 5 redirects", said)


@pytest.mark.parametrize("path", ["/repodata/repomd.xml", "/repodata/repomd.xml.asc"])
def test_a_stalled_connection_ends(
    path: str, repository: Repository, entry: HostEntry, resolver: sources.Resolver, server: Server
) -> None:
    server.misbehaviours[path] = stalled
    said = refused(lambda: sources.resolve(entry, resolver), resolver)
    assert_matches(r"UnavailableError: .*no byte came for 0.5 s, 2 times over", said)


def test_a_package_that_stalls_ends(
    repository: Repository, entry: HostEntry, resolver: sources.Resolver, server: Server
) -> None:
    lock = sources.resolve(entry, resolver)
    for package in lock.packages:
        server.misbehaviours[f"/{package.path}"] = stalled
    said = refused(lambda: obtained(entry, lock, resolver), resolver)
    assert_matches("UnavailableError: kernel-core .*no byte came for 0.5 s", said)


def test_dead_hosts_cost_one_limit_together_and_nothing_later(
    entry: HostEntry, store: Store, keyrings: dict[str, Keyring]
) -> None:
    # a listener whose queue is full answers nobody, as a firewall that drops
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        port = deaf.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            bases = (f"http://127.0.0.1:{port}", f"http://localhost:{port}/x")
            source = RpmSource(bases=bases, packages=EL8, keys=("test",))
            with Fetcher(store, limits=Limits(connect=1.0)) as fetcher:
                resolver = sources.Resolver.of(fetcher, keyrings)
                for most in (1.9, 0.5):
                    started = time.monotonic()
                    with pytest.raises(UnavailableError, match=r"out of reach.*store import"):
                        sources.resolve(replace(entry, source=source), resolver)
                    assert time.monotonic() - started < most


def test_a_key_file_without_the_key_is_refused(
    repository: Repository, entry: HostEntry, fetcher: Fetcher, signer: Signer, stranger: Signer
) -> None:
    wrong = Keyring(name="test", file=signer.public, fingerprints=frozenset({stranger.fingerprint}))
    resolver = sources.Resolver.of(fetcher, {"test": wrong})
    said = refused(lambda: sources.resolve(entry, resolver), resolver)
    assert_matches(r"VerificationError: the key file .* does not hold the key \w+", said)


def test_a_key_of_the_file_that_is_not_named_does_not_count(
    repository: Repository,
    entry: HostEntry,
    fetcher: Fetcher,
    signer: Signer,
    stranger: Signer,
    tmp_path: Path,
) -> None:
    both = tmp_path / "both.pgp"
    both.write_bytes(signer.public.read_bytes() + stranger.public.read_bytes())
    only = Keyring(name="test", file=both, fingerprints=frozenset({signer.fingerprint}))
    resolver = sources.Resolver.of(fetcher, {"test": only})
    assert sources.resolve(entry, resolver).packages
    repository.sign(stranger)
    said = refused(lambda: sources.resolve(entry, resolver), resolver)
    assert_matches("VerificationError: .*no valid signature", said)


def test_an_unknown_keyring_is_named(entry: HostEntry, fetcher: Fetcher, signer: Signer) -> None:
    resolver = sources.Resolver.of(fetcher, {"tests": signer.keyring()})
    with pytest.raises(UsageError, match=r"catalog.yaml:1: there is no keyring 'test' .*tests"):
        sources.resolve(entry, resolver)


def test_every_key_that_the_catalog_names_is_known_and_locked() -> None:
    entries = catalog.load_catalog([defaults.directory("kernels") / catalog.CATALOG_FILE])
    rpms = [entry.source for entry in entries if isinstance(entry.source, RpmSource)]
    keyrings = sources.packaged_keyrings()
    specs = tools.load_tools()
    locks = read_locks([tools.tools_lock_file()])
    assert {"3.10", "4.18", "5.14"} <= {entry.name for entry in entries}
    for source in rpms:
        for name in source.keys:
            keyring = keyrings[name]
            assert locks[keyring.set].source == specs[keyring.set].describe()
            assert keyring.fingerprints
    assert len({describe(source) for source in rpms}) == len(rpms)
