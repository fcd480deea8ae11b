"""The layers of a layout: decompressed under limits, and made ready for a guest.

Only compression is undone here; what a layer's tar says is for a guest to read.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import zstandard

from harness.errors import ImageError
from harness.oci_forms import LAYER
from harness.oci_layout import Layer, Layout, blob_path, small_files
from harness.oci_limits import Limits, remedy

_CHUNK = 1 << 20
_ZSTD_WINDOW = 128 << 20
"""Bytes; what the image tools of this world write stays at 8 MiB or below."""


class Sink(Protocol):
    """Where :func:`uncompressed` writes to."""

    def write(self, data: bytes, /) -> int:
        """Write ``data``."""


class _Hashing:
    """A file that remembers the sha256 of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data


@contextmanager
def _decompressed(layer: Layer, file: _Hashing) -> Iterator[Any]:
    kind = layer.media_type
    if kind.endswith((".tar.gzip", "+gzip")):
        with gzip.GzipFile(fileobj=file, mode="rb") as reader:  # type: ignore[call-overload]
            yield reader
    elif kind.endswith((".tar.zstd", "+zstd")):
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        yield decompressor.stream_reader(file, read_across_frames=True)  # type: ignore[arg-type]
    elif kind.endswith(".tar"):
        yield file
    else:
        raise ImageError(f"layers of the type {kind or '(none)'} are not supported")


def uncompressed(layout: Layout, layer: Layer, sink: Sink, *, limit: int) -> int:
    """Write a layer's tar to ``sink`` and return its size, which is at most ``limit`` bytes.

    Only the compression is undone: what the tar says is a guest's to read.

    Raises:
        ImageError: the blob or the tar is not what the manifest or the config promises, or it
            passes ``limit``; what was written until then is worthless.
    """
    what = f"image {layout.name}: layer {layer.number} ({layer.digest})"
    size = 0
    plain = hashlib.sha256()
    with blob_path(layout.root, layer.digest).open("rb") as raw:
        file = _Hashing(raw)
        try:
            with _decompressed(layer, file) as reader:
                while data := reader.read(_CHUNK):
                    size += len(data)
                    if size > limit:
                        raise ImageError(
                            f"its tar passes the {limit} bytes that are left of the image's "
                            f"limit: {remedy('unpacked')}"
                        )
                    plain.update(data)
                    sink.write(data)
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
            raise ImageError(f"{what} is corrupt: {error}") from error
        except ImageError as error:
            raise ImageError(f"{what}: {error}") from error
        while file.read(_CHUNK):
            pass
    if f"sha256:{file.sha256.hexdigest()}" != layer.digest:
        raise ImageError(f"{what} is corrupt: its sha256 is {file.sha256.hexdigest()}")
    if f"sha256:{plain.hexdigest()}" != layer.diff_id:
        raise ImageError(f"{what} is corrupt: its tar is not {layer.diff_id} as the config says")
    return size


def write_transfer(layout: Layout, target: Path, *, limits: Limits) -> int:
    """Write a tar of the layout with plain layers, for a guest; return the layers' bytes.

    Uncompressed, a layer of any compression is one that every umoci takes, and gunzip under
    emulation costs more than reading the bytes.

    Raises:
        ImageError: as for :func:`uncompressed`.
    """
    layers, left = [], limits.unpacked
    with target.open("wb") as out:
        for layer in layout.layers:
            start = out.tell()
            out.write(bytes(tarfile.BLOCKSIZE))
            size = uncompressed(layout, layer, out, limit=left)
            left -= size
            _pad(out, size)
            end = out.tell()
            out.seek(start)
            out.write(_header(blob_path(Path(), layer.diff_id), size))
            out.seek(end)
            layers.append({"mediaType": LAYER, "digest": layer.diff_id, "size": size})
        config = blob_path(layout.root, layout.config_digest).read_bytes()
        for path, data in small_files(config, layers).items():
            out.write(_header(path, len(data)))
            out.write(data)
            _pad(out, len(data))
        out.write(bytes(2 * tarfile.BLOCKSIZE))
    return limits.unpacked - left


def _header(path: Path, size: int) -> bytes:
    entry = tarfile.TarInfo(str(path))
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


def _pad(out: IO[bytes], size: int) -> None:
    out.write(bytes(-size % tarfile.BLOCKSIZE))
