from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import zstandard
from pydantic import ValidationError

from harness import archive
from harness.archive_forms import Manifest
from harness.errors import HarnessError, StoreError, VerificationError
from harness.kernels import layout
from harness.store import RECORD, Store


def kernel(into: Path) -> None:
    modules = into / "lib" / "modules" / "5.0"
    modules.mkdir(parents=True)
    (into / "vmlinuz").write_bytes(b"kernel")
    (modules / "a.ko").write_bytes(b"same")
    (modules / "b.ko").write_bytes(b"same")
    (modules / "empty").touch()
    layout.seal(into)


def tools(into: Path) -> None:
    (into / "root" / "bin").mkdir(parents=True)
    (into / "root" / "bin" / "tool").write_bytes(b"same")
    (into / "root" / "bin" / "tool").chmod(0o755)
    (into / "root" / "bin" / "other").symlink_to("../bin/tool")
    (into / "root" / "bin").chmod(0o750)


@pytest.fixture
def source(tmp_path: Path) -> Store:
    made = Store(tmp_path / "source")
    made.make("kernels", "k", "kernel 5.0", kernel)
    made.make("tools", "t", "tool set base", tools)
    return made


def packed(store: Store) -> bytes:
    out = io.BytesIO()
    done = archive.pack(store, store.entries(), out)
    assert done.sha256 == hashlib.sha256(out.getvalue()).hexdigest()
    assert (done.entries, done.size) == (2, len(out.getvalue()))
    return out.getvalue()


def tree(store: Store) -> dict[str, tuple[int, bytes | str | None]]:
    found: dict[str, tuple[int, bytes | str | None]] = {}
    for path in sorted(
        path for kind in archive.KINDS for path in store.root.glob(f"{kind}/*/**/*")
    ):
        if path.name == RECORD:
            continue
        name, mode = str(path.relative_to(store.root)), path.lstat().st_mode
        if path.is_symlink():
            found[name] = mode, str(path.readlink())
        else:
            found[name] = mode, path.read_bytes() if path.is_file() else None
    return found


def test_what_was_packed_is_there_after_unpacking(source: Store, store: Store) -> None:
    content = packed(source)
    done = archive.unpack(store, io.BytesIO(content))
    assert [(a.kind, a.label, a.new) for a in done.arrived] == [
        ("kernels", "kernel 5.0", True),
        ("tools", "tool set base", True),
    ]
    assert done.sha256 == hashlib.sha256(content).hexdigest()
    assert len(tree(source)) == 12
    assert tree(store) == tree(source)
    assert [problem for entry in store.entries() for problem in store.verify(entry)] == []
    assert list((store.root / "tmp").iterdir()) == []


def test_equal_files_travel_once(source: Store) -> None:
    plain = zstandard.ZstdDecompressor().stream_reader(packed(source)).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert len(tar.getnames()) == 1 + 4


def test_what_is_there_already_stays_as_it_is(source: Store, store: Store) -> None:
    mine = store.make("kernels", "k", "mine", lambda into: (into / "vmlinuz").touch())
    done = archive.unpack(store, io.BytesIO(packed(source)))
    assert [a.new for a in done.arrived] == [False, True]
    assert (mine / "vmlinuz").read_bytes() == b""


def test_what_belongs_to_this_machine_does_not_travel(source: Store) -> None:
    source.make("snapshots", "s", "a guest", kernel)
    with pytest.raises(StoreError, match="snapshots/s belongs to this machine"):
        archive.pack(source, source.entries(), io.BytesIO())


def test_a_damaged_entry_is_not_packed(source: Store) -> None:
    (source.path("kernels", "k") / "vmlinuz").write_bytes(b"Kernel")
    out = io.BytesIO()
    with pytest.raises(StoreError, match=r"vmlinuz is not what was made.*: remove .*kernels/k"):
        archive.pack(source, source.entries(), out)
    assert out.getvalue() == b""


def refused(store: Store, content: bytes, why: str) -> None:
    with pytest.raises(VerificationError, match=why):
        archive.unpack(store, io.BytesIO(content))
    assert store.entries() == []
    assert list((store.root / "tmp").iterdir()) == []


def test_an_archive_cut_short_anywhere_leaves_the_store_as_it_was(
    source: Store, store: Store
) -> None:
    content = packed(source)
    for length in range(0, len(content) - 8, max(1, len(content) // 12)):
        refused(store, content[:length], "cut short")


def test_a_flipped_byte_anywhere_leaves_the_store_as_it_was(source: Store, store: Store) -> None:
    content = packed(source)
    for place in range(6, len(content), max(1, len(content) // 25)):
        broken = bytearray(content)
        broken[place] ^= 0x10
        with pytest.raises(HarnessError):
            archive.unpack(store, io.BytesIO(bytes(broken)))
        assert store.entries() == []


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x28\xb5\x2f\xfd", bytes(999)])
def test_what_is_no_archive_is_refused(store: Store, content: bytes) -> None:
    refused(store, content, "this is no archive of a store")


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def headers(*members: tarfile.TarInfo) -> bytes:
    return zstandard.compress(b"".join(each.tobuf(tarfile.GNU_FORMAT) for each in members))


def sparse(text: str) -> bytes:
    member = tarfile.TarInfo("manifest.json")
    member.pax_headers = {"GNU.sparse.map": text}
    return zstandard.compress(member.tobuf(tarfile.PAX_FORMAT))


@pytest.mark.parametrize(
    "content",
    [headers(*[special("x", tarfile.GNUTYPE_LONGNAME)] * 5000), sparse("1,x")],
    ids=["names of names", "no number"],
)
def test_headers_that_the_tar_reader_gives_up_on_are_refused(store: Store, content: bytes) -> None:
    refused(store, content, "this is no archive of a store, or it is cut short")


SAME = hashlib.sha256(b"same").hexdigest()


def forged(
    *,
    files: tuple[tuple[str, str], ...] = (("file", SAME),),
    directories: tuple[str, ...] = (),
    links: tuple[tuple[str, str], ...] = (),
    members: tuple[tuple[str, bytes], ...] = ((f"files/{SAME}", b"same"),),
    more: tuple[tarfile.TarInfo, ...] = (),
    replaced: dict[str, Any] | None = None,
) -> bytes:
    described = {
        "kind": "tools",
        "key": "forged",
        "label": "",
        "directories": [{"path": path, "mode": 0o755} for path in directories],
        "files": [{"path": p, "mode": 0o644, "sha256": digest, "size": 4} for p, digest in files],
        "links": [{"path": path, "target": target} for path, target in links],
        **(replaced or {}),
    }
    manifest = json.dumps({"format": 1, "made": 0, "entries": [described]}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in (("manifest.json", manifest), *members):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in more:
            tar.addfile(member)
    return zstandard.ZstdCompressor().compress(out.getvalue())


def nested(depth: int, name: str = "a/") -> list[str]:
    return [(name * number).rstrip("/") for number in range(1, depth + 1)]


def linked(kind: str, path: str, target: str) -> bytes:
    parents = [str(parent) for parent in reversed(PurePosixPath(path).parents)][1:]
    links = ((path, target),)
    return forged(directories=tuple(parents), links=links, replaced={"kind": kind})


def test_a_well_formed_forgery_is_what_the_others_differ_from(store: Store) -> None:
    archive.unpack(store, io.BytesIO(forged()))
    assert (store.path("tools", "forged") / "file").read_bytes() == b"same"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (forged(files=(("../../../evil", SAME),)), "does not stay inside its entry"),
        (forged(files=(("/evil", SAME),)), "does not stay inside its entry"),
        (forged(files=(("a/../../evil", SAME),)), "does not stay inside its entry"),
        (forged(files=((RECORD, SAME),)), "does not stay inside its entry"),
        (forged(directories=("..",)), "does not stay inside its entry"),
        (forged(links=(("../evil", "x"),)), "does not stay inside its entry"),
        (forged(files=(("out/evil", SAME),), links=(("out", "."),)), "lies in no directory"),
        (forged(files=(("file", SAME), ("file", SAME))), "is there twice"),
        (forged(links=(("file", "x"),)), "is there twice"),
        (forged(replaced={"kind": "snapshots"}), "kind: Input should be"),
        (forged(members=((f"files/{SAME}", b"evil"),)), "does not have that sha256"),
        (forged(members=((f"files/{SAME}", b"longer"),)), "is not in its manifest"),
        (forged(members=()), "is cut short: 1 of its files are missing"),
        (forged(members=(("files/../../evil", b"same"),)), "is not in its manifest"),
        (forged(more=(special("files/x", tarfile.SYMTYPE, "/etc"),)), "is not in its manifest"),
        (forged(more=(special(f"files/{SAME}", tarfile.CHRTYPE),)), "is not in its manifest"),
        (forged(replaced={"mode": 1}), "mode: Extra inputs"),
        (forged(directories=tuple(nested(65))), "lies more than 64 directories deep"),
        (forged(directories=("a\0b",)), r"no file system can hold the name 'a\\x00b'"),
        (forged(directories=("é" * 128,)), "no file system can hold the name"),
        (forged(directories=tuple(nested(5, "é" * 127 + "/"))), "at most 512 characters"),
        (linked("tools", "root/a", "a\0b"), "no file system can hold the name"),
        (linked("kernels", "vmlinuz", "lib"), "'vmlinuz' is a link, which kernels do not have"),
        (linked("kernels", "digest", "lib"), "is a link, which kernels do not have there"),
        (linked("kernels", "lib", "."), "is a link, which kernels do not have there"),
        (linked("kernels", "lib/modules", "."), "is a link, which kernels do not have there"),
        (linked("kernels", "lib/modules/a.ko", "/etc/passwd"), "links to '/etc/passwd', outside"),
        (linked("kernels", "lib/modules/a.ko", "../../../x"), "outside of its entry"),
        (linked("tools", "root", "."), "is a link, which tools do not have there"),
        (linked("tools", "root/a", "x/../../../y"), "outside of its entry"),
        (linked("layouts", "image.json", "x"), "is a link, which layouts do not have there"),
        (linked("layouts", "layout/blobs", "x"), "is a link, which layouts do not have there"),
        (linked("disks", "disk.qcow2", "x"), "is a link, which disks do not have there"),
    ],
)
def test_a_forged_archive_is_refused_and_nothing_lies_outside_the_store(
    tmp_path: Path, store: Store, content: bytes, why: str
) -> None:
    refused(store, content, why)
    assert list(tmp_path.iterdir()) == [store.root]
    assert list(tmp_path.rglob("*evil*")) == []


@pytest.mark.parametrize(
    ("path", "target"), [("root/bin/sh", "../../root/usr/bin/sh"), ("root/a", "b/c")]
)
def test_a_link_that_stays_inside_its_entry_arrives(store: Store, path: str, target: str) -> None:
    archive.unpack(store, io.BytesIO(linked("tools", path, target)))
    assert str((store.path("tools", "forged") / path).readlink()) == target


def test_a_link_among_a_kernels_modules_arrives(source: Store, store: Store) -> None:
    def build(into: Path) -> None:
        kernel(into)
        (into / "lib" / "modules" / "5.0" / "c.ko").symlink_to("a.ko")

    source.make("kernels", "l", "", build)
    out = io.BytesIO()
    archive.pack(source, source.entries(), out)
    archive.unpack(store, io.BytesIO(out.getvalue()))
    assert str((store.path("kernels", "l") / "lib/modules/5.0/c.ko").readlink()) == "a.ko"


def test_what_lies_as_deep_as_is_allowed_arrives(store: Store) -> None:
    archive.unpack(store, io.BytesIO(forged(directories=tuple(nested(64)))))
    assert (store.path("tools", "forged") / nested(64)[-1]).is_dir()


def test_no_detour_through_a_link_that_stays_inside_leads_outside(store: Store) -> None:
    links = (("root/up", ".."), ("root/out", "up/../x"))
    refused(store, forged(directories=("root",), links=links), "'root/out' links to .*outside")


def test_an_entry_with_a_link_that_would_be_refused_is_not_packed(source: Store) -> None:
    source.make("tools", "bad", "", lambda into: (into / "root").symlink_to("/etc"))
    out = io.BytesIO()
    with pytest.raises(StoreError, match=r"tools/bad does not travel: .*'/etc', outside"):
        archive.pack(source, source.entries(), out)
    assert out.getvalue() == b""


def test_an_archive_that_changes_while_it_is_read_is_not_the_one_that_was_asked_for(
    source: Store, store: Store
) -> None:
    content, asked = packed(source), "0" * 64
    with pytest.raises(VerificationError, match=f"has the sha256 [0-9a-f]{{64}}, not {asked}"):
        archive.unpack(store, io.BytesIO(content), asked)
    assert not store.entries()
    assert archive.unpack(store, io.BytesIO(content), hashlib.sha256(content).hexdigest()).arrived


def test_a_manifest_larger_than_any_stores_is_not_read(store: Store) -> None:
    manifest = tarfile.TarInfo("manifest.json")
    manifest.size = (16 << 20) + 1
    content = zstandard.compress(manifest.tobuf())
    refused(store, content, r"manifest\.json is larger than any store's")


def test_what_would_need_a_manifest_too_large_to_be_read_is_not_packed(
    source: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MANIFEST_LIMIT", 1 << 10)
    out = io.BytesIO()
    with pytest.raises(
        StoreError, match=r"manifest\.json would take 0\.0 MB.*export fewer kernels"
    ):
        archive.pack(source, source.entries(), out)
    assert out.getvalue() == b""


ENTRY = {"kind": "tools", "key": "a", "label": ""}


@pytest.mark.parametrize(
    ("entries", "place"),
    [
        ([ENTRY, *[{"key": "b"}] * 50], ("entries", 1)),
        ([{**ENTRY, "directories": [{}] * 50}], ("entries", 0, "directories", 0)),
        ([{**ENTRY, "files": [{}] * 50}], ("entries", 0, "files", 0)),
        ([{**ENTRY, "links": [{}] * 50}], ("entries", 0, "links", 0)),
    ],
)
def test_of_many_wrong_elements_only_the_first_is_looked_at(
    entries: list[dict[str, Any]], place: tuple[str | int, ...]
) -> None:
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate({"format": 1, "made": 0, "entries": entries})
    assert {error["loc"][:-1] for error in caught.value.errors()} == {place}


UNKNOWN = {f"x{number}": 0 for number in range(50)}


@pytest.mark.parametrize(
    "manifest",
    [
        {"format": 1, "made": 0, "entries": [], **UNKNOWN},
        {"format": 1, "made": 0, "entries": [{**ENTRY, **UNKNOWN}]},
        {"format": 1, "made": 0, "entries": [{**ENTRY, "files": [UNKNOWN]}]},
    ],
)
def test_of_many_unknown_keys_only_the_first_is_looked_at(manifest: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate_json(json.dumps(manifest))
    unknown = [each["loc"][-1] for each in caught.value.errors() if each["input"] == 0]
    assert unknown == ["x0"]


@pytest.mark.parametrize("key", ["../../evil", "", "a\n", "a/b", "a" * 202])
def test_a_key_that_is_none_of_a_store_is_refused(store: Store, key: str) -> None:
    with pytest.raises(VerificationError, match=r"entries\.0\.key"):
        archive.unpack(store, io.BytesIO(forged(replaced={"key": key})))


def test_more_than_the_disk_holds_is_refused_before_anything_is_written(store: Store) -> None:
    huge = [{"path": "file", "mode": 0o644, "sha256": SAME, "size": 1 << 60}]
    content = forged(replaced={"files": huge})
    with pytest.raises(StoreError, match=r"no space left in the store .* unpacks to \d+ MB"):
        archive.unpack(store, io.BytesIO(content))


@pytest.mark.guest
def test_a_kernel_that_was_carried_boots_where_nothing_can_be_fetched(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("harness"))
    carried = tmp_path / "carried"
    with carried.open("wb") as out:
        subprocess.run([program, "store", "export", "5.10"], stdout=out, cwd=tmp_path, check=True)
    nowhere = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        "HARNESS_STORE": str(tmp_path / "fresh"),
        "HARNESS_MIRRORS": ",".join(
            f"http://{host}={nowhere}"
            for host in ("deb.debian.org/debian", "deb.debian.org/debian-security")
        ),
    }
    words = ("kernels", "boot", "5.10", "--accel=tcg")
    lacking = subprocess.run(
        [program, *words], env=environment, cwd=tmp_path, capture_output=True, check=False
    )
    assert lacking.returncode == 1
    assert b"127.0.0.1:9" in lacking.stderr
    for command in (("store", "import", str(carried)), words):
        done = subprocess.run(
            [program, *command], env=environment, cwd=tmp_path, capture_output=True, check=True
        )
    assert b"Linux" in done.stdout
