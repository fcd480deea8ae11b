from __future__ import annotations

import gzip
import hashlib
import lzma
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from harness.errors import VerificationError
from harness.kernels import modules

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".ko.gz": gzip.compress,
    ".ko.xz": lzma.compress,
    ".ko.zst": zstandard.compress,
}
LIMIT = 1 << 20

each_compression = pytest.mark.parametrize("suffix", COMPRESSIONS)


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "_LIMIT", LIMIT)


def packed(tmp_path: Path, suffix: str, content: bytes) -> Path:
    path = tmp_path / f"virtio-blk{suffix}"
    path.write_bytes(COMPRESSIONS[suffix](content))
    return path


@each_compression
def test_a_module_as_large_as_is_allowed_is_read(suffix: str, tmp_path: Path) -> None:
    content = b"\0depends=a,b-c\0alias=x\0".ljust(LIMIT, b"\0")
    found = modules.read(packed(tmp_path, suffix, content))
    assert found == modules.Module("virtio_blk", content, ("a", "b_c"), ("x",))


@each_compression
def test_a_module_that_unpacks_to_more_is_refused_and_named(suffix: str, tmp_path: Path) -> None:
    path = packed(tmp_path, suffix, bytes(LIMIT + 1))
    with pytest.raises(VerificationError) as caught:
        modules.read(path)
    assert str(caught.value) == f"{path} is no kernel module: it passes 1 MiB"


@each_compression
def test_a_bomb_is_stopped_long_before_it_is_unpacked(suffix: str, tmp_path: Path) -> None:
    bomb = packed(tmp_path, suffix, bytes(64 * LIMIT))
    tracemalloc.start()
    try:
        with pytest.raises(VerificationError, match="it passes"):
            modules.read(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * LIMIT


@pytest.mark.parametrize("suffix", [".ko.gz", ".ko.xz", ".ko.zst"])
@pytest.mark.parametrize("kept", [0.01, 0.5, 0.999])
def test_a_module_cut_short_is_refused_and_named(suffix: str, kept: float, tmp_path: Path) -> None:
    path = packed(tmp_path, suffix, hashlib.shake_128(b"").digest(1 << 14))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(VerificationError) as caught:
        modules.read(path)
    assert str(caught.value).startswith(f"{path} is no kernel module: ")


def tree(tmp_path: Path, **depends: str) -> Path:
    for name, others in depends.items():
        (tmp_path / f"{name}.ko").write_bytes(f"\0depends={others}\0".encode())
    return tmp_path


def names(found: list[modules.Module]) -> list[str]:
    return [module.name for module in found]


def test_what_a_module_depends_on_comes_before_it_and_once(tmp_path: Path) -> None:
    tree(tmp_path, a="b,builtin,c", b="d", c="e,d", d="", e="d", f="a,g", g="", spare="")
    found = modules.resolve(tmp_path, ["c", "missing", "f", "a"])
    assert names(found) == ["d", "e", "c", "b", "a", "g", "f"]


def test_modules_that_depend_on_each_other_are_each_there_once(tmp_path: Path) -> None:
    tree(tmp_path, a="b", b="a,c", c="c")
    assert names(modules.resolve(tmp_path, ["a"])) == ["c", "b", "a"]


def test_a_chain_of_dependencies_may_be_longer_than_pythons_stack(tmp_path: Path) -> None:
    length = sys.getrecursionlimit() + 10
    tree(tmp_path, **{f"m{number}": f"m{number + 1}" for number in range(length)})
    found = modules.resolve(tmp_path, ["m0"])
    assert names(found) == [f"m{number}" for number in reversed(range(length))]


def test_what_is_called_like_a_module_and_is_no_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "directory.ko").mkdir()
    (tmp_path / "dangling.ko").symlink_to("nowhere")
    (tmp_path / "loop.ko").symlink_to("loop.ko")
    tree(tmp_path, real="")
    assert names(modules.resolve(tmp_path, ["directory", "dangling", "loop", "real"])) == ["real"]
