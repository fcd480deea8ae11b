from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest

from harness.kernels import hosts, initramfs
from harness.model.hosts import HostEntry, Kernel, LocalSource
from harness.store import Store

RELEASE = "6.1.0"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "modules"
    made.mkdir()
    return made


def module(tree: Path, name: str, *needs: str) -> None:
    (tree / f"{name}.ko").write_bytes(f"\0depends={','.join(needs)}\0".encode())


def dependencies(tree: Path, store: Store) -> dict[str, list[str]]:
    """Return what a guest's modules.dep says of each module, without its suffixes."""
    kernel = Kernel(
        release=RELEASE, vmlinuz=tree / "vmlinuz", modules=tree, digest="d", origin="a test"
    )
    host = hosts.host_of(HostEntry(name="mine", source=LocalSource(image=tree)), kernel)
    unpacked = gzip.decompress(initramfs.build(host, (), store=store).read_bytes())
    text = unpacked.partition(f"{RELEASE}/modules.dep\0".encode())[2].split(b"070701")[0]
    lines = text.strip(b"\0").decode().replace(".ko", "").splitlines()
    return {name: needs.split() for name, _, needs in (line.partition(":") for line in lines)}


def test_what_a_module_needs_comes_nearest_first_and_after_all_that_need_it(
    tree: Path, store: Store
) -> None:
    module(tree, "ext4", "jbd2", "mbcache", "lib")
    module(tree, "jbd2", "deep")
    module(tree, "mbcache", "lib", "absent")
    module(tree, "lib", "deep")
    module(tree, "deep")
    assert dependencies(tree, store)["ext4"] == ["jbd2", "mbcache", "lib", "deep"]


def test_modules_that_need_each_other_or_themselves_have_an_end(tree: Path, store: Store) -> None:
    module(tree, "ext4", "jbd2", "ext4")
    module(tree, "jbd2", "mbcache")
    module(tree, "mbcache", "jbd2", "ext4")
    expected = {"mbcache": [], "jbd2": ["mbcache"], "ext4": ["jbd2", "mbcache"]}
    assert dependencies(tree, store) == expected


def test_no_way_to_a_module_is_gone_twice(tree: Path, store: Store) -> None:
    layers = 20
    module(tree, "ext4", "a0", "b0")
    for number in range(layers):
        for side in "ab":
            module(tree, f"{side}{number}", f"a{number + 1}", f"b{number + 1}")
    started = time.process_time()
    found = dependencies(tree, store)["ext4"]
    assert time.process_time() - started < 2  # a hundredth is usual, minutes were
    assert found == [f"{side}{number}" for number in range(layers) for side in "ab"]
