"""Every reader of outside data, against noise and against good input that was damaged."""

from __future__ import annotations

from contextlib import suppress

import pytest
from fuzz.targets import TARGETS
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError

EXAMPLES = 40
PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([b"\n", b"\0", b"\xff", b"\x85", b"-1", b"9" * 30, b"&a *a", b"[[", b"null"]),
)


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Draw a seed with a few of its stretches replaced."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 12))] = draw(PIECES)
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_bad_input_is_an_error_of_the_projects_own(name: str) -> None:
    target = TARGETS[name]
    source = st.binary(max_size=300)
    if target.seeds:
        source = st.one_of(source, damaged(target.seeds))

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(source)
    def read(data: bytes) -> None:
        with suppress(HarnessError):
            target.read(data)

    read()


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.seeds])
def test_the_good_input_to_begin_from_is_taken(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].read(seed)
