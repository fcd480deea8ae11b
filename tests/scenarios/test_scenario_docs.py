from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from harness.scenarios.load import load_file
from harness.scenarios.schema import ScenarioKeys

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "scenarios.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_pages_examples_load(tmp_path: Path, example: str) -> None:
    (tmp_path / "scenarios.md").write_text(PAGE)
    if "scenarios:\n" not in example:
        image = "" if re.search(r"^images?:", example, re.MULTILINE) else "image: a\n"
        example = "scenarios:\n  example:\n" + textwrap.indent(image + example, "    ")
    file = tmp_path / "example.yaml"
    file.write_text(example)
    assert load_file(file, tmp_path)


def test_every_key_has_an_example() -> None:
    keys = set(ScenarioKeys.model_fields)
    shown = {key for key in keys if re.search(rf"^ *{key}:", "\n".join(EXAMPLES), re.MULTILINE)}
    assert keys - shown == set()
