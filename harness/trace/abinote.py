"""Which Linux an ELF file asks for: its NT_GNU_ABI_TAG note (elf(5), gABI's note section)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEAD = 8192
"""Bytes of a file in which linkers put the note: it is of the first segment."""

_SEGMENTS = 64
"""Linkers write a dozen. A file that says more, each full of notes, would keep its reader busy."""

_PT_NOTE = 4
_NT_GNU_ABI_TAG = 1
_LINUX = 0

Version = tuple[int, int, int]


def asked_for(head: bytes) -> Version | None:
    """Return the oldest Linux that a file's note allows; None when it has no such note."""
    try:
        for name, kind, content in _notes(head):
            if (name, kind) == (b"GNU\0", _NT_GNU_ABI_TAG) and len(content) >= 16:
                system, *version = struct.unpack_from("<4I", content)
                if system == _LINUX:
                    return version[0], version[1], version[2]
    except (struct.error, OverflowError, ValueError):  # cut off, or its offsets are nonsense
        return None
    return None


def _notes(head: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    for start, size in _note_segments(head):
        place, end = start, min(start + size, len(head))
        while place < end:
            name_size, size_of_content, kind = struct.unpack_from("<3I", head, place)
            name = place + 12
            content = name + _aligned(name_size)
            yield head[name : name + name_size], kind, head[content : content + size_of_content]
            place = content + _aligned(size_of_content)


def _note_segments(head: bytes) -> Iterator[tuple[int, int]]:
    """Yield offset and size of each PT_NOTE, of a 64-bit or a 32-bit little-endian file."""
    if not head.startswith(b"\x7fELF") or len(head) < 52:
        return
    wide = head[4] == 2
    (table,) = struct.unpack_from("<Q" if wide else "<I", head, 32 if wide else 28)
    entry, count = struct.unpack_from("<2H", head, 54 if wide else 42)
    for place in range(table, table + entry * min(count, _SEGMENTS), entry):
        if wide:
            kind, _, offset, _, _, size = struct.unpack_from("<2I4Q", head, place)
        else:
            kind, offset, _, _, size = struct.unpack_from("<5I", head, place)
        if kind == _PT_NOTE:
            yield offset, size


def _aligned(size: int) -> int:
    return -(-size // 4) * 4
