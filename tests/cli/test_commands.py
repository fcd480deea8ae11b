from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from cli.conftest import Command

from harness import archive
from harness.store import Store

PROGRAM = Path(sys.executable).with_name("harness")


def test_version_is_the_packages() -> None:
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"pytest-kernels {metadata.version('pytest-kernels')}\n"


COMMANDS = {
    "kernels": ("list", "lock", "fetch", "boot", "shell", "syscalls", "add", "push"),
    "images": ("list", "lock", "fetch"),
    "store": ("ls", "gc", "verify", "export", "import"),
    "history": ("export", "import"),
}


def test_help_lists_every_command_with_a_line_about_it(harness: Command) -> None:
    asked = [("--help",), *((group, "--help") for group in COMMANDS)]
    for words in asked:
        done = harness(*words)
        commands = COMMANDS.get(words[0], (*COMMANDS, "doctor", "bench", "compare", "nightly"))
        assert done.returncode == 0
        for command in commands:
            line = rf"^\W+{command} +[A-Z]\w+"
            assert re.search(line, done.stdout, re.MULTILINE), (words, command)


def test_a_group_without_a_command_shows_its_help_and_is_a_wrong_use(harness: Command) -> None:
    for words in ((), ("kernels",)):
        done = harness(*words)
        assert done.returncode == 2
        assert "Usage: harness" in done.stdout + done.stderr


WRONG = (
    ("nonsense",),
    ("kernels", "nonsense"),
    ("kernels", "boot"),
    ("store", "gc", "--keep=-1"),
    ("store", "gc", "--keep=soon"),
    ("bench", "--repeat=0"),
    ("history", "export"),
    ("compare", "last"),
    ("nightly", "--nights=1"),
    ("nightly", "--keep=-1"),
)


def test_a_wrong_use_is_said_with_status_2(harness: Command) -> None:
    for words in WRONG:
        done = harness(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert "Usage: harness" in done.stderr
        assert "Traceback" not in done.stderr


NOT_THERE = {
    ("kernels", "boot", "9.99"): r"unknown kernel '9\.99'; known kernels: 5\.10 .*",
    ("kernels", "fetch", "nope"): r"unknown kernel 'nope'; known kernels: .*",
    ("kernels", "lock", "nope"): r"unknown kernel or tool set 'nope'; known: .*",
    ("kernels", "shell", "nope"): r"unknown kernel 'nope'; .*",
    ("kernels", "syscalls", "nope"): r"unknown kernel 'nope'; .*",
    ("kernels", "add", "--name=mine"): r"give --name and either files or --host",
    ("kernels", "add", "/nowhere/bzImage", "--name=mine"): r".*/nowhere/bzImage.*",
    ("images", "fetch", "nope"): r"image 'nope' is no reference: .*",
    ("images", "lock", "nope"): r"unknown image 'nope'; known: .*",
    ("bench", "--kernels=nope"): r"unknown kernel 'nope'; .*",
    ("bench", "--json=/nowhere/x.json"): r"--json=/nowhere/x.json: there is no directory .*",
    ("store", "export"): r"give names of kernels and images, or --all",
    ("store", "export", "nope"): r"'nope' is neither an image of the catalog nor a kernel: .*",
    ("store", "import", "/nowhere/file"): r"/nowhere/file: No such file or directory",
    ("store", "import", "/etc/passwd"): r"this is no archive of a store, or it is cut short.*",
    ("store", "import", "/etc/passwd", "--sha256=x"): r"--sha256 'x': a sha256 has 64 .* digits",
    (
        "store",
        "import",
        "/etc/passwd",
        f"--sha256={'0' * 64}",
    ): r"the archive has the sha256 [0-9a-f]{64}: it is not the one you mean",
    ("kernels", "boot", "x", "--kernel=x"): r".*--kernel.*",
}


def test_what_is_not_there_is_one_line_with_status_1(harness: Command) -> None:
    for words, said in NOT_THERE.items():
        done = harness(*words)
        assert re.fullmatch(rf"harness: {said}\n", done.stderr), (words, done.stderr)
        assert (done.returncode, done.stdout) == (1, ""), words


def test_a_catalog_that_is_wrong_is_one_line_with_file_and_line(
    harness: Command, tmp_path: Path
) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "catalog.yaml").write_text("kernels:\n  mine:\n    colour: blue\n")
    done = harness("kernels", "list")
    assert re.match(r"harness: \S*kernels/catalog.yaml:[23]: .*", done.stderr)
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_the_catalogs_are_listed_without_anything_being_fetched(
    harness: Command, tmp_path: Path
) -> None:
    kernels = harness("kernels", "list").stdout
    assert {"5.10", "6.1", "6.12", "latest"} <= {line.split()[0] for line in kernels.splitlines()}
    images = harness("images", "list").stdout
    assert "Debian trixie: python3" in images
    assert not (tmp_path / "store").exists()


def test_the_store_is_listed_the_largest_first_verified_and_swept(
    harness: Command, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    store.make("kernels", "small", "a small one", lambda into: (into / "f").touch())

    def large(into: Path) -> None:
        (into / "f").write_bytes(b"x" * 2_000_000)

    path = store.make("tools", "large", "a large one", large)
    lines = harness("store", "ls").stdout.splitlines()
    assert lines[0].split()[:2] == ["kind", "key"]
    assert lines[1].split() == ["tools", "large", "2.0", "0.0", "a", "large", "one"]
    assert lines[2].startswith("kernels")
    assert lines[3] == f"2 MB in {tmp_path}/store"
    assert harness("store", "verify").stdout == "2 entries intact\n"
    (path / "f").write_bytes(b"y" * 2_000_000)
    broken = harness("store", "verify")
    assert broken.returncode == 1
    assert broken.stderr.splitlines() == [
        "harness: tools/large (a large one) is damaged",
        f"  {path}/f is not what was made: its sha256 differs",
        "harness: 1 of 2 entries are damaged: `harness verify --drop` removes them; they are made "
        "anew when needed",
    ]
    store.make("kernels", "torn", "", lambda into: (into / "f").touch())
    (tmp_path / "store" / "kernels" / "torn" / "entry.json").write_text("[]")
    dropped = harness("verify", "--drop")
    assert dropped.returncode == 1
    assert "harness: kernels/torn (unreadable) is damaged" in dropped.stderr.splitlines()
    assert harness("verify").stdout == "1 entries intact\n"
    store.make("tools", "large", "a large one", large)
    assert harness("store", "gc", "--keep=1").stdout == "0 entries removed, 0 MB\n"
    in_use = harness("store", "gc", "--keep=0")
    assert in_use.stdout == "0 entries removed, 0 MB\n"
    assert "the store is in use" in in_use.stderr
    del store  # whoever looked for something uses it until then
    assert harness("store", "gc", "--keep=0").stdout == "2 entries removed, 2 MB\n"
    assert Store(tmp_path / "store").entries() == []


def test_an_archive_is_not_written_to_a_terminal(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        done = subprocess.run(
            [PROGRAM, "store", "export", "5.10"],
            cwd=tmp_path,
            stdout=slave,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(slave)
        os.close(master)
    assert done.returncode == 1
    assert done.stderr == b"harness: an archive is nothing for a terminal: add `>FILE`\n"


def test_an_archive_is_imported_by_its_sha256_and_another_leaves_the_store_untouched(
    harness: Command, tmp_path: Path
) -> None:
    source = Store(tmp_path / "source")
    source.make("tools", "t", "tools", lambda into: (into / "root").mkdir())
    with (tmp_path / "file").open("wb") as out:
        packed = archive.pack(source, source.entries(), out)
    assert harness("store", "import", "file", f"--sha256={'0' * 64}").returncode == 1
    assert not (tmp_path / "store").exists()
    done = harness("store", "import", "file", f"--sha256={packed.sha256.upper()}")
    assert done.stdout.splitlines()[-1] == f"1 of 1 entries new; sha256 {packed.sha256}"


def test_what_can_be_read_only_once_is_not_held_against_a_sha256(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "store", "import", "-", f"--sha256={'0' * 64}"],
        cwd=tmp_path,
        input=b"archive",
        capture_output=True,
        check=False,
    )
    said = "--sha256 reads the archive twice: give it as a file, not by a pipe"
    assert (done.returncode, done.stderr.decode()) == (1, f"harness: {said}\n")
