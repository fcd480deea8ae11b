"""Names and words of outside data move no cursor, whichever command shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.conftest import Command

from harness.cli.lines import Lines, complain, show
from harness.store import Store

NASTY = "\x1b]0;owned\x07\x9b2J\u202e"


def test_a_table_shows_escapes_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    show(["what"], [[f"a{NASTY}"]])
    assert r"a\x1b]0;owned\x07\x9b2J\u202e" in capsys.readouterr().out


def test_progress_and_errors_show_escapes_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().say(f"image {NASTY}: copying")
    complain(f"bad {NASTY}\nsecond line")
    said = capsys.readouterr().err
    assert said.splitlines() == [
        r"image \x1b]0;owned\x07\x9b2J\u202e: copying",
        r"harness: bad \x1b]0;owned\x07\x9b2J\u202e",
        "second line",
    ]


def test_labels_that_came_with_an_archive_are_listed_safely(
    tmp_path: Path, harness: Command
) -> None:
    Store(tmp_path / "store").make("tools", "a", f"it {NASTY}", lambda into: (into / "f").touch())
    said = harness("store", "ls").stdout
    assert "\x1b" not in said
    assert r"it \x1b]0;owned" in said


def test_an_error_about_a_hostile_reference_is_text(harness: Command) -> None:
    done = harness("images", "fetch", f"docker://a{NASTY}")
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert done.stderr.startswith("harness: image")


@pytest.mark.parametrize("limit", ["files=many", "files=0", "size=1", "unpacked=-1", "files"])
def test_an_image_limit_that_is_none_is_refused_with_an_example(
    limit: str, harness: Command
) -> None:
    done = harness("images", "fetch", "--limit", limit, "redis")
    assert done.returncode == 1
    assert done.stderr == (
        f"harness: image limit {limit!r}: give NAME=NUMBER such as unpacked=8G, NAME one of "
        "unpacked, layers, files, depth\n"
    )
