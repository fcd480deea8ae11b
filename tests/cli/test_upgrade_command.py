from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app

BOTH_WAYS = (
    "name two kernels by --from and --to, or a kernel by --kernel and two images by --from-image "
    "and --to-image"
)
COULD_NOT_RUN = {
    (): BOTH_WAYS,
    ("--from=5.10", "--image=redis"): BOTH_WAYS,
    ("--from=5.10", "--to=nope", "--image=redis"): "unknown kernel 'nope'",
    ("--from=5.10", "--to=5.10", "--image=redis"): "both kernels are 5.10: name two",
    ("--from=5.10", "--to=6.1"): "say which images by --image",
    ("--from=5.10", "--to=6.1", "--image=nope"): "image 'nope' is no reference",
    ("--from=5.10", "--to=6.1", "--scenario=nope"): "no scenario is called 'nope'",
    ("--from=5.10", "--to=6.1", "--image=redis", "--fail-on=x"): "--fail-on=x: give changed",
    ("--from-image=redis", "--to-image=nginx"): "name one kernel by --kernel, and two images",
    ("--kernel=6.1", "--from-image=redis"): "name one kernel by --kernel, and two images",
    ("--kernel=6.1", "--from-image=redis", "--to-image=redis"): "both images are redis",
    ("--kernel=6.1", "--from-image=a", "--to-image=b", "--image=c"): "do not go with",
    ("--kernel=6.1", "--from-image=a", "--to-image=b", "--confirm"): "--confirm needs a kernel",
}


@pytest.mark.parametrize("words", COULD_NOT_RUN)
def test_what_cannot_be_asked_is_one_line_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "store"))
    done = CliRunner().invoke(app, ["upgrade", *words])
    assert COULD_NOT_RUN[words] in done.stderr
    assert done.stderr.startswith("harness: ")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert not (tmp_path / "results").exists()
