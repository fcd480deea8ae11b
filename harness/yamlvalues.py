"""Values read from YAML, and what is said when they do not fit a pydantic model."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Key = str | int

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "dataclass_type": "a mapping (key: value)",
    "none_required": "nothing",
}


class SourceInt(int):
    """A whole number that remembers how it was written."""

    text: str


class SourceFloat(float):
    """A number with a fraction that remembers how it was written."""

    text: str


def source_text(value: object) -> object:
    """Give a number back as it was written: ``5.10`` stays ``5.10``."""
    return value.text if isinstance(value, SourceInt | SourceFloat) else value


Text = Annotated[str, BeforeValidator(source_text, json_schema_input_type=str | int | float)]
"""For a model's field that is text though it may look like a number (a version, say)."""


def quoted(value: object) -> object:
    """Return plain data to be written as YAML, with what does not print in double quotes.

    YAML can escape it there. Anywhere else NEL (U+0085) is folded as a line's end (YAML 1.1,
    b-next-line), and lone surrogates cannot be written at all.
    """
    if isinstance(value, dict):
        return {quoted(key): quoted(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [quoted(each) for each in value]
    if isinstance(value, str) and not value.isprintable():
        return DoubleQuotedScalarString(value)
    return value


def dotted(keys: tuple[Key, ...]) -> str:
    """Return ``keys`` as people write them: ``scenarios.copy.steps[0].run``."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{key}" if text else key
    return text


def did_you_mean(word: str, known: list[str]) -> str:
    """Return a remark that names what was probably meant, or what there is."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are: {', '.join(sorted(known))}" if known else ""


_LIMITS = {
    "too_short": "at least {min_length} entry",
    "string_too_short": "at least {min_length} character",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}


def problems(
    data: object, model: type[BaseModel], error: ValidationError
) -> Iterator[tuple[tuple[Key, ...], Callable[[], str]]]:
    """Yield where in ``data`` something is wrong, and what tells it in this project's words.

    One problem for each place: a union's branches complain each, and are joined by "or". There may
    be a hundred thousand, of which few are told: only what is called for is put into words.
    """
    places: dict[tuple[Key, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        keys = _place(data, detail["loc"])
        if detail["type"] == "missing":
            keys = (*keys, str(detail["loc"][-1]))
        places.setdefault(keys, []).append(detail)
    above = _above(places)
    for keys, details in places.items():
        # Above another: a branch of a union that did not fit at all; the nearer problem is told.
        if keys not in above:
            yield keys, partial(_told, data, model, keys, details)


def _above(places: Iterable[tuple[Key, ...]]) -> set[tuple[Key, ...]]:
    """Return every place that one of ``places`` is inside of."""
    found: set[tuple[Key, ...]] = set()
    for keys in places:
        for length in range(len(keys) - 1, -1, -1):
            if keys[:length] in found:
                break
            found.add(keys[:length])
    return found


def _told(
    data: object, model: type[BaseModel], keys: tuple[Key, ...], details: Iterable[ErrorDetails]
) -> str:
    first, *others = dict.fromkeys(_said(model, keys, detail) for detail in details)
    text = " or ".join([first, *(said.removeprefix("expected ") for said in others)])
    if text.startswith("expected "):
        text += f", got {_shown(data, keys)}"
    return text


def _said(model: type[BaseModel], keys: tuple[Key, ...], detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        known = sorted(_keys_at(model, detail["loc"][:-1]))
        return f"unknown key; {did_you_mean(str(keys[-1]), known)}".rstrip("; ")
    if detail["type"] == "missing":
        return "is required"
    if detail["type"] in _EXPECTED:
        return f"expected {_EXPECTED[detail['type']]}"
    if detail["type"] in _LIMITS:
        return f"expected {_LIMITS[detail['type']].format(**detail['ctx'])}"
    if detail["type"] in ("literal_error", "enum"):
        return f"expected {detail['ctx']['expected']}"
    return detail["msg"].removeprefix("Value error, ")


def _place(data: object, loc: tuple[Key, ...]) -> tuple[Key, ...]:
    """Return those of pydantic's steps that are keys of the file (others name types)."""
    keys: list[Key] = []
    here: Any = data
    for step in loc:
        inside = step in here if isinstance(here, dict) else _index(here, step)
        if inside:
            here = here[step]
            keys.append(step)
    return tuple(keys)


def _index(here: object, step: Key) -> bool:
    return isinstance(here, list) and isinstance(step, int) and step < len(here)


def _shown(data: object, keys: tuple[Key, ...]) -> str:
    here: Any = data
    for key in keys:
        here = here[key]
    if here is None:
        return "nothing"
    if isinstance(here, bool):
        return "true" if here else "false"
    if isinstance(here, dict):
        return "a mapping" if here else "an empty mapping"
    if isinstance(here, list):
        return "a list" if here else "an empty list"
    text = source_text(here)
    return f"{text!r:.60}" if isinstance(here, str) else f"the number {text}"


def _keys_at(annotation: Any, loc: tuple[Key, ...]) -> set[str]:
    """Return the keys that models at ``loc`` below ``annotation`` take."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {info.alias or name: info for name, info in annotation.model_fields.items()}
        if not loc:
            return set(fields)
        found = fields.get(str(loc[0]))
        return _keys_at(found.annotation, loc[1:]) if found else set()
    arguments = get_args(annotation)
    if not arguments:
        return set()
    origin = get_origin(annotation)
    if origin is Annotated:
        return _keys_at(arguments[0], loc)
    if origin in (list, tuple, dict):
        return (
            _keys_at(arguments[-1] if origin is dict else arguments[0], loc[1:]) if loc else set()
        )
    found_keys: set[str] = set()
    for branch in arguments:
        # A union's branch has a step of its own in pydantic's path, an optional one has not.
        found_keys |= _keys_at(branch, loc) | (_keys_at(branch, loc[1:]) if loc else set())
    return found_keys
