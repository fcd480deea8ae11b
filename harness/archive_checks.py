"""What an entry of an archive must hold, by its kind: the files that this machine itself reads.

What tells which content is meant is held against the files, as far as they tell it. That a kernel
or an image is the one that its key stands for they do not: keys are made from packages and
registries' manifests, which do not travel.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness import oci_forms
from harness.archive_forms import EntryForm, FileForm
from harness.errors import ImageError, VerificationError
from harness.images.prepare import DISK, FACTS, INDEX
from harness.kernels import layout

_LIMIT = 1 << 16
"""Bytes of a file of facts; none has a hundredth of it."""
_QCOW2 = struct.Struct(">4sIQ56xQ")
"""How a qcow2 begins: magic, version, where a backing file's name is, incompatible features, which
version 2 has not (QEMU: docs/interop/qcow2.rst)."""
_EXTERNAL = 1 << 2
"""The feature that the content is in another file."""

_Facts = TypeVar("_Facts", bound=BaseModel)


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _LayoutFacts(_Form):
    digest: oci_forms.Digest


class _DiskFacts(_Form):
    slot: Annotated[int, Field(gt=0)]


def check(form: EntryForm, contents: Path) -> None:
    """Look at an entry whose files lie in ``contents``, each named by its sha256.

    Raises:
        VerificationError: a file is missing, is not what it must be, or contradicts the others.
    """
    if looks := _CHECKS.get(form.kind):
        looks(_Files(form, contents))


class _Files:
    def __init__(self, form: EntryForm, contents: Path) -> None:
        self.form = form
        self.by_path = {file.path: file for file in form.files}
        self._contents = contents

    def error(self, text: str) -> VerificationError:
        return VerificationError(f"{self.form.kind}/{self.form.key} of the archive {text}")

    def get(self, path: str) -> FileForm:
        if path not in self.by_path:
            raise self.error(f"has no file {path}")
        return self.by_path[path]

    def head(self, path: str) -> bytes:
        with (self._contents / self.get(path).sha256).open("rb") as file:
            return file.read(_LIMIT)

    def facts(self, model: type[_Facts]) -> _Facts:
        try:
            return model.model_validate_json(self.head(FACTS))
        except ValidationError as error:
            raise self.error(f"has a malformed {FACTS}") from error


def _kernel(files: _Files) -> None:
    files.get(layout.VMLINUZ)
    sums = {path: file.sha256 for path, file in files.by_path.items() if path != layout.DIGEST}
    if files.head(layout.DIGEST) != layout.digest_of_sums(sums).encode():
        raise files.error("does not have the digest that it says it has")


def _layout(files: _Files) -> None:
    said = files.facts(_LayoutFacts).digest
    try:
        index = oci_forms.parse(files.head(INDEX), oci_forms.Index, INDEX)
    except ImageError as error:
        raise files.error(f"is no image: {error}") from error
    own = [each.digest for each in index.manifests]
    # What was pulled may be one of an index's images, or converted: the store has neither.
    pulled = files.form.key.startswith("sha256-")
    unknown = pulled and files.form.key.replace("-", ":", 1) not in own
    if own != [said] and not unknown:
        raise files.error(f"is not the image {said} that it says it is")


def _disk(files: _Files) -> None:
    files.facts(_DiskFacts)
    head = files.head(DISK).ljust(_QCOW2.size, b"\0")
    magic, version, backing, features = _QCOW2.unpack_from(head)
    if magic != b"QFI\xfb":
        raise files.error(f"has a {DISK} of another format")
    if backing or (version > 2 and features & _EXTERNAL):
        raise files.error(f"has a {DISK} that takes its content from another file")


_CHECKS: dict[str, Callable[[_Files], None]] = {
    "kernels": _kernel,
    "layouts": _layout,
    "disks": _disk,
}
