from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from harness.errors import ImageError
from harness.oci_forms import Config, Index, Manifest, parse

BLOB = {"digest": f"sha256:{'0' * 64}", "size": 1}
CONFIG = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": []}}
MANY = 50

TEXT = "Input should be a valid string"


@pytest.mark.parametrize(
    ("form", "fields", "said"),
    [
        (Index, {"manifests": [BLOB, *[{"size": 1}] * MANY]}, "manifests.1.digest: Field required"),
        (
            Manifest,
            {"config": BLOB, "layers": [{**BLOB, "size": -1}] * MANY},
            "layers.0.size: Input should be greater than or equal to 0",
        ),
        (
            Config,
            {**CONFIG, "rootfs": {"diff_ids": ["sha256:0"] * MANY}},
            "rootfs.diff_ids.0: String should match pattern '^sha256:[0-9a-f]{64}$'",
        ),
        (Config, {**CONFIG, "config": {"Entrypoint": [1] * MANY}}, f"config.Entrypoint.0: {TEXT}"),
        (Config, {**CONFIG, "config": {"Cmd": ["a", *[1] * MANY]}}, f"config.Cmd.1: {TEXT}"),
        (Config, {**CONFIG, "config": {"Env": [None] * MANY}}, f"config.Env.0: {TEXT}"),
        (
            Index,
            {"manifests": [{**BLOB, "annotations": dict.fromkeys(map(str, range(MANY)), 1)}]},
            f"manifests.0.annotations.0: {TEXT}",
        ),
    ],
)
def test_of_many_wrong_elements_only_the_first_is_looked_at(
    form: type[BaseModel], fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(ImageError) as caught:
        parse(json.dumps(fields).encode(), form, "it")
    assert str(caught.value) == f"it is malformed: {said}"
    cause = caught.value.__cause__
    assert isinstance(cause, ValidationError)
    assert cause.error_count() == 1


def test_elements_that_are_right_are_all_kept() -> None:
    blob = {**BLOB, "annotations": {"a": "b", "c": "d"}}
    found = parse(json.dumps({"manifests": [blob] * MANY}).encode(), Index, "it")
    assert len(found.manifests) == MANY
    assert found.manifests[-1].annotations == {"a": "b", "c": "d"}
