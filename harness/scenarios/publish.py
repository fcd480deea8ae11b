"""The JSON schemas of scenario files and of files of known causes, for editors."""

from __future__ import annotations

import json
import sys
from typing import Any

from harness.scenarios import causes
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


def causes_schema() -> dict[str, Any]:
    """Return the schema of what a file of known causes may hold.

    Which system calls and errnos there are is known to :mod:`harness.scenarios.causes` alone.
    """
    schema = causes.CausesFile.model_json_schema(mode="validation")
    schema["properties"]["causes"]["propertyNames"] = {"pattern": f"^{causes.NAME}$"}
    return {"$schema": ADDRESS, **schema, "title": "Known causes"}


SCHEMAS = {"scenario": json_schema, "causes": causes_schema}
"""By the beginning of the file's name below docs/."""


def text(name: str) -> str:
    """Return a schema as it is committed: ``docs/NAME.schema.json``."""
    # Descriptions are docstrings; editors show Markdown.
    return json.dumps(SCHEMAS[name](), indent=2, sort_keys=True).replace("``", "`") + "\n"


if __name__ == "__main__":
    sys.stdout.write(text(*sys.argv[1:]))
