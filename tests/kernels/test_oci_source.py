from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aptarchive import bzimage
from ociimages import Builder, Member, Registry, long_names, running_registry, tar_of

from harness.errors import ConfigError, ImageError, UnavailableError
from harness.kernels import catalog, oci_source, sources
from harness.kernels.lock import read_locks, write_locks
from harness.model.hosts import HostEntry, Kernel, OciSource
from harness.packages.download import Fetcher
from harness.store import Store

RELEASE = "4.18.0-553.el8_10.x86_64"
MODULES = f"lib/modules/{RELEASE}"

GZIP = "gzip"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    for program, package in (("docker-registry", "docker-registry"), ("skopeo", "skopeo")):
        if shutil.which(program) is None:
            pytest.fail(f"the package {package} is not installed")
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "source")


@pytest.fixture
def resolver(fetcher: Fetcher) -> sources.Resolver:
    return sources.Resolver.of(fetcher, {})


def image(builder: Builder, *layers: bytes, how: str = GZIP) -> str:
    return builder.tag(builder.image([(layer, how) for layer in layers]))


def entry(ref: str) -> HostEntry:
    return HostEntry(name="shared", source=OciSource(ref=ref), where="catalog.yaml:1")


def obtained(ref: str, resolver: sources.Resolver) -> Kernel:
    fetcher = resolver.fetcher
    lock = sources.resolve(entry(ref), resolver)
    return sources.obtain(entry(ref), lock, store=fetcher.store, fetcher=fetcher)


def kernel_layer(modules: str = MODULES) -> bytes:
    """A kernel as a distribution's image has it, among other things."""
    return tar_of(
        Member(name="boot/vmlinuz-" + RELEASE, content=bzimage(RELEASE)),
        Member(name="boot/vmlinuz", kind=tarfile.SYMTYPE, link=f"vmlinuz-{RELEASE}"),
        Member(name="etc/passwd", content=b"root"),
        Member(name=f"{modules}/kernel/ext4.ko.xz", content=b"ext4"),
        Member(name=f"{modules}/kernel/old.ko", content=b"old"),
        Member(name=f"{modules}/kernel/gone/a.ko", content=b"a"),
        Member(name=f"{modules}/build", kind=tarfile.SYMTYPE, link="/usr/src"),
    )


def sized(size: str) -> bytes:
    """A file of a size that cannot be."""
    return tar_of(Member(name=f"{MODULES}/a.ko", headers=(("size", size),)))


def modules_of(kernel: Kernel) -> dict[str, bytes]:
    assert kernel.modules is not None
    files = [path for path in kernel.modules.rglob("*") if path.is_file()]
    return {str(path.relative_to(kernel.modules)): path.read_bytes() for path in files}


@pytest.mark.parametrize("usr", ["", "usr/"])
def test_layers_are_laid_over_each_other(
    usr: str, builder: Builder, resolver: sources.Resolver
) -> None:
    modules = f"{usr}{MODULES}"
    above = tar_of(
        Member(name=f"{modules}/kernel/.wh.old.ko"),
        Member(name=f"{modules}/kernel/gone/.wh..wh..opq"),
        Member(name=f"{modules}/kernel/gone/b.ko", content=b"b"),
        Member(name=f"./{modules}/kernel/ext4.ko.xz", content=b"newer"),
        Member(
            name=f"{modules}/kernel/same.ko.xz",
            kind=tarfile.LNKTYPE,
            link=f"{modules}/kernel/ext4.ko.xz",
        ),
    )
    kernel = obtained(image(builder, kernel_layer(modules), above), resolver)
    assert kernel.release == RELEASE
    assert kernel.vmlinuz.read_bytes() == bzimage(RELEASE)
    assert modules_of(kernel) == {
        "kernel/ext4.ko.xz": b"newer",
        "kernel/same.ko.xz": b"newer",
        "kernel/gone/b.ko": b"b",
    }


@pytest.mark.parametrize("how", ["", "zstd"])
def test_a_kernel_may_lie_below_its_modules_in_layers_of_any_compression(
    how: str, builder: Builder, resolver: sources.Resolver
) -> None:
    layer = tar_of(
        Member(name=f"{MODULES}/vmlinuz", content=bzimage(RELEASE)),
        Member(name=f"{MODULES}/modules.order", content=b""),
    )
    kernel = obtained(image(builder, layer, how=how), resolver)
    assert modules_of(kernel) == {"modules.order": b""}


def test_a_kernel_with_everything_built_in_needs_no_modules(
    builder: Builder, resolver: sources.Resolver
) -> None:
    layer = tar_of(Member(name="boot/vmlinuz", content=bzimage("6.18.0-mine")))
    kernel = obtained(image(builder, layer), resolver)
    assert (kernel.release, kernel.modules) == ("6.18.0-mine", None)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([tar_of(Member(name="etc/passwd"))], "holds no kernel where one is expected"),
        (
            [kernel_layer(), tar_of(Member(name="boot/vmlinuz-6.1", content=bzimage("6.1")))],
            r"holds 2 kernels \(4\.18.*, 6\.1\)",
        ),
        ([kernel_layer(), tar_of(Member(name=".wh.boot"))], "holds no kernel"),
        ([tar_of(Member(name="boot/vmlinuz", content=b"MZ"))], "its vmlinuz is not a bzImage"),
        (
            [
                tar_of(
                    Member(name="boot/vmlinuz", content=bzimage("6.1")),
                    Member(name="lib/modules/6.2/a.ko"),
                )
            ],
            "has no modules of its kernel 6.1, only of 6.2",
        ),
        ([tar_of(Member(name="boot/../../etc/x"))], "reaches outside of the image"),
        ([kernel_layer(), tar_of(Member(name=f"{MODULES}/.wh..."))], "hides no file"),
        (
            [
                tar_of(
                    Member(name="boot/vmlinuz-x", kind=tarfile.LNKTYPE, link="../../../etc/passwd")
                )
            ],
            "reaches outside of the image",
        ),
        (
            [tar_of(Member(name="boot/vmlinuz-x", kind=tarfile.LNKTYPE, link="etc/passwd"))],
            "links to a file that is not of the kernel",
        ),
        (
            [
                tar_of(
                    Member(name=f"{MODULES}/a.ko", content=b"a"),
                    Member(name=f"{MODULES}/a.ko/b.ko", content=b"b"),
                )
            ],
            "layer 1",
        ),
        ([b"no tar at all" * 100], "layer 1"),
        (
            [kernel_layer(), tar_of(Member(name=f"{MODULES}/{'a' * 300}.ko"))],
            r"layer 2: 'lib/modules/.*a\.ko': File name too long",
        ),
        (
            [kernel_layer(), tar_of(Member(name=f"{MODULES}/{'a' * 300}/.wh.b"))],
            r"layer 2: 'lib/modules/.*\.wh\.b': File name too long",
        ),
        ([sized("9" * 30)], "layer 1: cannot fit 'int'"),
        ([sized("-5000")], "layer 1: a member begins before the file"),
        ([long_names(1000)], "layer 1: maximum recursion depth exceeded"),
    ],
)
def test_what_is_no_kernel_image_is_said_in_a_line(
    layers: list[bytes], said: str, builder: Builder, resolver: sources.Resolver
) -> None:
    with pytest.raises(ImageError, match=said) as caught:
        obtained(image(builder, *layers), resolver)
    assert "\n" not in str(caught.value)
    store = resolver.fetcher.store
    assert not list(store.root.glob("kernels/*"))
    assert not list(store.root.glob("tmp/*"))


def test_nothing_is_written_through_a_symbolic_link(
    builder: Builder, resolver: sources.Resolver, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    links = tar_of(
        Member(name="boot/vmlinuz", content=bzimage(RELEASE)),
        Member(name=MODULES, kind=tarfile.SYMTYPE, link=str(outside)),
        Member(name="lib", kind=tarfile.SYMTYPE, link=str(outside)),
    )
    files = tar_of(Member(name=f"{MODULES}/a.ko", content=b"a"))
    assert modules_of(obtained(image(builder, links, files), resolver)) == {"a.ko": b"a"}
    assert not list(outside.iterdir())


def test_a_kernel_travels_through_a_registry(
    registry: Registry, builder: Builder, resolver: sources.Resolver, tmp_path: Path
) -> None:
    first = obtained(image(builder, kernel_layer()), resolver)
    store = resolver.fetcher.store
    tag = f"docker://{registry.address}/kernels/el8:553"
    pushed = oci_source.push(first, tag, store=store)
    assert pushed.startswith(f"docker://{registry.address}/kernels/el8@sha256:")
    assert oci_source.push(first, tag, store=store) == pushed
    with Fetcher(Store(tmp_path / "elsewhere")) as fetcher:
        elsewhere = sources.Resolver.of(fetcher, {})
        lock = sources.resolve(entry(tag), elsewhere)
        assert lock.packages[0].path == pushed
        assert (lock.release, lock.packages[0].version) == (RELEASE, "553")
        write_locks(tmp_path / "kernels.lock.yaml", {"shared": lock})
        assert read_locks([tmp_path / "kernels.lock.yaml"]) == {"shared": lock}
        second = obtained(pushed, elsewhere)
    assert second.digest == first.digest
    assert modules_of(second) == modules_of(first)


def test_a_lock_holds_though_the_tag_moves(
    registry: Registry, builder: Builder, resolver: sources.Resolver, tmp_path: Path
) -> None:
    store = resolver.fetcher.store
    first = obtained(image(builder, kernel_layer()), resolver)
    tag = f"docker://{registry.address}/moving:now"
    oci_source.push(first, tag, store=store)
    lock = sources.resolve(entry(tag), resolver)
    oci_source.push(replace(first, modules=None), tag, store=store)
    with Fetcher(Store(tmp_path / "elsewhere")) as fetcher:
        kernel = sources.obtain(entry(tag), lock, store=fetcher.store, fetcher=fetcher)
    assert kernel.digest == first.digest


def test_a_layout_that_changed_since_it_was_locked_is_refused(
    builder: Builder, resolver: sources.Resolver, tmp_path: Path
) -> None:
    ref = image(builder, kernel_layer())
    lock = sources.resolve(entry(ref), resolver)
    shutil.rmtree(builder.root)
    other = Builder(builder.root)
    image(other, tar_of(Member(name="boot/vmlinuz", content=bzimage("6.1"))))
    with (
        Fetcher(Store(tmp_path / "elsewhere")) as fetcher,
        pytest.raises(ImageError, match=r"is not sha256:.* any more: lock it anew"),
    ):
        sources.obtain(entry(ref), lock, store=fetcher.store, fetcher=fetcher)


def test_a_registry_out_of_reach_is_unavailable(resolver: sources.Resolver) -> None:
    with pytest.raises(UnavailableError, match="cannot be reached"):
        sources.resolve(entry("docker://127.0.0.1:1/kernels/el8:553"), resolver)


def test_a_catalog_names_images_relative_to_itself(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    text = "kernels:\n  shared:\n    source: {type: oci, ref: 'REF'}\n"
    file.write_text(text.replace("REF", "oci:here:el8"))
    (found,) = catalog.load_catalog([file])
    assert found.source == OciSource(ref=f"oci:{tmp_path}/here:el8")
    file.write_text(text.replace("REF", "registry.example.org/el8"))
    with pytest.raises(ConfigError, match=r"catalog.yaml:3: .*is no reference: write docker://"):
        catalog.load_catalog([file])
