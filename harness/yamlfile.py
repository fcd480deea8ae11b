"""The one way in which YAML is read: safe, bounded, and with the line of every key.

YAML 1.2 (ruamel.yaml) is read down to its nodes only; no tag ever constructs a Python object.
Keys are taken as they are written, so that a kernel called ``5.10`` need not be quoted, and
numbers remember their text for the same reason (:data:`harness.yamlvalues.Text`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from harness.errors import ConfigError
from harness.yamlvalues import (
    Key,
    SourceFloat,
    SourceInt,
    Text,
    did_you_mean,
    dotted,
    problems,
    source_text,
)

__all__ = [
    "Document",
    "Text",
    "did_you_mean",
    "dotted",
    "load",
    "parse",
    "parse_all",
    "source_text",
    "validate",
]

MAX_BYTES = 16 << 20
"""A larger file is refused before it is read."""

MAX_NODES = 200_000
"""Aliases can make a small file mean an enormous one; expansion stops here."""

MAX_DEPTH = 100

KEPT = 1 << 20
"""Characters of a text whose nodes are kept: a process reads the catalogs, locks and causes again
and again, and to scan them takes longer than all else that is done with them. Scenarios are read
once, and there may be thousands of them."""

_PROBLEMS_SHOWN = 10
_LONE = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file's content as plain dicts, lists and scalars, and where each part of it is."""

    path: Path
    data: Any
    lines: Mapping[tuple[Key, ...], int] = field(repr=False)

    def line_of(self, *keys: Key) -> int:
        """Return the line of the entry at ``keys``, or of the nearest one above it that exists."""
        for length in range(len(keys), 0, -1):
            line = self.lines.get(keys[:length])
            if line is not None:
                return line
        return self.lines.get((), 1)

    def error(self, keys: tuple[Key, ...], problem: str) -> ConfigError:
        """Return the error for the entry at ``keys``, to be raised."""
        named = f"{dotted(keys)}: {problem}" if keys else problem
        return ConfigError(self.path, self.line_of(*keys), named)


def load(path: Path, *, once: bool = False) -> Document:
    """Read a YAML file that holds one document; ``once``: nothing of it is kept for the next time.

    Raises:
        ConfigError: it cannot be read, is not YAML, holds a duplicate key or text that UTF-8
            cannot hold, or is too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(path, None, f"larger than {MAX_BYTES >> 20} MiB")
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(path, None, f"cannot be read: {error.strerror}") from error
    return parse(raw, path, once=once)


def parse(raw: bytes, path: Path, *, once: bool = False) -> Document:
    """Like :func:`load`, of bytes already read; ``path`` is for the messages.

    Raises:
        ConfigError: as for :func:`load`.
    """
    text = _decoded(raw, path)
    with _blaming(path, text):
        root = (_composed.__wrapped__ if once or len(text) > KEPT else _composed)(text)
        return _Reader(path).document(root)


def parse_all(raw: bytes, path: Path) -> Iterator[Document]:
    """Yield each document of bytes that may hold several, with its lines in all of them.

    Raises:
        ConfigError: as for :func:`load`, once the documents before the wrong one are yielded.
    """
    text = _decoded(raw, path)
    reader = _Reader(path)
    with _blaming(path, text):
        for root in _yaml().compose_all(text):
            yield reader.document(root)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    # An anchor may be used again, an alias means the last one before it (YAML 1.2, 3.2.2.2).
    yaml.composer.warn_double_anchors = False
    return yaml


def _decoded(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, line, "not UTF-8 text") from error


@contextmanager
def _blaming(path: Path, text: str) -> Iterator[None]:
    """Raise what the block's reading trips over as an error of the file."""
    try:
        yield
    except YAMLError as error:
        raise _syntax_error(path, text, error) from error
    except RecursionError as error:
        raise ConfigError(path, None, "nested too deeply") from error
    # The scanner trips over some malformed input with errors of its own making.
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError) as error:
        raise ConfigError(path, None, f"not valid YAML: {error}") from error


@lru_cache(maxsize=32)
def _composed(text: str) -> Node | None:
    root: Node | None = _yaml().compose(text)
    return root


def validate(document: Document, model: type[Model]) -> Model:
    """Return the document's data as ``model``.

    Raises:
        ConfigError: it does not fit; every problem has its file, line and key, what was
            expected, and for an unknown key the one that was probably meant.
    """
    data = {} if document.data is None else document.data
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = sorted(
            problems(data, model, error), key=lambda problem: document.line_of(*problem[0])
        )
    first, *others = (document.error(keys, told()) for keys, told in found[:_PROBLEMS_SHOWN])
    text = first.problem + "".join(f"\n{other}" for other in others)
    if len(found) > _PROBLEMS_SHOWN:
        text += f"\n... and {len(found) - _PROBLEMS_SHOWN} more"
    raise ConfigError(document.path, first.line, text)


class _Reader:
    """Turns nodes into plain data and notes the line of each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[tuple[Key, ...], int] = {}
        self._count = 0

    def document(self, root: Node | None) -> Document:
        """Return what is below ``root``; the limit of values holds for all documents together."""
        self.lines = {}
        data = self.value(root, ()) if root is not None else None
        return Document(self.path, data, self.lines)

    def value(self, node: Node, keys: tuple[Key, ...]) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(keys, line)
        self._count += 1
        if self._count > MAX_NODES:
            raise ConfigError(self.path, line, f"more than {MAX_NODES} values (aliases expanded)")
        if len(keys) > MAX_DEPTH:
            raise ConfigError(self.path, line, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(node, MappingNode):
            return self._mapping(node, keys)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*keys, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: MappingNode, keys: tuple[Key, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        extras: list[dict[str, Any]] = []
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                raise ConfigError(self.path, line, "a key must be plain text")
            key = self._text(key_node)
            if key in seen:
                problem = f"duplicate key {key!r}: it is already on line {seen[key]}"
                raise ConfigError(self.path, line, problem)
            seen[key] = line
            if _is(key_node, "merge"):
                extras += self._merged(value_node, keys)
                continue
            self.lines[(*keys, key)] = line
            data[key] = self.value(value_node, (*keys, key))
        whole: dict[str, Any] = {}
        for extra in (*reversed(extras), data):  # of several values the first mapping's stands
            whole.update(extra)
        return whole

    def _merged(self, node: Node, keys: tuple[Key, ...]) -> Iterator[dict[str, Any]]:
        for part in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(part, MappingNode):
                line = part.start_mark.line + 1
                raise ConfigError(self.path, line, "'<<' takes a mapping or a list of mappings")
            self._count += 1
            if len(keys) > MAX_DEPTH or self._count > MAX_NODES:
                raise ConfigError(self.path, part.start_mark.line + 1, "'<<' is nested too deeply")
            yield self._mapping(part, keys)

    def _text(self, node: Node) -> str:
        text = str(node.value)
        if text.isascii():
            return text
        lone = _LONE.search(text)
        if lone:
            problem = f"text that UTF-8 cannot hold: {lone[0]!a} is half a character"
            raise ConfigError(self.path, node.start_mark.line + 1, problem)
        return text.encode("utf-16", "surrogatepass").decode("utf-16")  # JSON writes both halves

    def _scalar(self, node: Node) -> Any:
        text = self._text(node)
        if _is(node, "null"):
            return None
        if _is(node, "bool"):
            return text.lower() in ("true", "yes", "on")
        number: SourceInt | SourceFloat
        try:
            if _is(node, "int"):
                number = SourceInt(_whole(text))
            elif _is(node, "float"):
                number = SourceFloat(
                    text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan")
                )
            else:
                return text
        except ValueError:
            return text
        number.text = text
        return number


def _is(node: Node, kind: str) -> bool:
    return str(node.tag) == f"tag:yaml.org,2002:{kind}"


def _whole(text: str) -> int:
    """YAML 1.2: 0x and 0o have their base, a leading zero has no meaning."""
    digits = text.lower().replace("_", "")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits.lstrip("+-")[:2], 10)
    return int(digits, base)


def _syntax_error(path: Path, text: str, error: YAMLError) -> ConfigError:
    if not isinstance(error, MarkedYAMLError):
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else None
        said = str(getattr(error, "reason", "")) or str(error).splitlines()[0]
        return ConfigError(path, line, f"not valid YAML: {said}")
    mark = error.problem_mark or error.context_mark
    said = " ".join(part for part in (error.problem, error.context) if part)
    return ConfigError(path, mark.line + 1 if mark else None, f"not valid YAML: {said}")
