from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness import yamlfile
from harness.scenarios import publish

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = publish.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", publish.SCHEMAS)
def test_the_committed_schema_is_current(name: str) -> None:
    committed = (ROOT / "docs" / f"{name}.schema.json").read_text()
    assert committed == publish.text(name), (
        f"write it anew: python -m harness.scenarios.publish {name} > docs/{name}.schema.json"
    )


def test_the_packaged_causes_fit_their_schema() -> None:
    data = yamlfile.load(ROOT / "scenarios" / "causes.yaml").data
    jsonschema.Draft202012Validator(publish.causes_schema()).validate(data)


@pytest.mark.parametrize(
    "file", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_default_scenarios_fit_the_schema(validator: Any, file: Path) -> None:
    data = yamlfile.load(file).data
    if "scenarios" in data:
        validator.validate(data)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"scenarios": {}},
        {"scenarios": {"a": {"image": "x", "rnu": 1}}},
        {"scenarios": {"a b": {"image": "x"}}},
        {"scenarios": {"a": {"image": "x", "steps": []}}},
        {"scenarios": {"a": {"image": "x", "requires": ["cgroup"]}}},
        {"scenarios": {"a": {"image": "x", "expect": {"exit": "some"}}}},
        {"scenarios": {"a": {"image": "x"}}, "other": 1},
    ],
)
def test_the_schema_refuses_what_loading_refuses(validator: Any, data: object) -> None:
    assert not validator.is_valid(data)


def test_the_schema_takes_the_short_ways_of_writing(validator: Any) -> None:
    validator.validate(
        {
            "x-base": 5,
            "scenarios": {
                "a": {
                    "image": "x",
                    "run": "echo",
                    "memory": "256M",
                    "timeout": 5,
                    "kernels": 5.1,
                    "requires": ["userns", {"cgroup": "v2"}],
                    "env": {"A": 1},
                    "expect": {"exit": "any", "stdout": "text"},
                },
                "b": {"image": "x", "requires": {"userns": True}, "cap_drop": "all"},
            },
        }
    )
