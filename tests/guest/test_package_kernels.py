"""Scenarios on kernels out of real package repositories, made here around Debian's kernels."""

from __future__ import annotations

import lzma
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aptarchive import Archive, Server, Signer
from guest.conftest import one_step
from guest.laboratories import GivenKernel, laboratory, observe
from rpmrepository import Repository

from harness import defaults
from harness.assembly import Options
from harness.kernels import catalog, modules, sources
from harness.kernels.lock import KERNELS_LOCK, read_locks
from harness.model.hosts import HostEntry, Kernel, Lock
from harness.model.observations import Verdict
from harness.packages.download import Fetcher
from harness.store import Store, default_root

pytestmark = pytest.mark.guest

Files = dict[str, "bytes | Path"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Fetcher]:
    """The user's own store: kernels and tools are not fetched anew for a test."""
    with Fetcher(Store(default_root())) as fetcher:
        yield fetcher


def debian(name: str, fetcher: Fetcher) -> Kernel:
    directory = defaults.directory("kernels")
    (entry,) = (
        e for e in catalog.load_catalog([directory / catalog.CATALOG_FILE]) if e.name == name
    )
    lock = read_locks([directory / KERNELS_LOCK])[name]
    return sources.obtain(entry, lock, store=fetcher.store, fetcher=fetcher)


def module_files(kernel: Kernel, *, xz: bool) -> dict[str, bytes]:
    """Return the modules that a guest needs, by their place below lib/modules/RELEASE."""
    assert kernel.modules is not None
    wanted = {module.name for module in modules.resolve(kernel.modules, modules.NEEDED)}
    files = {}
    for path in sorted(kernel.modules.rglob("*.ko*")):
        if modules.name_of(path) in wanted:
            name, content = str(path.relative_to(kernel.modules)), path.read_bytes()
            if xz and path.suffix == ".ko":
                name, content = f"{name}.xz", lzma.compress(content, preset=0)
            files[name] = content
    return files


def below(release: str, files: dict[str, bytes]) -> Files:
    return {f"lib/modules/{release}/{name}": content for name, content in files.items()}


def el7(repository: Repository, kernel: Kernel) -> tuple[str, tuple[str, ...]]:
    """One package with .ko.xz modules."""
    release = "3.10.0-1160.el7.x86_64"
    files: Files = {f"boot/vmlinuz-{release}": kernel.vmlinuz}
    files |= below(release, module_files(kernel, xz=True))
    repository.add("kernel", "3.10.0", "1160.el7", files, payload="w1.gzdio")
    return release, ("kernel",)


def el8(repository: Repository, kernel: Kernel) -> tuple[str, tuple[str, ...]]:
    """What modules depend on lies in the other package."""
    release = "4.18.0-553.el8_10.x86_64"
    files = module_files(kernel, xz=True)
    more = {name: files.pop(name) for name in list(files) if "/virtio/" not in name}
    assert any(modules.name_of(name) == "virtio_blk" for name in more)
    assert any(modules.name_of(name) == "virtio_ring" for name in files)
    core = {f"lib/modules/{release}/vmlinuz": kernel.vmlinuz, **below(release, files)}
    repository.add("kernel-core", "4.18.0", "553.el8_10", core, payload="w0.xzdio")
    repository.add("kernel-modules", "4.18.0", "553.el8_10", below(release, more))
    return release, ("kernel-core", "kernel-modules")


def el9(repository: Repository, kernel: Kernel) -> tuple[str, tuple[str, ...]]:
    """Three packages with zstd payloads."""
    release = "5.14.0-570.el9_6.x86_64"
    files = module_files(kernel, xz=False)
    more = dict([files.popitem()])
    image: Files = {f"lib/modules/{release}/vmlinuz": kernel.vmlinuz}
    parts = {
        "kernel-core": image,
        "kernel-modules-core": below(release, files),
        "kernel-modules": below(release, more),
    }
    for name, content in parts.items():
        repository.add(name, "5.14.0", "570.el9_6", content, payload="w3.zstdio")
    return release, tuple(parts)


Layout = Callable[[Repository, Kernel], tuple[str, tuple[str, ...]]]


def run_a_scenario(entry: HostEntry, kernel: Kernel, lock: Lock, rootdir: Path) -> set[str]:
    """Run a scenario on a kernel out of packages; return the modules that were loaded."""
    with laboratory(GivenKernel(Options(rootdir=rootdir), kernel, lock)) as made:
        scenario = one_step("sh", "-c", "uname -r; cat /proc/modules")
        seen = observe(made, entry, "debian-bullseye", scenario, rootdir)
    assert seen.verdict is Verdict.PASSED, seen
    assert seen.traced
    release, *loaded = seen.steps[0].stdout.splitlines()
    assert seen.environment is not None
    assert seen.environment.release == release
    assert seen.environment.kernel_digest == kernel.digest
    return {line.split()[0] for line in loaded}


@pytest.mark.parametrize(
    ("layout", "name", "metadata"),
    [(el7, "5.10", "gz"), (el8, "6.1", "xz"), (el9, "latest", "zstd")],
)
def test_a_scenario_runs_on_a_kernel_out_of_rpm_packages(
    layout: Layout,
    name: str,
    metadata: str,
    tmp_path: Path,
    server: Server,
    signer: Signer,
    store: Store,
    fetcher: Fetcher,
    shared: Fetcher,
) -> None:
    shutil.rmtree(tmp_path / "archive")
    repository = Repository(tmp_path / "archive", signer)
    release, packages = layout(repository, debian(name, shared))
    repository.publish(f"--general-compress-type={metadata}")
    source = repository.source(server.base, packages=packages)
    entry = HostEntry(name=name, source=source, where="the test")
    resolver = sources.Resolver.of(fetcher, {"test": signer.keyring()})
    lock = sources.resolve(entry, resolver)
    assert lock.release == release
    kernel = sources.obtain(entry, lock, store=store, fetcher=fetcher, keyrings=resolver.keyrings)
    assert kernel.modules is not None
    loaded = run_a_scenario(entry, kernel, lock, tmp_path)
    assert "virtio_blk" in loaded
    assert loaded <= {modules.name_of(path) for path in kernel.modules.rglob("*.ko*")}


def test_a_scenario_runs_on_a_kernel_out_of_an_apt_archive(
    archive: Archive,
    server: Server,
    store: Store,
    fetcher: Fetcher,
    shared: Fetcher,
    tmp_path: Path,
) -> None:
    original = debian("5.10", shared)
    release = original.release
    files: dict[str, bytes | str] = {
        f"lib/modules/{release}/{name}": content
        for name, content in module_files(original, xz=False).items()
    }
    files[f"boot/vmlinuz-{release}"] = original.vmlinuz.read_bytes()
    archive.add(f"linux-image-{release}", files=files)
    archive.add("linux-image-cloud-amd64", Depends=f"linux-image-{release} (= 1.0)")
    archive.publish()
    entry = HostEntry(name="5.10", source=archive.source(server.base), where="the test")
    lock = sources.resolve(entry, sources.Resolver.of(fetcher, {"test": archive.signer.keyring()}))
    assert lock.release == release
    kernel = sources.obtain(entry, lock, store=store, fetcher=fetcher)
    assert "virtio_blk" in run_a_scenario(entry, kernel, lock, tmp_path)
