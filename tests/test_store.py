from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import StoreError, UnavailableError
from harness.store import LONGEST_SESSION, RECORD, Store, default_root, digest_of


def fill(directory: Path) -> None:
    (directory / "sub").mkdir()
    (directory / "sub" / "file").write_bytes(b"content" * 1000)


def nothing(directory: Path) -> None:
    raise AssertionError("it is there already")


def test_an_entry_is_made_once_and_found_afterwards(store: Store) -> None:
    assert store.find("things", "key") is None
    path = store.make("things", "key", "a thing", fill)
    assert store.make("things", "key", "a thing", nothing) == path == store.find("things", "key")
    (entry,) = store.entries()
    assert (entry.kind, entry.key, entry.label) == ("things", "key", "a thing")
    assert entry.size >= 7000


def test_two_processes_that_ask_for_one_entry_make_it_once(store: Store, tmp_path: Path) -> None:
    code = """if True:
        import os, pathlib, sys
        from harness.store import Store
        root, log, gate = sys.argv[1:]
        def build(directory):
            descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, b"made\\n")
            pathlib.Path(gate).open().read()  # a pipe: the test closes it once both have asked
            (directory / "file").write_text("whole")
        print("asks", flush=True)
        print((Store(pathlib.Path(root)).make("things", "key", "", build) / "file").read_text())
    """
    log, gate = tmp_path / "log", tmp_path / "gate"
    os.mkfifo(gate)
    words = [sys.executable, "-c", code, str(store.root), str(log), str(gate)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == "asks\n"
    gate.open("w").close()
    assert [each.communicate()[0] for each in both] == ["whole\n"] * 2
    assert log.read_text() == "made\n"


def test_a_build_that_fails_leaves_nothing_and_the_next_one_succeeds(store: Store) -> None:
    def fails(directory: Path) -> None:
        fill(directory)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.make("things", "key", "", fails)
    assert store.find("things", "key") is None
    assert store.entries() == []
    assert list((store.root / "tmp").iterdir()) == []
    store.make("things", "key", "", fill)


def test_a_killed_build_leaves_nothing_that_is_trusted_and_the_next_one_removes_it(
    store: Store,
) -> None:
    code = """if True:
        import os, pathlib, signal, sys
        from harness.store import Store
        def build(directory):
            (directory / "file").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        Store(pathlib.Path(sys.argv[1])).make("things", "key", "", build)
    """
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    [left] = (store.root / "tmp").iterdir()
    assert store.find("things", "key") is None
    os.utime(left, (0, time.time() - 61))
    store.make("things", "key", "", fill)
    assert list((store.root / "tmp").iterdir()) == []


@contextmanager
def another(store: Store, code: str, *before: str) -> Iterator[None]:
    """Have another process use the store until the block ends."""
    begin = "import os, pathlib, sys; from harness.store import Store; "
    begin += "store = Store(pathlib.Path(sys.argv[1])); "
    words = [*before, sys.executable, "-c", begin + code, str(store.root)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if before and not said:
            pytest.skip(f"this machine lets no user do that: {' '.join(before)}")
        assert said == b"uses it\n"
        yield


def test_what_is_being_built_is_nobodys_to_remove_whatever_its_process_is_called(
    store: Store,
) -> None:
    builds = (
        "scratch = store.scratch(); os.utime(scratch.__enter__(), (0, 0)); "
        "print('uses it', flush=True); sys.stdin.read(); os._exit(0)"
    )
    with another(store, builds, "unshare", "-rpf"):
        store.gc(0)
        assert len(list((store.root / "tmp").iterdir())) == 1
    store.gc(0)
    assert list((store.root / "tmp").iterdir()) == []


def test_half_an_entry_without_its_record_is_made_anew(store: Store) -> None:
    path = store.path("things", "key")
    path.mkdir(parents=True)
    (path / "rest").touch()
    store.make("things", "key", "", fill)
    assert not (path / "rest").exists()


def in_tmpfs(directory: Path, options: str, code: str) -> str:
    """Run Python as a user without rights in a tmpfs of 64 KiB; return its last line."""
    mounted = f'mount -t tmpfs -o size=64k,{options} tmpfs "$1"; exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-ec", mounted, "sh", str(directory), sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"this machine lets no user mount: {done.stderr.strip()}")
    return (done.stdout + done.stderr).strip().splitlines()[-1]


ASK = """if True:
    import pathlib, sys
    from harness.errors import StoreError, UnavailableError
    from harness.store import Store
    store = Store(pathlib.Path(sys.argv[1], "store"))
    def build(directory):
        (directory / "file").write_bytes(b"x" * 90000)
    try:
        store.make("things", "key", "", build)
    except StoreError as error:
        print(error, list(pathlib.Path(sys.argv[1]).rglob("file")))
"""


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path: Path) -> None:
    assert in_tmpfs(tmp_path, "rw", ASK) == (
        f"no space left in the store {tmp_path}/store: free some room, run `harness store gc`, or "
        "set HARNESS_STORE []"
    )


def test_a_store_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    assert in_tmpfs(tmp_path, "ro", ASK) == (
        f"the store {tmp_path}/store is not writable: set HARNESS_STORE to a directory of your "
        "own []"
    )


def test_what_a_build_cannot_read_is_not_blamed_on_the_store(store: Store, tmp_path: Path) -> None:
    def copies(into: Path) -> None:
        (into / "it").write_bytes((tmp_path / "source").read_bytes())

    with pytest.raises(StoreError, match=r"source: No such file or directory$"):
        store.make("things", "key", "", copies)


def test_gc_removes_what_was_not_used_for_long_and_keeps_the_rest(store: Store) -> None:
    old, new = (store.make("things", key, key, fill) for key in ("old", "new"))
    for path in (old, new):
        os.utime(path / RECORD, (0, time.time() - 1000))
    assert store.find("things", "new") == new
    assert [entry.key for entry in store.gc(500)] == ["old"]
    assert not old.exists()
    assert [entry.key for entry in store.entries()] == ["new"]


def test_gc_spares_what_a_session_that_goes_on_may_have_looked_for(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path, said.append)
    used, old = (store.make("things", key, key, fill) for key in ("used", "old"))
    os.utime(old / RECORD, (0, time.time() - LONGEST_SESSION - 1))
    with another(
        store, "store.find('things', 'used'); print('uses it', flush=True); sys.stdin.read()"
    ):
        assert [entry.key for entry in store.gc(0)] == ["old"]
        assert store.find("things", "used") == used
    assert said == ["the store is in use: what was used in the last 7 days stays"]
    assert [entry.key for entry in store.gc(0)] == ["used"]
    assert len(said) == 1


def test_verify_finds_a_flipped_byte_and_a_file_that_is_gone(store: Store) -> None:
    path = store.make("things", "key", "", fill)
    (entry,) = store.entries()
    assert store.verify(entry) == []
    content = bytearray((path / "sub" / "file").read_bytes())
    content[3500] ^= 1
    (path / "sub" / "file").write_bytes(content)
    assert store.verify(entry) == [f"{path}/sub/file is not what was made: its sha256 differs"]
    (path / "sub" / "file").unlink()
    assert store.verify(entry) == [f"{path}/sub/file is gone"]


def test_of_what_is_not_hashed_the_size_is_verified(store: Store) -> None:
    path = store.make("things", "key", "", fill, hashed=False)
    (entry,) = store.entries()
    assert store.verify(entry) == []
    with (path / "sub" / "file").open("ab") as file:
        file.write(b"more")
    assert store.verify(entry) == [f"{path}/sub/file is not what was made: its size differs"]


def test_what_is_named_by_its_content_is_held_against_its_name(store: Store) -> None:
    content = b"a package"
    digest = hashlib.sha256(content).hexdigest()

    def keep(into: Path) -> None:
        (into / "blob").write_bytes(content)
        (into / "layout" / "sha256").mkdir(parents=True)
        (into / "layout" / "sha256" / digest).write_bytes(content)

    path = store.make("blobs", digest, "", keep)
    assert [flaw.problems for flaw in store.audit()] == [()]
    record = json.loads((path / RECORD).read_text())
    for name in record["files"]:
        (path / name).write_bytes(b"another")
        record["files"][name] = hashlib.sha256(b"another").hexdigest()
    (path / RECORD).write_text(json.dumps(record))
    (flaw,) = store.audit()
    assert flaw.problems == tuple(
        f"{path}/{name} is not what was made: its sha256 differs" for name in record["files"]
    )


def test_a_file_that_was_put_there_later_is_found(store: Store) -> None:
    path = store.make("things", "key", "", fill)
    (path / "sub" / "planted").write_text("x")
    (flaw,) = store.audit()
    assert flaw.problems == (f"{path}/sub/planted was put there later",)


@pytest.mark.parametrize("record", ["{", "[]", "{}", '{"label": "x", "files": []}'])
def test_a_damaged_record_hides_nothing_of_the_rest(record: str, store: Store) -> None:
    store.make("things", "a", "", fill)
    torn = store.make("things", "b", "", fill)
    store.make("things", "c", "", fill)
    (torn / RECORD).write_text(record)
    assert [(flaw.key, flaw.problems) for flaw in store.audit()] == [
        ("a", ()),
        ("b", (f"{torn}/{RECORD} is damaged",)),
        ("c", ()),
    ]


def test_a_damaged_record_is_named(store: Store) -> None:
    path = store.make("things", "key", "", fill)
    (path / RECORD).write_text("{")
    with pytest.raises(StoreError, match=rf"{RECORD} is damaged: remove .*things/key$"):
        store.entries()


@pytest.mark.parametrize("key", ["", "..", "../up", "a/b", ".hidden", "a\n", "a" * 202, "ä"])
def test_a_key_never_leaves_its_place(store: Store, key: str) -> None:
    with pytest.raises(StoreError, match="is not a key of the store"):
        store.make("things", key, "", fill)


def test_a_dropped_entry_is_gone(store: Store) -> None:
    path = store.make("things", "key", "", fill)
    store.drop("things", "key")
    assert not path.exists()
    store.drop("things", "key")


def test_digests_follow_content_and_not_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": Path("/x")}) == digest_of({"b": Path("/x"), "a": 1})
    assert digest_of("a", "b") != digest_of("ab")


def test_the_store_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_STORE", "/somewhere")
    assert default_root() == Path("/somewhere")
    monkeypatch.delenv("HARNESS_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_root() == Path("/caches/pytest-kernels")


def test_of_what_is_not_hashed_a_cut_file_is_noticed_at_once(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path, said.append)

    def build(directory: Path) -> None:
        (directory / "memory").write_bytes(b"x" * 4096)

    def make() -> Path:
        return store.make("snapshots", "one", "a snapshot", build, hashed=False)

    memory = make() / "memory"
    os.truncate(memory, 100)
    assert make() / "memory" == memory
    assert memory.stat().st_size == 4096
    memory.unlink()
    assert (make() / "memory").exists()
    assert said == [
        f"the store: {memory} is not what was made: its size differs; it is made anew",
        f"the store: {memory} is gone; it is made anew",
    ]


def test_what_was_damaged_on_disk_is_made_anew_by_the_next_process(tmp_path: Path) -> None:
    store = Store(tmp_path)
    file = store.make("things", "key", "", fill) / "sub" / "file"
    made = file.read_bytes()
    file.write_bytes(bytes([made[0] ^ 1]) + made[1:])
    said: list[str] = []
    again = Store(tmp_path, said.append)
    assert again.make("things", "key", "", fill) == file.parent.parent
    assert file.read_bytes() == made
    assert said == [f"the store: {file} is not what was made: its sha256 differs; it is made anew"]
    (file.parent.parent / RECORD).write_text("{")
    Store(tmp_path).make("things", "key", "", fill)
    assert store.verify(store.entries()[0]) == []


def test_what_is_damaged_and_cannot_be_made_anew_is_not_used(tmp_path: Path) -> None:
    def offline(_: Path) -> None:
        raise UnavailableError("out of reach")

    file = Store(tmp_path).make("things", "key", "", fill) / "sub" / "file"
    file.write_bytes(b"another")
    store = Store(tmp_path)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            store.make("things", "key", "", offline)
