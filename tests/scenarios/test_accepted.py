from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.model.scenarios import Known
from harness.scenarios.accepted import FILE, Accepted, add, load, of_cell

TEXT = """\
# What we live with.
known:
  - scenario: "comp*"
    image: "debian-*"
    kernels: 5.10, 6.1  # until the next release
    syscall: landlock_create_ruleset
    reason: no sandbox
"""
NEW = Accepted(
    scenario="tar",
    image="debian-trixie",
    known=Known(kernels="5.10", syscall="fchmodat2", errno="ENOSYS", reason="to be reviewed"),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scenarios" / FILE
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def test_entries_are_about_the_scenarios_and_images_that_their_globs_match(file: Path) -> None:
    entries = load(file)
    [known] = of_cell(entries, "compress", "debian-trixie")
    assert (known.kernels, known.syscall) == ("5.10, 6.1", "landlock_create_ruleset")
    assert not of_cell(entries, "compress", "redis")
    assert not of_cell(entries, "tar", "debian-trixie")


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert load(tmp_path / FILE) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("known:\n  - kernels: all\n", "reason"),
        ("known:\n  - {kernels: all, reason: x, sysall: read}\n", "did you mean"),
        ("known: 5\n", "known"),
        ("nown: []\n", "nown"),
    ],
)
def test_a_mistake_is_an_error_with_file_and_line(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}:")


def test_entries_are_added_to_the_end_and_comments_stay(file: Path) -> None:
    assert add(file, [NEW, NEW]) == 1
    text = file.read_text()
    assert text.startswith(TEXT)
    assert load(file)[1] == NEW


def test_an_entry_that_is_there_already_is_not_added_whatever_its_reason(file: Path) -> None:
    add(file, [NEW])
    before = file.read_bytes()
    other = Known(kernels="5.10", syscall="fchmodat2", errno="ENOSYS", reason="another day")
    assert add(file, [Accepted(scenario="tar", image="debian-trixie", known=other)]) == 0
    assert file.read_bytes() == before


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n", "known: []\n"])
def test_the_first_entry_makes_the_file(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "new" / FILE
    if text is not None:
        path.parent.mkdir()
        path.write_text(text)
    assert add(path, [NEW]) == 1
    assert load(path) == (NEW,)
    assert path.read_text().count("#") == (text or "").count("#")


@given(program=st.text(min_size=1, max_size=16), scenario=st.text(min_size=1, max_size=16))
@example(program="\x85", scenario="\u2028 \x1b]0;x\x07")
@example(program="!!python/object:x", scenario="- a: {b}\n&x *x #")
@settings(max_examples=60, deadline=None)
def test_whatever_a_guest_calls_its_programs_comes_back_as_it_was(
    program: str, scenario: str
) -> None:
    entry = Accepted(
        known=Known(kernels="5.10", reason="r", syscall="clone3", program=program),
        scenario=scenario,
        image="i",
    )
    with TemporaryDirectory() as directory:
        path = Path(directory) / FILE
        path.write_text(TEXT)
        assert add(path, [entry]) == 1
        assert load(path)[-1] == entry
        assert path.read_text().startswith("# What we live with.")
