"""``causes.yaml``: what is read, what replaces what, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.scenarios import causes

ONE = """
causes:
  no-openat2:
    text: Mine.
    help: Nothing.
    reference: openat2(2)
    when: {syscall: openat2, errno: ENOSYS}
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problem(tmp_path: Path, text: str) -> str:
    file = write(tmp_path / "causes.yaml", text)
    with pytest.raises(ConfigError) as error:
        causes.load([file])
    return str(error.value).replace(str(tmp_path), "DIR")


def test_the_packaged_causes_are_read_and_each_is_documented(tmp_path: Path) -> None:
    found = causes.load_for(tmp_path)
    assert len(found) == len({cause.name for cause in found}) >= 5
    assert all(cause.text.endswith(".") and cause.help.endswith(".") for cause in found)
    assert all(cause.references and cause.when for cause in found)


def test_a_users_cause_takes_the_place_of_a_packaged_one_and_null_removes_one(
    tmp_path: Path,
) -> None:
    before = {cause.name: cause for cause in causes.load_for(tmp_path)}
    write(tmp_path / "scenarios" / "causes.yaml", ONE + "  no-clone3: null\n")
    after = {cause.name: cause for cause in causes.load_for(tmp_path)}
    assert after["no-openat2"].text == "Mine."
    assert before.keys() - after.keys() == {"no-clone3"}
    assert after["vsyscall-none"] == before["vsyscall-none"]


def test_more_files_come_last(tmp_path: Path) -> None:
    write(tmp_path / "scenarios" / "causes.yaml", ONE)
    write(tmp_path / "more.yaml", ONE.replace("Mine.", "Theirs."))
    found = {cause.name: cause for cause in causes.load_for(tmp_path, [Path("more.yaml")])}
    assert found["no-openat2"].text == "Theirs."


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"more\.yaml: cannot be read"):
        causes.load_for(tmp_path, [Path("more.yaml")])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("syscall: openat2", "syscall: opennat2", "unknown system call 'opennat2'; did you mean"),
        ("errno: ENOSYS", "errno: ENOSYSS", "unknown errno 'ENOSYSS'; did you mean 'ENOSYS'?"),
        ("errno: ENOSYS", "errno: EWOULDBLOCK", "unknown errno 'EWOULDBLOCK'"),
        ("errno: ENOSYS", "stderr: '('", "stderr: not a regular expression"),
        ("errno: ENOSYS", "cgroup: v1", "cgroup: unknown key"),
        ("errno: ENOSYS", "host: {cgroup: v3}", "host.cgroup: expected 'v1', 'v2' or 'hybrid'"),
        ("syscall: openat2, errno: ENOSYS", "program: tar", "needs something that a cell shows"),
        ("    reference: openat2(2)\n", "", "causes.no-openat2.reference: is required"),
        ("no-openat2", "No_Openat2", "a cause's name is made of small letters"),
        ("causes:", "cause:", "no key 'causes' at the top level"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = problem(tmp_path, ONE.replace(old, new))
    assert text.startswith("DIR/causes.yaml:")
    assert said in text
