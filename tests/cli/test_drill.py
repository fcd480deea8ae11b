from __future__ import annotations

from pathlib import Path

from cli.conftest import Command

SCENARIO = "scenarios:\n  one:\n    image: debian-trixie\n    run: 'true'\n"


def test_what_follows_is_pytests_and_the_kernel_is_the_drill(
    tmp_path: Path, harness: Command
) -> None:
    (tmp_path / "one.scenario.yaml").write_text(SCENARIO)
    words = ("--like", "4.18", "--collect-only", "-q", "one.scenario.yaml")
    done = harness("drill", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "this is a drill" in done.stderr
    assert "never evidence about a real 4.18" in done.stderr
    assert "[debian-trixie-drill-4.18]" in done.stdout


def test_pytests_exit_status_is_the_commands(harness: Command) -> None:
    done = harness("drill", "--like", "3.10", "no-such-file.yaml")
    assert done.returncode == 4
    assert "no-such-file.yaml" in done.stderr


def test_a_release_without_a_drill_is_refused_with_those_that_have_one(harness: Command) -> None:
    done = harness("drill", "--like", "2.6")
    assert done.returncode == 1
    assert done.stderr == "harness: --like=2.6: there is no such drill; known: 3.10, 4.18, 5.14\n"
