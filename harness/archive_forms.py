"""What an archive's manifest looks like: outside data, so nothing of it is believed.

Only the first wrong element is looked for, since only the first is told.
"""

from __future__ import annotations

from itertools import islice, takewhile
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, model_validator

from harness.store import KEY, RECORD

_DEPTH = 64
"""Directories in each other; trees are removed by recursion."""
_PATH = 512
"""Letters: at four bytes each half of what Linux takes, for the store itself lies somewhere."""
_NAME = 255
"""Bytes, as Linux has it."""


def _relative(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or str(path) != text or text in (".", RECORD):
        raise ValueError(f"{text!r} does not stay inside its entry")
    if len(path.parts) > _DEPTH:
        raise ValueError(f"{text!r} lies more than {_DEPTH} directories deep")
    return _possible(text)


def _possible(text: str) -> str:
    if "\0" in text or any(len(part.encode()) > _NAME for part in text.split("/")):
        raise ValueError(f"no file system can hold the name {text!r}")
    return text


_Inside = Annotated[str, Field(min_length=1, max_length=_PATH), AfterValidator(_relative)]
_Target = Annotated[str, Field(min_length=1, max_length=_PATH), AfterValidator(_possible)]
_LINKED = {"kernels": "lib/modules", "tools": "root"}
"""Below what links may lie, by kind: elsewhere this machine itself reads by names it knows."""
_Mode = Annotated[int, Field(ge=0, le=0o777)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _one_unknown(cls, data: Any) -> Any:
        """Leave only the first unknown key: an error for each of a million takes a gigabyte."""
        if not isinstance(data, dict):
            return data
        unknown = islice((key for key in data if key not in cls.model_fields), 1)
        kept = (*(key for key in cls.model_fields if key in data), *unknown)
        return {key: data[key] for key in kept}


class DirectoryForm(_Form):
    """A directory of an entry; each one is listed after the one that it lies in."""

    path: _Inside
    mode: _Mode


class FileForm(_Form):
    """A file of an entry; its content is the archive's member of that sha256."""

    path: _Inside
    mode: _Mode
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class LinkForm(_Form):
    """A symbolic link of an entry; whoever follows it, this machine too, stays in the entry."""

    path: _Inside
    target: _Target

    @model_validator(mode="after")
    def _contained(self) -> Self:
        """Let ``..`` only begin a target: after another link it would not mean what it says."""
        target = PurePosixPath(self.target)
        up = len(list(takewhile("..".__eq__, target.parts)))
        depth = len(PurePosixPath(self.path).parent.parts)
        if target.is_absolute() or up > depth or ".." in target.parts[up:]:
            raise ValueError(f"{self.path!r} links to {self.target!r}, outside of its entry")
        return self


class EntryForm(_Form):
    """One entry of the store."""

    kind: Literal["kernels", "tools", "layouts", "disks"]
    key: Annotated[str, Field(pattern=KEY)]
    label: str
    directories: Annotated[tuple[DirectoryForm, ...], FailFast()] = ()
    files: Annotated[tuple[FileForm, ...], FailFast()] = ()
    links: Annotated[tuple[LinkForm, ...], FailFast()] = ()

    @model_validator(mode="after")
    def _tree(self) -> Self:
        """Refuse a path that is there twice, or lies in what is no directory of the entry."""
        directories = {"."}
        seen: set[str] = set()
        members: tuple[DirectoryForm | FileForm | LinkForm, ...]
        members = (*self.directories, *self.files, *self.links)
        for member in members:
            if member.path in seen:
                raise ValueError(f"{member.path!r} is there twice")
            if str(PurePosixPath(member.path).parent) not in directories:
                raise ValueError(f"{member.path!r} lies in no directory of its entry")
            seen.add(member.path)
            if isinstance(member, DirectoryForm):
                directories.add(member.path)
        return self

    @model_validator(mode="after")
    def _links(self) -> Self:
        """Refuse a link that lies where a file is expected."""
        where = _LINKED.get(self.kind)
        for link in self.links:
            if where is None or PurePosixPath(where) not in PurePosixPath(link.path).parents:
                raise ValueError(f"{link.path!r} is a link, which {self.kind} do not have there")
        return self


class Manifest(_Form):
    """What an archive holds."""

    format: Literal[1]
    made: float
    entries: Annotated[tuple[EntryForm, ...], FailFast()]
