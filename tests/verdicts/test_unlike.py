from __future__ import annotations

from typing import Any

import pytest
from observations import environment, observation

from harness.model.hosts import Accelerator, Engine
from harness.verdicts.unlike import Asked, unlike


def test_what_is_asked_for_is_not_unlike() -> None:
    before, after = observation("latest"), observation("5.10")
    assert not unlike(before, after, Asked.KERNEL).sentences
    newer = environment("5.10", release="5.10.0-36-cloud-amd64", image_digest="sha256:" + "b" * 64)
    assert not unlike(after, observation("5.10", environment=newer), Asked.TIME).sentences


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"engine": Engine.DOCKER}, "engine: podman before, docker after"),
        ({"cpu": "Nehalem"}, "CPU model: Haswell-noTSX,-pcid before, Nehalem after"),
        ({"runtime": "runc 1.1"}, "runtime: crun version 1.21 before, runc 1.1 after"),
        ({"image_digest": "sha256:" + "b" * 64}, "image digest: sha256:aaaaaaaaaaaa before"),
        ({"drill": "3.10"}, "drill: none before, 3.10 after"),
    ],
)
def test_everything_else_is_said_and_does_not_refuse(other: dict[str, Any], said: str) -> None:
    after = observation("5.10", environment=environment("5.10", **other))
    found = unlike(observation("5.10"), after, Asked.KERNEL)
    assert [text for text in found.sentences if text.startswith(said)]
    assert not found.refused


def test_two_kernels_are_unlike_where_images_are_compared() -> None:
    found = unlike(observation("latest"), observation("5.10"), Asked.IMAGE)
    assert found.sentences[0] == "kernel: latest before, 5.10 after"


def test_another_text_or_accelerator_refuses() -> None:
    other = observation(scenario_digest="e" * 32)
    assert unlike(observation(), other, Asked.TIME).worthless == (
        "the scenario's text is not the same on both sides",
    )
    kvm = observation(environment=environment(accelerator=Accelerator.KVM))
    assert unlike(observation(), kvm, Asked.TIME).worthless == (
        "accelerator: tcg before, kvm after",
    )
    assert unlike(observation(), kvm, Asked.TIME).refused


def test_a_cell_that_never_ran_is_compared_by_its_text_alone() -> None:
    assert not unlike(observation(environment=None), observation(), Asked.TIME).sentences
