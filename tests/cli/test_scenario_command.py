from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import HarnessError

INSPECTED = {
    "Id": "3f4e1c9a7b2d",
    "Name": "/cache",
    "Path": "redis-server",
    "Config": {"Image": "redis:7", "Env": ["API_TOKEN=abc"]},
    "HostConfig": {"Privileged": True},
}
COMPOSE = "services:\n  web: {image: nginx, ports: ['80:80']}\n"
POD = "spec: {containers: [{name: web, image: nginx}]}\n"


def harness(*words: str, stdin: str = "") -> Any:
    return CliRunner().invoke(app, ["scenario", *words], input=stdin)


def test_a_container_is_taken_over_from_standard_input_and_what_is_left_out_is_said() -> None:
    done = harness("from-inspect", "-", stdin=json.dumps([INSPECTED]))
    assert done.exit_code == 0
    assert done.stdout == (
        "scenarios:\n"
        "  cache:\n"
        "    why: As docker inspect shows the container cache.\n"
        "    image: docker://docker.io/library/redis:7\n"
        "    engine: docker\n"
        "    env:\n"
        "      API_TOKEN: abc\n"
        "    service:\n"
        "      run:\n"
        "        - redis-server\n"
        "      watch: 10s\n"
    )
    assert done.stderr == (
        "left out: privileged: add what it really needs with cap_add\n"
        "note: env: 1 variable is copied with the values as they stand; by their names these hold "
        "secrets: API_TOKEN\n"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [(("from-compose", "f.yaml", "web"), COMPOSE), (("from-pod", "f.yaml", "web"), POD)],
)
def test_a_file_is_written_and_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.yaml").write_text(text)
    first = harness(*words, "--name=site", "-o", "out.scenario.yaml")
    assert (first.exit_code, first.stdout) == (0, "")
    written = (tmp_path / "out.scenario.yaml").read_text()
    assert written.startswith("scenarios:\n  site:\n")
    again = harness(*words, "-o", "out.scenario.yaml")
    assert isinstance(again.exception, HarnessError)
    assert str(again.exception) == "out.scenario.yaml exists: it is not overwritten; move it away"
    assert (tmp_path / "out.scenario.yaml").read_text() == written


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("from-inspect", "none.json"), "none.json: No such file or directory"),
        (("from-inspect", "-"), "stdin: not JSON: "),
        (("from-compose", "-", "web"), "services"),
        (("from-pod", "-", "web"), "stdin has no container named 'web'; there are: none at all"),
        (("from-pod", "-", "web", "--name=a b"), "--name=a b: a scenario's name is made of"),
    ],
)
def test_what_cannot_be_taken_over_is_told_in_a_line(words: tuple[str, ...], said: str) -> None:
    done = harness(*words)
    assert isinstance(done.exception, HarnessError)
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert done.stdout == ""
