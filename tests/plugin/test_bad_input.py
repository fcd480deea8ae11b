from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.plugin import settings
from harness.plugin.session import session_of

USAGE = 4
INTERRUPTED = 2

Run = Callable[..., pytest.RunResult]
Write = Callable[..., Path]


def said(result: pytest.RunResult) -> list[str]:
    """Return the lines that tell an error, wherever pytest printed them."""
    lines = [*result.errlines, *result.outlines]
    assert "Traceback" not in "\n".join(lines)
    assert "INTERNALERROR" not in "\n".join(lines)
    return [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--kernels=5.1x", "unknown kernel '5.1x'"),
        ("--accel=foo", "--accel=foo: give auto, kvm, tcg"),
        ("--guests=0", "--guests=0: give auto, or a number from 1 on"),
        ("--image=nope", "--image nope: "),
        ("--kernel=mine=notes.txt", "notes.txt"),
        ("--kernel=mine", "expected NAME=PATH/bzImage"),
        ("--cap-add=SYS_ADMN", "--cap-add: unknown capability 'SYS_ADMN'; did you mean"),
        ("--seccomp=podmn", "--seccomp: no seccomp profile is called 'podmn'"),
        ("--seccomp=./none.json", "none.json: No such file or directory"),
    ],
)
def test_a_wrong_option_is_refused(
    pytester: pytest.Pytester, own_store: Path, option: str, sentence: str
) -> None:
    pytester.path.joinpath("notes.txt").write_text("not a kernel")
    config = pytester.parseconfig(option)
    assert settings.given(config)
    with pytest.raises(pytest.UsageError) as caught:
        session_of(config)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not own_store.exists()


def test_what_is_refused_is_one_line_and_status_4_before_anything_else(
    run: Run, pytester: pytest.Pytester, own_store: Path
) -> None:
    pytester.makepyfile("raise SystemExit('collected')")
    result = run("--guests=0")
    assert result.ret == USAGE
    assert said(result) == ["--guests=0: give auto, or a number from 1 on"]
    assert "collected" not in result.stdout.str()
    assert not own_store.exists()


def test_what_is_wrong_in_a_scenario_file_is_said_with_file_and_line(
    run: Run, scenarios: Write
) -> None:
    good = scenarios("passes", file="good.yaml", kernels='"<3"')
    wrong = {
        "syntax.yaml": "scenarios:\n  a:\n    image: [debian-trixie\n    run: x\n",
        "key.yaml": "scenarios:\n  a:\n    image: debian-trixie\n    rum: x\n",
        "type.yaml": "scenarios:\n  a:\n    image: debian-trixie\n    pids: many\n",
        "image.yaml": "scenarios:\n  a:\n    image: debian-bulseye\n    run: x\n",
    }
    for name, text in wrong.items():
        good.with_name(name).write_text(text)
    result = run()
    assert result.ret == INTERRUPTED
    assert "Traceback" not in result.stdout.str()
    result.assert_outcomes(errors=4)
    result.stdout.re_match_lines_random(
        [
            r".*syntax\.yaml:\d+: not valid YAML: .*",
            r".*key\.yaml:4: .*rum.*run.*",
            r".*type\.yaml:4: .*pids.*",
            r".*image\.yaml:2: unknown image 'debian-bulseye'; known: .*debian-bullseye.*",
        ]
    )


def test_a_wrong_catalog_is_told_once_however_many_files_need_it(
    run: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("passes", file="one.yaml")
    scenarios("passes", file="two.yaml")
    catalog = pytester.mkdir("kernels") / "catalog.yaml"
    catalog.write_text("kernels:\n  mine:\n    memry: 512\n")
    result = run()
    assert result.ret == USAGE
    [line] = said(result)
    assert "catalog.yaml:3: " in line
    assert "memry" in line


def test_a_wrong_file_of_causes_is_told_once_with_its_line(
    run: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("passes", file="one.yaml")
    scenarios("passes", file="two.yaml")
    causes = pytester.path / "scenarios" / "causes.yaml"
    causes.write_text("causes:\n  mine:\n    text: Mine.\n    help: None.\n")
    result = run()
    assert result.ret == USAGE
    [line] = said(result)
    assert "causes.yaml:2: causes.mine.reference: is required" in line
    causes.unlink()
    pytester.makeini("[pytest]\ncauses = more.yaml\n")
    result = run()
    assert result.ret == USAGE
    assert said(result)[0].endswith("more.yaml: cannot be read: No such file or directory")


def test_without_qemu_the_session_ends_with_the_name_of_its_package(
    run: Run, scenarios: Write, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenarios("passes")
    monkeypatch.setenv("PATH", str(pytester.mkdir("empty")))
    result = run()
    assert result.ret == USAGE
    assert said(result) == [
        "qemu-system-x86_64 is not installed: install the package qemu-system-x86"
    ]
    assert not pytester.path.joinpath("results").exists()


def test_a_results_directory_that_cannot_be_made_ends_the_session(
    run: Run, scenarios: Write, pytester: pytest.Pytester
) -> None:
    scenarios("passes", kernels='"<3"')
    pytester.path.joinpath("file").touch()
    result = run("--results=file/below")
    assert result.ret == USAGE
    [line] = said(result)
    assert "file/below" in line
