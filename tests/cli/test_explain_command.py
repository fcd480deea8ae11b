"""``harness explain``: which cells it takes, and what it prints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from observations import observation, redis_broken, unavailable
from recorded import compared, record
from typer.testing import CliRunner, Result

from harness.cli import app
from harness.errors import ConfigError, StoreError, UsageError
from harness.model.observations import Verdict

OWN = """
causes:
  mine:
    text: A cause of our own.
    help: Our own help.
    reference: our wiki
    when: {syscall: epoll_pwait2, errno: ENOSYS}
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of four cells, in a directory that commands are given in."""
    monkeypatch.chdir(tmp_path)
    cells = [
        redis_broken(),
        redis_broken("latest", verdict=Verdict.PASSED, failures=()),
        observation("5.10"),
        unavailable("latest", "the mirror is down"),
    ]
    record(tmp_path / "results", cells)
    return tmp_path / "results"


def explained(*words: str) -> Result:
    return CliRunner().invoke(app, ["explain", *words])


def titles(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    found = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    return [title.rstrip(":") for title in found]


def test_without_a_cell_all_are_explained_that_did_not_plainly_pass(results: Path) -> None:
    assert titles(explained()) == ["redis/bgsave/5.10", "systemd-tools/tmpfiles/latest"]


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("scenarios/redis.yaml::bgsave[redis-5.10]", ["redis/bgsave/5.10"]),
        ("redis/bgsave/*", ["redis/bgsave/5.10", "redis/bgsave/latest"]),
        ("*[*-5.10]", ["redis/bgsave/5.10", "systemd-tools/tmpfiles/5.10"]),
        ("redis/bgsave/5.1?", ["redis/bgsave/5.10"]),
    ],
)
def test_a_cell_is_a_test_id_or_image_scenario_and_kernel_by_globs(
    results: Path, cell: str, found: list[str]
) -> None:
    assert titles(explained(cell)) == found


def test_a_cell_that_is_not_there_is_named_with_the_remedy(results: Path) -> None:
    done = explained("redis/bgsave/6.1")
    assert isinstance(done.exception, UsageError)
    assert "there is no cell 'redis/bgsave/6.1' in " in str(done.exception)
    assert "IMAGE/SCENARIO/KERNEL" in str(done.exception)


def test_a_run_is_an_id_a_directory_or_the_last(results: Path) -> None:
    (run,) = (path for path in results.iterdir() if not path.is_symlink() and path.is_dir())
    wanted = titles(explained())
    for name in (run.name, run.name[:16], str(run), "last", "latest"):
        assert titles(explained("--run", name)) == wanted
    assert isinstance(explained("--run", "none").exception, UsageError)
    assert isinstance(explained("--run", "no/run").exception, StoreError)


def test_cells_of_which_the_same_is_to_be_said_share_a_paragraph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "results", [unavailable(name, "no mirror") for name in ("6.1", "6.12")])
    assert explained().output == (
        "systemd-tools/tmpfiles/6.1: unavailable\n"
        "systemd-tools/tmpfiles/6.12: unavailable\n"
        "  It did not run: no mirror.\n"
    )


def test_a_run_where_all_passed_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = record(tmp_path / "results", [observation()])
    said = f"every cell of {run.name} passed, and no system call was refused\n"
    assert explained().output == said


def test_json_has_the_same_text_and_what_it_is_made_of(results: Path) -> None:
    (results.parent / "scenarios").mkdir()
    (results.parent / "scenarios" / "causes.yaml").write_text(OWN)
    done = explained("redis/*/5.10", "--json")
    (one,) = json.loads(done.output)
    plain = " ".join(explained("redis/*/5.10").output.split())
    assert plain.endswith(one["text"])
    assert one["cause"]["syscall"] == "epoll_pwait2"
    assert one["tie"] == "last"
    assert [(each["name"], each["certainty"]) for each in one["causes"]] == [("mine", "suspected")]


def test_causes_of_ones_own_are_read_and_an_error_in_them_names_the_line(results: Path) -> None:
    own = results.parent / "own.yaml"
    own.write_text(OWN)
    said = " ".join(explained("redis/*/5.10", "--causes", "own.yaml").output.split())
    assert "Known case mine (suspected): A cause of our own. What usually helps: Our own" in said
    own.write_text(OWN.replace("syscall:", "sycall:"))
    done = explained("--causes", "own.yaml")
    assert isinstance(done.exception, ConfigError)
    assert "own.yaml:7: causes.mine.when.sycall: unknown key; did you mean 'syscall'?" in str(
        done.exception
    )


def test_what_a_comparison_confirmed_is_told_as_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = redis_broken("latest", verdict=Verdict.PASSED), redis_broken()
    found = compared(good, bad)
    (finding,) = found.findings
    assert finding.cause is not None
    sure = replace(finding.cause, confirmed=True, evidence=("on latest it fails in the same way",))
    made = replace(found, findings=(replace(finding, cause=sure),))
    record(tmp_path / "results", [good, bad], made)
    said = " ".join(explained("redis/*/5.10").output.split())
    assert "Confirmed: on latest it fails in the same way." in said
