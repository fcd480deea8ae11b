"""A real kernel module whose loading never ends, with interrupts off."""

from __future__ import annotations

import io
import lzma
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

MODULE = "kernel/fs/nls/nls_utf8.ko"
_CLI_AND_JUMP_TO_ITSELF = b"\xfa\xeb\xfe"
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
_CALL = b"\xe8"
_SIGNED = b"~Module signature appended~\n"
_RELOCATION = 24
"""Size of an Elf64_Rela, whose type is the lower half of its second word (elf(5))."""


def spinning(modules: Path) -> bytes:
    """Return a module of the kernel whose tree is ``modules``, changed to take its processor.

    The tracer's call at the function's begin stays, since the kernel looks for it, and the
    relocation of what is overwritten becomes none. What is signed is refused once it was changed,
    what is not is taken.
    """
    [file] = modules.glob(f"{MODULE}*")
    module = lzma.decompress(file.read_bytes()) if file.suffix == ".xz" else file.read_bytes()
    changed = bytearray(_unsigned(module))
    elf = ELFFile(io.BytesIO(module))
    symbols = elf.get_section_by_name(".symtab")
    assert isinstance(symbols, SymbolTableSection)
    [init] = symbols.get_symbol_by_name("init_module") or []
    section = elf.get_section(init["st_shndx"])
    code = section.data()[init["st_value"] :]
    at = len(_ENDBR64) if code.startswith(_ENDBR64) else 0
    at += 5 if code[at : at + 1] == _CALL else 0
    begin = section["sh_offset"] + init["st_value"] + at
    changed[begin : begin + len(_CLI_AND_JUMP_TO_ITSELF)] = _CLI_AND_JUMP_TO_ITSELF
    relocations = elf.get_section_by_name(f".rela{section.name}")
    assert isinstance(relocations, RelocationSection)
    for number, relocation in enumerate(relocations.iter_relocations()):
        reach = relocation["r_offset"] - init["st_value"] - at
        if -4 < reach < len(_CLI_AND_JUMP_TO_ITSELF):
            place = relocations["sh_offset"] + number * _RELOCATION + 8
            changed[place : place + 4] = bytes(4)
    return bytes(changed)


def _unsigned(module: bytes) -> bytes:
    if not module.endswith(_SIGNED):
        return module
    body = module[: -len(_SIGNED)]
    # struct module_signature: twelve bytes, the last four the signature's length, big endian.
    return body[: -12 - int.from_bytes(body[-4:], "big")]
