from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from harness.store import Store

PROGRAM = Path(sys.executable).with_name("harness")


def harness(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, in a directory of its own and with an empty store."""
    fresh = {"HARNESS_STORE": str(cwd / "store"), "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run(
        [str(PROGRAM), *words],
        cwd=cwd,
        env={**os.environ, **fresh, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


_EACH = """if True:
    import importlib, json, os, sys
    from harness import cli
    for module in {*cli.MODULES.values()}:
        importlib.import_module(f"harness.cli.{module}")
    for number, words in enumerate(json.load(sys.stdin)):
        child = os.fork()
        if child == 0:
            for descriptor, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(f"{number}.{name}", os.O_CREAT | os.O_WRONLY, 0o600), descriptor)
            sys.argv = ["harness", *words]
            sys.exit(cli.main())
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def each_of(
    commands: Sequence[tuple[str, ...]], cwd: Path
) -> Iterator[tuple[tuple[str, ...], int, str, str]]:
    """Run commands in processes of their own, whose common parent has imported everything.

    Yields each with its status, its output and its errors.
    """
    done = subprocess.run(
        [sys.executable, "-c", _EACH],
        input=json.dumps(commands),
        cwd=cwd,
        env={**os.environ, "HARNESS_STORE": str(cwd / "store"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    for number, (words, status) in enumerate(zip(commands, done.stdout.split(), strict=True)):
        out, err = (cwd / f"{number}.{name}" for name in ("out", "err"))
        yield words, int(status), out.read_text(), err.read_text()


def test_version_is_the_packages(tmp_path: Path) -> None:
    done = harness("--version", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == f"pytest-kernels {metadata.version('pytest-kernels')}\n"


COMMANDS = {
    "kernels": ("list", "lock", "fetch", "boot", "shell", "syscalls", "add", "push"),
    "images": ("list", "lock", "fetch"),
    "store": ("ls", "gc", "verify", "export", "import"),
    "history": ("export", "import"),
}


def test_help_lists_every_command_with_a_line_about_it(tmp_path: Path) -> None:
    asked = [("--help",), *((group, "--help") for group in COMMANDS)]
    for words, status, said, _ in each_of(asked, tmp_path):
        commands = COMMANDS.get(words[0], (*COMMANDS, "doctor", "bench", "compare", "nightly"))
        assert status == 0
        for command in commands:
            assert re.search(rf"^\W+{command} +[A-Z]\w+", said, re.MULTILINE), (words, command)


def test_a_group_without_a_command_shows_its_help_and_is_a_wrong_use(tmp_path: Path) -> None:
    for words in ((), ("kernels",)):
        done = harness(*words, cwd=tmp_path)
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


def test_a_wrong_use_is_said_with_status_2(tmp_path: Path) -> None:
    for words, status, out, err in each_of(WRONG, tmp_path):
        assert (status, out) == (2, ""), words
        assert "Usage: harness" in err
        assert "Traceback" not in err


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
    ("kernels", "boot", "x", "--kernel=x"): r".*--kernel.*",
}


def test_what_is_not_there_is_one_line_with_status_1(tmp_path: Path) -> None:
    for words, status, out, err in each_of(tuple(NOT_THERE), tmp_path):
        assert re.fullmatch(rf"harness: {NOT_THERE[words]}\n", err), (words, err)
        assert (status, out) == (1, ""), words


def test_a_catalog_that_is_wrong_is_one_line_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "catalog.yaml").write_text("kernels:\n  mine:\n    colour: blue\n")
    done = harness("kernels", "list", cwd=tmp_path)
    assert re.match(r"harness: \S*kernels/catalog.yaml:[23]: .*", done.stderr)
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_the_catalogs_are_listed_without_anything_being_fetched(tmp_path: Path) -> None:
    kernels = harness("kernels", "list", cwd=tmp_path).stdout
    assert {"5.10", "6.1", "6.12", "latest"} <= {line.split()[0] for line in kernels.splitlines()}
    images = harness("images", "list", cwd=tmp_path).stdout
    assert "Debian trixie: python3" in images
    assert not (tmp_path / "store").exists()


def test_the_store_is_listed_the_largest_first_verified_and_swept(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.make("kernels", "small", "a small one", lambda into: (into / "f").touch())

    def large(into: Path) -> None:
        (into / "f").write_bytes(b"x" * 2_000_000)

    path = store.make("tools", "large", "a large one", large)
    lines = harness("store", "ls", cwd=tmp_path).stdout.splitlines()
    assert lines[0].split()[:2] == ["kind", "key"]
    assert lines[1].split() == ["tools", "large", "2.0", "0.0", "a", "large", "one"]
    assert lines[2].startswith("kernels")
    assert lines[3] == f"2 MB in {tmp_path}/store"
    assert harness("store", "verify", cwd=tmp_path).stdout == "2 entries intact\n"
    (path / "f").write_bytes(b"y" * 2_000_000)
    broken = harness("store", "verify", cwd=tmp_path)
    assert broken.returncode == 1
    assert broken.stderr.splitlines() == [
        "harness: tools/large (a large one) is damaged",
        f"  {path}/f is not what was made: its sha256 differs",
        "harness: 1 of 2 entries are damaged: `harness verify --drop` removes them; they are made "
        "anew when needed",
    ]
    store.make("kernels", "torn", "", lambda into: (into / "f").touch())
    (tmp_path / "store" / "kernels" / "torn" / "entry.json").write_text("[]")
    dropped = harness("verify", "--drop", cwd=tmp_path)
    assert dropped.returncode == 1
    assert "harness: kernels/torn (unreadable) is damaged" in dropped.stderr.splitlines()
    assert harness("verify", cwd=tmp_path).stdout == "1 entries intact\n"
    store.make("tools", "large", "a large one", large)
    assert harness("store", "gc", "--keep=1", cwd=tmp_path).stdout == "0 entries removed, 0 MB\n"
    assert harness("store", "gc", "--keep=0", cwd=tmp_path).stdout == "2 entries removed, 2 MB\n"
    assert store.entries() == []


def test_an_archive_is_not_written_to_a_terminal(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        done = subprocess.run(
            [str(PROGRAM), "store", "export", "5.10"],
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
