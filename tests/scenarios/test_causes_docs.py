"""docs/causes.md says all that a file of causes may hold, and what it shows works."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from harness.explanations import Explanation
from harness.scenarios import causes

PAGE = (Path(__file__).parents[2] / "docs" / "causes.md").read_text()


def test_every_key_is_explained() -> None:
    for model in (causes.CauseKeys, causes.PatternKeys, causes.HostKeys):
        assert [key for key in model.model_fields if f"`{key}`" not in PAGE] == []


def test_every_field_of_the_json_is_named() -> None:
    fields = [field.name for field in dataclasses.fields(Explanation)]
    assert [name for name in fields if f"`{name}`" not in PAGE] == []


def test_the_example_is_taken(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "causes.yaml").write_text(example)
    names = {cause.name for cause in causes.load_for(tmp_path)}
    assert "licence-daemon-needs-keyctl" in names
    assert "no-rseq" not in names
