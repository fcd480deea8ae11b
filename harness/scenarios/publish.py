"""The JSON schema of scenario files, for editors."""

from __future__ import annotations

import json
import sys
from typing import Any

from harness.scenarios.schema import ScenarioFile
from harness.scenarios.values import NAME

ADDRESS = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema of what a scenario file may hold.

    It does not know every rule: which keys exclude each other, and whether files exist, is
    checked by :func:`harness.scenarios.load.load_file` alone.
    """
    schema = ScenarioFile.model_json_schema(mode="validation")
    schema["properties"]["scenarios"]["propertyNames"] = {"pattern": f"^{NAME}$"}
    return {
        "$schema": ADDRESS,
        **schema,
        "title": "Scenario file",
        "patternProperties": {"^x-": {}},
    }


def text() -> str:
    """Return the schema as it is committed: ``docs/scenario.schema.json``."""
    # Descriptions are docstrings; editors show Markdown.
    return json.dumps(json_schema(), indent=2, sort_keys=True).replace("``", "`") + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
