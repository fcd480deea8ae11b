from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observations import failure, observation, redis_broken, schema, step, unavailable

from harness.errors import StoreError
from harness.model.observations import OBSERVATION_SCHEMA, Observation
from harness.results.codec import decode, encode, observation_schema, schema_of
from harness.results.meta import RunMeta


@pytest.mark.parametrize(
    "cell",
    [
        observation(),
        observation(failures=(failure(), failure("bpf", 321, operation="BPF_MAP_CREATE"))),
        redis_broken(),
        unavailable("5.10", "mirror is down"),
    ],
    ids=lambda cell: cell.verdict.value,
)
def test_what_was_written_is_read_back_and_fits_the_schema(cell: Observation) -> None:
    data = encode(cell)
    assert decode(Observation, data) == cell
    jsonschema.Draft202012Validator(schema("observation")).validate(json.loads(data))


def test_the_committed_schemas_are_current() -> None:
    assert schema("observation") == observation_schema()
    assert schema("run") == schema_of(RunMeta)


def test_the_schemas_are_schemas_and_name_their_version() -> None:
    jsonschema.Draft202012Validator.check_schema(observation_schema())
    jsonschema.Draft202012Validator.check_schema(schema_of(RunMeta))
    assert observation_schema()["properties"]["schema"] == {"const": OBSERVATION_SCHEMA}


def test_the_schema_describes_fields_with_their_docstrings() -> None:
    described = observation_schema()["$defs"]["Failure"]["properties"]["reached"]
    assert described["description"].startswith("Whether the call reached the kernel")


def test_a_file_that_lacks_a_field_does_not_fit_the_schema() -> None:
    plain = json.loads(encode(observation()))
    del plain["verdict"]
    with pytest.raises(jsonschema.ValidationError, match="verdict"):
        jsonschema.Draft202012Validator(observation_schema()).validate(plain)


def test_text_that_is_no_unicode_costs_a_byte_and_not_the_observation() -> None:
    read = decode(Observation, encode(observation(steps=(step(stdout="a\udc80b"),))))
    assert read.steps[0].stdout == "a\\udc80b"
    assert read.environment is not None


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters()), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_output_can_be_written_and_what_is_text_comes_back(any_text: str, text: str) -> None:
    cell = observation(steps=(step(stdout=any_text, stderr=text),))
    assert decode(Observation, encode(cell)).steps[0].stderr == text


def test_arguments_of_64_bits_come_back_exactly() -> None:
    cell = observation(failures=(failure(arguments=(2**64 - 100,)),))
    assert decode(Observation, encode(cell)) == cell


def test_fields_of_later_versions_are_ignored() -> None:
    plain = json.loads(encode(observation()))
    assert decode(Observation, json.dumps(plain | {"novelty": 1}).encode()) == observation()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b'{"id": "a', "not JSON"),
        (b"[]", "not Observation's JSON"),
        (b"{}", "not Observation's JSON: id: Field required"),
        (encode(replace(observation(), schema=99)), "written by a newer harness .schema 99"),
    ],
)
def test_what_is_no_observation_is_refused_in_one_line(data: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words) as caught:
        decode(Observation, data)
    assert "\n" not in str(caught.value)


def test_pydantic_is_not_imported_before_something_is_read_or_written() -> None:
    code = (
        "import sys, harness.results.runs, harness.report.matrix; print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
