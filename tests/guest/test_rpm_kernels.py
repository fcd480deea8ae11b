from __future__ import annotations

import lzma
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aptarchive import Server, Signer
from rpmrepository import Repository

from harness import defaults
from harness.guest import qemu
from harness.guest.apparatus import Apparatus
from harness.guest.qemu import Machine
from harness.kernels import catalog, hosts, modules, sources, tools
from harness.kernels.lock import KERNELS_LOCK, read_locks
from harness.model import Accelerator, HostEntry, Kernel
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


@pytest.mark.parametrize(
    ("layout", "name", "metadata"),
    [(el7, "5.10", "gz"), (el8, "6.1", "xz"), (el9, "latest", "zstd")],
)
def test_a_kernel_out_of_rpm_packages_boots(
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
    original = debian(name, shared)
    shutil.rmtree(tmp_path / "archive")
    repository = Repository(tmp_path / "archive", signer)
    release, packages = layout(repository, original)
    repository.publish(f"--general-compress-type={metadata}")
    entry = HostEntry(
        name=name, source=repository.source(server.base, packages=packages), where="the test"
    )
    resolver = sources.Resolver.of(fetcher, {"test": signer.keyring()})
    lock = sources.resolve(entry, resolver)
    assert lock.release == release
    kernel = sources.obtain(entry, lock, store=store, fetcher=fetcher, keyrings=resolver.keyrings)
    apparatus = Apparatus(
        store=shared.store,
        fetcher=shared,
        specs=tools.load_tools(),
        locks=read_locks([tools.tools_lock_file()]),
        qemu_version=qemu.version(),
    )
    host = hosts.host_of(entry, kernel)
    machine = Machine(
        host=host, accelerator=Accelerator.TCG, initramfs=apparatus.initramfs(host), disks=()
    )
    with apparatus.booted(machine) as guest:
        assert guest.run("uname -r").stdout.decode().strip() == original.release
        listed = guest.run("cat /proc/modules").stdout.decode()
    assert kernel.modules is not None
    loaded = {line.split()[0] for line in listed.splitlines()}
    assert "virtio_blk" in loaded
    assert loaded <= {modules.name_of(path) for path in kernel.modules.rglob("*.ko*")}
