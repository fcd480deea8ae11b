from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from aptarchive import Archive, Server, Signer, bzimage

from harness.errors import UnavailableError, UsageError, VerificationError
from harness.kernels import hosts, sources
from harness.kernels.layout import content_digest
from harness.kernels.lock import read_locks, write_locks
from harness.kernels.locking import lock_kernels
from harness.kernels.schema import describe
from harness.model.hosts import Cgroup, Engine, HostEntry, LocalSource, Lock
from harness.packages.download import Fetcher
from harness.store import Store

OLD, NEW = "6.1.0-50-cloud-amd64", "7.3.4+deb13-cloud-amd64"


def old_style(archive: Archive, release: str, version: str) -> None:
    """Everything in linux-image-V, as up to 6.x."""
    modules = f"lib/modules/{release}"
    archive.add(
        f"linux-image-{release}",
        version,
        files={
            f"boot/vmlinuz-{release}": bzimage(release),
            f"boot/config-{release}": b"CONFIG=y",
            f"{modules}/kernel/fs/ext4.ko": b"module",
            f"{modules}/modules.builtin": b"kernel/x.ko",
            f"{modules}/build": "/usr/src/linux-headers",
        },
        Depends="kmod, initramfs-tools | linux-initramfs-tool",
    )
    archive.add("linux-image-cloud-amd64", version, Depends=f"linux-image-{release} (= {version})")


def new_style(archive: Archive, release: str, version: str) -> None:
    """An empty linux-image-V that depends on three others, as from 7.x on."""
    exact = f"(= {version})"
    modules = f"usr/lib/modules/{release}"
    archive.add(f"linux-binary-{release}", version, files={f"{modules}/vmlinuz": bzimage(release)})
    archive.add(
        f"linux-modules-{release}",
        version,
        files={
            f"{modules}/kernel/fs/ext4.ko.xz": b"module",
            f"{modules}/modules.order": b"kernel/fs/ext4.ko",
        },
        Depends=f"kmod, linux-base-{release} {exact}",
    )
    archive.add(f"linux-base-{release}", version, files={f"boot/System.map-{release}": b""})
    needed = [f"linux-{part}-{release} {exact}" for part in ("binary", "modules", "base")]
    archive.add(
        f"linux-image-{release}", version, Depends=", ".join(["dracut | initramfs-tools", *needed])
    )
    archive.add("linux-image-amd64", version, Depends=f"linux-image-{release} {exact}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Archive:
    archive = Archive(tmp_path_factory.mktemp("model") / "archive", signer)
    old_style(archive, "6.1.0-9-cloud-amd64", "6.1.20-1")
    old_style(archive, OLD, "6.1.176-1")
    new_style(archive, NEW, "7.3.4-1~bpo13+1")
    archive.publish()
    return archive


@pytest.fixture
def published(model: Archive, archive: Archive, server: Server) -> Archive:
    shutil.copytree(model.root, archive.root, dirs_exist_ok=True)
    return archive


@pytest.fixture
def cloud(published: Archive, server: Server) -> HostEntry:
    return HostEntry(name="6.1", source=published.source(server.base), aliases=("bookworm",))


@pytest.fixture
def resolver(fetcher: Fetcher, signer: Signer) -> sources.Resolver:
    return sources.Resolver.of(fetcher, {"test": signer.keyring()})


def test_the_newest_kernel_of_the_flavour_is_locked(
    cloud: HostEntry, resolver: sources.Resolver
) -> None:
    lock = sources.resolve(cloud, resolver)
    assert lock.release == OLD
    assert [package.name for package in lock.packages] == [
        f"linux-image-{OLD}",
        "linux-image-cloud-amd64",
    ]
    generic = sources.resolve(replace(cloud, flavour="generic"), resolver)
    assert generic.release == NEW
    assert len(generic.packages) == 5
    assert lock.source != generic.source


def test_a_kernel_of_one_package_is_unpacked(
    cloud: HostEntry, resolver: sources.Resolver, fetcher: Fetcher, store: Store
) -> None:
    lock = sources.resolve(cloud, resolver)
    kernel = sources.obtain(cloud, lock, store=store, fetcher=fetcher)
    assert kernel.release == OLD
    assert kernel.vmlinuz.read_bytes() == bzimage(OLD)
    assert kernel.modules is not None
    assert kernel.modules.name == OLD
    assert (kernel.modules / "kernel/fs/ext4.ko").read_bytes() == b"module"
    assert (kernel.modules / "modules.builtin").is_file()
    assert not (kernel.modules / "build").is_symlink()
    assert "6.1.176-1" in kernel.origin


def test_a_kernel_of_several_packages_is_unpacked_to_the_same_places(
    cloud: HostEntry, resolver: sources.Resolver, fetcher: Fetcher, store: Store
) -> None:
    generic = replace(cloud, name="latest", flavour="generic")
    lock = sources.resolve(generic, resolver)
    kernel = sources.obtain(generic, lock, store=store, fetcher=fetcher)
    assert kernel.vmlinuz.read_bytes() == bzimage(NEW)
    assert kernel.modules == kernel.vmlinuz.parent / "lib/modules" / NEW
    assert sorted(path.name for path in kernel.modules.rglob("*") if path.is_file()) == [
        "ext4.ko.xz",
        "modules.order",
    ]


def test_a_locked_kernel_needs_no_index_and_a_stored_one_no_network(
    cloud: HostEntry,
    resolver: sources.Resolver,
    fetcher: Fetcher,
    store: Store,
    server: Server,
    published: Archive,
) -> None:
    lock = sources.resolve(cloud, resolver)
    shutil.rmtree(published.root / "dists")
    server.asked.clear()
    first = sources.obtain(cloud, lock, store=store, fetcher=fetcher)
    assert all("/pool/" in path for path in server.asked)
    shutil.rmtree(published.pool)
    server.asked.clear()
    assert sources.obtain(cloud, lock, store=store, fetcher=fetcher) == first
    assert server.asked == []


def test_a_package_that_is_gone_or_changed_leaves_no_kernel_behind(
    cloud: HostEntry,
    resolver: sources.Resolver,
    fetcher: Fetcher,
    store: Store,
    published: Archive,
) -> None:
    lock = sources.resolve(cloud, resolver)
    file = published.root / lock.packages[0].path
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"?")
    with pytest.raises(VerificationError, match=f"{file.name.split('_')[0]}.*sha256"):
        sources.obtain(cloud, lock, store=store, fetcher=fetcher)
    file.unlink()
    with pytest.raises(UnavailableError, match=r"lock anew with `harness kernels lock 6\.1`"):
        sources.obtain(cloud, lock, store=store, fetcher=fetcher)
    assert not list(store.root.glob("kernels/*"))


def test_a_mirror_that_changed_its_mind_is_found_out_though_all_its_signatures_hold(
    cloud: HostEntry,
    resolver: sources.Resolver,
    fetcher: Fetcher,
    store: Store,
    published: Archive,
) -> None:
    lock = sources.resolve(cloud, resolver)
    file = published.root / lock.packages[0].path
    published.add(
        f"linux-image-{OLD}", "6.1.176-1", files={f"boot/vmlinuz-{OLD}": bzimage(OLD, 8192)}
    )
    published.publish()
    assert file.is_file()
    with pytest.raises(VerificationError, match=rf"linux-image-{OLD}.*(sha256|bytes)"):
        sources.obtain(cloud, lock, store=store, fetcher=fetcher)
    assert not list(store.root.glob("kernels/*"))
    # A new lock takes it: the signature holds, so it is what the archive has now.
    again = sources.resolve(cloud, sources.Resolver.of(fetcher, resolver.keyrings))
    assert again.packages[0].sha256 != lock.packages[0].sha256
    assert sources.obtain(cloud, again, store=store, fetcher=fetcher).release == OLD


def test_a_lock_without_a_kernel_in_it_is_refused(
    cloud: HostEntry, resolver: sources.Resolver, fetcher: Fetcher, store: Store
) -> None:
    lock = sources.resolve(cloud, resolver)
    empty = replace(lock, packages=lock.packages[1:])
    with pytest.raises(VerificationError, match=f"there is no kernel {OLD} in linux-image-cloud"):
        sources.obtain(cloud, empty, store=store, fetcher=fetcher)


def test_a_lock_counts_for_its_source_alone_and_a_fresh_one_says_so(
    cloud: HostEntry, resolver: sources.Resolver
) -> None:
    first = sources.lock_of(cloud, {}, resolver)
    assert first.fresh
    again = sources.lock_of(cloud, {"6.1": first.lock}, resolver)
    assert (again.lock, again.fresh) == (first.lock, False)
    other = sources.lock_of(replace(cloud, flavour="generic"), {"6.1": first.lock}, resolver)
    assert other.fresh
    assert other.lock.release == NEW


def test_an_unknown_flavour_is_unavailable(cloud: HostEntry, resolver: sources.Resolver) -> None:
    with pytest.raises(UnavailableError, match="there is no package linux-image-rt-amd64"):
        sources.resolve(replace(cloud, flavour="rt"), resolver)


def test_locking_writes_what_was_asked_for_and_keeps_the_rest(
    cloud: HostEntry, resolver: sources.Resolver, tmp_path: Path
) -> None:
    file = tmp_path / "kernels.lock.yaml"
    generic = replace(cloud, name="latest", flavour="generic", aliases=())
    local = HostEntry(name="mine", source=LocalSource(image=tmp_path / "missing"))
    entries = [cloud, generic, local]
    written = lock_kernels([], entries, file=file, resolver=resolver)
    assert [(done.name, done.changed) for done in written] == [("6.1", True), ("latest", True)]

    locks = read_locks([file])
    write_locks(file, {**locks, "6.1": replace(locks["6.1"], release="old")})
    (done,) = lock_kernels(["bookworm"], entries, file=file, resolver=resolver)
    assert done.before is not None
    assert done.after is not None
    assert (done.before.release, done.after.release, done.changed) == ("old", OLD, True)
    assert read_locks([file]) == locks
    (done,) = lock_kernels(["6.1"], entries, file=file, resolver=resolver)
    assert not done.changed
    with pytest.raises(UsageError, match=r"there is no kernel '6\.2'; did you mean '6\.1'"):
        lock_kernels(["6.2"], entries, file=file, resolver=resolver)


def test_a_kernel_that_cannot_be_had_does_not_keep_the_others_from_being_locked(
    cloud: HostEntry, resolver: sources.Resolver, tmp_path: Path
) -> None:
    file = tmp_path / "kernels.lock.yaml"
    rt = replace(cloud, name="rt", flavour="rt", aliases=())
    (result,) = lock_kernels([], [rt], file=file, resolver=resolver)
    assert (result.after, result.changed) == (None, False)
    assert "there is no package linux-image-rt-amd64" in result.problem
    assert not file.exists()
    results = lock_kernels([], [rt, cloud], file=file, resolver=resolver)
    assert [bool(result.problem) for result in results] == [True, False]
    assert list(read_locks([file])) == ["6.1"]


def test_an_archive_that_does_not_verify_leaves_the_lock_file_as_it_was(
    cloud: HostEntry,
    resolver: sources.Resolver,
    published: Archive,
    stranger: Signer,
    tmp_path: Path,
) -> None:
    published.sign((published.suite / "Release").read_text(), stranger)
    file = tmp_path / "kernels.lock.yaml"
    with pytest.raises(VerificationError, match="no valid signature"):
        lock_kernels([], [cloud], file=file, resolver=resolver)
    assert not file.exists()


def local(tmp_path: Path, release: str = "6.18.0") -> LocalSource:
    image = tmp_path / "build/bzImage"
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(bzimage(release))
    modules = tmp_path / f"inst/lib/modules/{release}"
    (modules / "kernel").mkdir(parents=True, exist_ok=True)
    (modules / "kernel/a.ko").write_bytes(b"a")
    (modules / "modules.order").write_bytes(b"kernel/a.ko")
    return LocalSource(image=image, modules=tmp_path / "inst")


def test_a_local_kernel_is_copied_by_content(
    tmp_path: Path, resolver: sources.Resolver, fetcher: Fetcher, store: Store
) -> None:
    entry = HostEntry(name="mine", source=local(tmp_path))
    found = sources.lock_of(entry, {}, resolver)
    assert (found.lock.release, found.fresh) == ("6.18.0", False)
    first = sources.obtain(entry, found.lock, store=store, fetcher=fetcher)
    assert first.modules is not None
    assert (first.modules / "kernel/a.ko").read_bytes() == b"a"
    (tmp_path / "inst/lib/modules/6.18.0/kernel/a.ko").write_bytes(b"b")
    second = sources.obtain(entry, found.lock, store=store, fetcher=fetcher)
    assert second.digest != first.digest
    assert (first.modules / "kernel/a.ko").read_bytes() == b"a"


@pytest.mark.parametrize("below", ["inst", "inst/lib/modules", "inst/lib/modules/6.18.0"])
def test_modules_are_found_at_or_below_the_directory_that_is_given(
    tmp_path: Path, fetcher: Fetcher, store: Store, resolver: sources.Resolver, below: str
) -> None:
    source = replace(local(tmp_path), modules=tmp_path / below)
    entry = HostEntry(name="mine", source=source)
    kernel = sources.obtain(entry, sources.resolve(entry, resolver), store=store, fetcher=fetcher)
    assert kernel.modules is not None
    assert (kernel.modules / "kernel/a.ko").is_file()


def test_modules_of_another_kernel_are_said(
    tmp_path: Path, resolver: sources.Resolver, fetcher: Fetcher, store: Store
) -> None:
    source = local(tmp_path)
    source.image.write_bytes(bzimage("6.19.0"))
    entry = HostEntry(name="mine", source=source)
    lock = sources.resolve(entry, resolver)
    with pytest.raises(UsageError, match=r"no modules of the kernel 6\.19\.0; .* of 6\.18\.0"):
        sources.obtain(entry, lock, store=store, fetcher=fetcher)


def test_a_kernel_without_modules_works(
    tmp_path: Path, resolver: sources.Resolver, fetcher: Fetcher, store: Store
) -> None:
    entry = HostEntry(name="mine", source=replace(local(tmp_path), modules=None))
    kernel = sources.obtain(entry, sources.resolve(entry, resolver), store=store, fetcher=fetcher)
    assert kernel.modules is None


def test_what_is_no_kernel_is_said(tmp_path: Path, resolver: sources.Resolver) -> None:
    image = tmp_path / "vmlinux"
    entry = HostEntry(name="mine", source=LocalSource(image=image))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        sources.resolve(entry, resolver)
    image.write_bytes(b"\x7fELF" + bytes(1000))
    with pytest.raises(UsageError, match=r"is an ELF file \(vmlinux\?\), not a kernel"):
        sources.resolve(entry, resolver)
    image.write_bytes(bzimage("")[:0x210])
    assert sources.resolve(entry, resolver).release == "unknown"


def test_a_host_is_what_its_entry_says_and_the_defaults(
    cloud: HostEntry, resolver: sources.Resolver, fetcher: Fetcher, store: Store
) -> None:
    kernel = sources.obtain(cloud, sources.resolve(cloud, resolver), store=store, fetcher=fetcher)
    host = hosts.host_of(cloud, kernel)
    assert (host.name, host.cpu, host.cgroup) == ("6.1", hosts.CPU, Cgroup.V2)
    same = hosts.host_of(replace(cloud, name="other"), kernel)
    assert hosts.identity(same) == hosts.identity(host)
    for change in (
        {"memory": 512},
        {"cmdline": "x"},
        {"cgroup": Cgroup.V1},
        {"sysctl": {"a": "b"}},
        {"cpu": "Nehalem"},
    ):
        other = hosts.host_of(replace(cloud, **change), kernel)
        assert hosts.identity(other) != hosts.identity(host)


def test_the_digest_is_of_every_path_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    first = content_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = content_digest(tmp_path)
    (tmp_path / "b").write_bytes(b"2")
    assert len({first, second, content_digest(tmp_path)}) == 3


def test_entries_on_one_source_share_a_lock_that_one_of_them_has(cloud: HostEntry) -> None:
    lock = Lock(release=OLD, packages=(), source=describe(cloud.source, cloud.flavour))
    other = replace(cloud, name="6.1-docker", engine=Engine.DOCKER)
    generic = replace(cloud, name="6.1-generic", flavour="generic")
    found = sources.shared({"6.1": lock}, [cloud, other, generic])
    assert found == {"6.1": lock, "6.1-docker": lock}


def test_locking_all_kernels_locks_a_source_once(
    cloud: HostEntry, resolver: sources.Resolver, tmp_path: Path
) -> None:
    other = replace(cloud, name="6.1-docker", engine=Engine.DOCKER)
    done = lock_kernels((), [cloud, other], file=tmp_path / "lock.yaml", resolver=resolver)
    assert [one.name for one in done] == ["6.1"]
