"""Plain data to JSON and back, and the JSON schema that describes it.

pydantic is imported when something is really read or written: it takes half a second, which
a session without a cell must not pay.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar, cast

from harness.errors import StoreError
from harness.model.observations import Observation

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def encode(value: object, *, defaults: bool = True) -> bytes:
    """Return the JSON of one of ``model``'s dataclasses, indented, in UTF-8.

    Without ``defaults`` fields that have their default are left out, so that the text stays the
    same when a class gets a new field.

    Text that UTF-8 cannot hold (a lone surrogate, left by an output that was no text) is
    written as a backslash escape: an observation is never lost for one byte of it.
    """
    from pydantic_core import PydanticSerializationError, to_json

    kind: Any = type(value)
    adapter = _adapter(kind)
    try:
        return adapter.dump_json(value, indent=1, exclude_defaults=not defaults) + b"\n"
    except (PydanticSerializationError, UnicodeEncodeError):
        plain = adapter.dump_python(value, exclude_defaults=not defaults)
        return to_json(_encodable(plain), indent=1) + b"\n"


def decode(kind: type[T], data: bytes) -> T:
    """Return what :func:`encode` made of a ``kind``. Fields that it does not know are ignored.

    Raises:
        StoreError: it is no such JSON, or of a newer schema; the text is one line without a
            file's name, which the caller knows.
    """
    from pydantic import ValidationError
    from pydantic_core import from_json

    try:
        plain = from_json(data)
    except ValueError as error:
        raise StoreError(f"not JSON: {error}") from error
    newest = _newest_schema(kind)
    found = plain.get("schema", newest) if isinstance(plain, dict) else newest
    if isinstance(found, int) and isinstance(newest, int) and found > newest:
        raise StoreError(
            f"written by a newer harness (schema {found}, this one reads up to {newest}): "
            "upgrade pytest-kernels to read it"
        )
    wanted: Any = kind
    try:
        return cast(T, _adapter(wanted).validate_python(plain))
    except ValidationError as error:
        raise StoreError(f"not {kind.__name__}'s JSON: {_first(error)}") from error


def observation_schema() -> dict[str, Any]:
    """Return the JSON schema of one cell's file."""
    return schema_of(Observation)


def schema_of(kind: type) -> dict[str, Any]:
    """Return the JSON schema of what :func:`encode` writes of a ``kind``.

    Titles that only repeat a key are left out; the docstrings below fields become descriptions.
    """
    schema = _adapter(kind).json_schema(mode="serialization")
    definitions = schema.get("$defs", {})
    for name, definition in [(kind.__name__, schema), *definitions.items()]:
        definition.pop("title", None)
        notes = _field_notes(getattr(sys.modules[kind.__module__], name, None))
        for key, field in definition.get("properties", {}).items():
            field.pop("title", None)
            if key in notes:
                field["description"] = notes[key]
    newest = _newest_schema(kind)
    if newest is not None:
        schema["properties"]["schema"] = {"const": newest}
    return {"$schema": DIALECT, "title": kind.__name__, **schema}


# A memo of a pure function: building an adapter takes milliseconds, and every cell needs one.
@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _newest_schema(kind: type) -> int | None:
    fields = {field.name: field for field in dataclasses.fields(cast(Any, kind))}
    return cast(int, fields["schema"].default) if "schema" in fields else None


def _encodable(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]


def _field_notes(kind: type | None) -> dict[str, str]:
    """Return the docstrings that stand below a dataclass's fields, by field."""
    if kind is None or not dataclasses.is_dataclass(kind):
        return {}
    body = cast(ast.ClassDef, ast.parse(inspect.getsource(kind)).body[0]).body
    notes = {}
    for field, below in pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            notes[field.target.id] = inspect.cleandoc(str(below.value.value))
    return notes
