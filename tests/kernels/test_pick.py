from __future__ import annotations

from pathlib import Path

from aptarchive import bzimage

from harness.kernels.pick import choose

RELEASE = "6.4.0-1-default"


def test_an_image_that_boot_only_links_to_is_taken_itself(tmp_path: Path) -> None:
    tree, into = tmp_path / "tree", tmp_path / "into"
    modules = tree / "lib/modules" / RELEASE
    for directory in (modules, tree / "boot", into):
        directory.mkdir(parents=True)
    (modules / "vmlinuz").write_bytes(bzimage(RELEASE))
    (tree / f"boot/vmlinuz-{RELEASE}").symlink_to(f"../lib/modules/{RELEASE}/vmlinuz")
    assert choose(tree, into, "a package") == RELEASE
    assert not (into / "vmlinuz").is_symlink()
    assert (into / "vmlinuz").read_bytes() == bzimage(RELEASE)
