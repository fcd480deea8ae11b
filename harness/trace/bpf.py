"""The tracer's two programs for kernels that let BPF look at every system call.

They do what the filters of raw_syscalls do, for a third of their cost: most calls neither fail nor
are armed, and these programs find that out in some twenty-five instructions, where an event is laid
out and judged first. The rest of each is a function of its own: what that keeps in registers and on
the stack is saved only when it is called. What they write comes out of trace_pipe with all other
events:

- ``x NR RESULT``: a failed call that was not armed, or that never reached the kernel;
- ``e NR A0, A1``, ``b A2, A3, A4``, ``c A5 NR RESULT``: an armed call that began and failed;
- ``e NR A0``: an armed call that ends its caller, as it begins.

They need raw tracepoints (Linux 4.17), values of maps by address (5.2), reads of kernel memory by
name (5.5) and an event for what programs print (5.9). From 6.13 on they are attached by perf events
instead, and find the caller's registers by the kernel's BTF. trace.pl loads and attaches them, and
arm.sh goes without where they cannot be had. Instructions are those of
Documentation/bpf/standardization/instruction-set.rst, helpers those of include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from harness.trace.operations import FCNTL
from harness.trace.plan import EXITS, EXITS32, FCNTL_KNOWN, FCNTL_LAST, Range

NUMBERS = 1024
"""Numbers that are looked up; every one above them is armed."""
TASKS = 32768
"""Tasks that are told apart: pid_max of a machine with few processors (kernel/pid.c)."""
OWN = 8
"""The harness's own tasks in the guest that are left out, at most."""

ARMED, FCNTL_CALL, ENDS32, ENDS = 1, 2, 3, 4
"""What a number's byte says: armed; armed but for fcntl's old commands; armed, and a 32-bit
program's call of that number never returns; armed, never returns."""

_TEXTS = {
    "plain": b"x %ld %ld\0",
    "first": b"e %ld %lx, %lx\0",
    "second": b"b %lx, %lx, %lx\0",
    "third": b"c %lx %ld %ld\0",
    "ends": b"e %ld %lx\0",
}
_OWN_AT = NUMBERS + TASKS
_TEXTS_AT = _OWN_AT + 4 * OWN
_TEXT = 16
_UNDER_WAY_AT = _TEXTS_AT + _TEXT * len(_TEXTS)
SIZE = _UNDER_WAY_AT + 8
"""Bytes of the one value of the map that both programs share: a byte for each number, a byte for
each task with an armed call under way, the own tasks, the texts, and how many calls are under way:
without any, which is nearly always, a call that succeeds need not be asked whose it is."""

# struct pt_regs of x86_64, and the code segment of 32-bit programs (arch/x86/include/asm: ptrace.h,
# segment.h).
_REGISTERS = 168
_ORIG_AX, _CS = 120, 136
_USER32_CS = 0x23
_ARGUMENTS = (112, 104, 96, 56, 72, 64)  # di, si, dx, r10, r8, r9
_ARGUMENTS32 = (40, 88, 96, 104, 112, 32)  # bx, cx, dx, si, di, bp

_GET_CURRENT_PID_TGID, _TRACE_PRINTK, _PROBE_READ_KERNEL = 14, 6, 113
_GET_CURRENT_TASK_BTF, _TASK_PT_REGS = 158, 175
_LOWEST_ERRNO = -4095
_RESTARTS = (516, 4)  # -516 to -512, include/linux/errno.h

_LOAD, _LOAD_BYTE, _LOAD_WORD = 0x79, 0x71, 0x61
_STORE, _STORE_BYTE, _STORE_ZERO, _ADD_ATOMIC = 0x7B, 0x73, 0x72, 0xDB
_MOVE, _SET, _ADD, _ADD_TO, _AND = 0xBF, 0xB7, 0x07, 0x0F, 0x57
_LEFT, _RIGHT, _RIGHT_SIGNED = 0x67, 0x77, 0xC7
_GOTO, _IF_SAME, _IF_IS, _IF_NOT, _IF_AT_MOST = 0x05, 0x1D, 0x15, 0x55, 0xB5
_IF_GREATER, _IF_LESS = 0x65, 0xC5
_CALL, _EXIT, _ADDRESS = 0x85, 0x95, 0x18
_OF_VALUE = 2  # BPF_PSEUDO_MAP_VALUE
_OF_PROGRAM = 1  # BPF_PSEUDO_CALL

_Step = tuple[int, int, int, int | str, int] | str
"""Operation, destination, source, offset or label, immediate; or a label. The functions of a
program follow each other, each from a label to an exit; a call of one has its label."""


@dataclass(frozen=True)
class _Way:
    """How a program is attached to a tracepoint, and what its context holds then."""

    result_at: int
    """Where sys_exit's context has the call's result; sys_enter's has its number at 8."""
    registers: tuple[_Step, ...]
    """Put the address of the caller's registers into register 3; the context is in register 1."""


# The context of a raw tracepoint is its arguments; TP_PROTO of include/trace/events/syscalls.h.
_RAW = _Way(result_at=8, registers=((_LOAD, 3, 1, 0, 0),))
# That of any other is the event as its format says, and has the caller's registers nowhere.
_EVENT = _Way(
    result_at=16,
    registers=(
        (_CALL, 0, 0, 0, _GET_CURRENT_TASK_BTF),
        (_MOVE, 1, 0, 0, 0),
        (_CALL, 0, 0, 0, _TASK_PT_REGS),
        (_MOVE, 3, 0, 0, 0),
    ),
)


def programs() -> dict[str, bytes]:
    """Return each way's programs; the map's descriptor is left for who loads them."""
    return {
        f"{name}_{tracepoint}": _assembled(steps(way))
        for name, way in (("raw", _RAW), ("event", _EVENT))
        for tracepoint, steps in (("sys_enter", _enter), ("sys_exit", _exit))
    }


def resident() -> Mapping[str, bytes]:
    """Return the perl program that loads and attaches them, by its path in the guest."""
    texts = b"".join(each.ljust(_TEXT, b"\0") for each in _TEXTS.values())
    settings = {
        **{name: code.hex() for name, code in programs().items()},
        "size": SIZE,
        "texts": texts.hex(),
        "texts_at": _TEXTS_AT,
        "own": _OWN_AT,
        "own_limit": OWN,
    }
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    program = (files(__package__) / "trace.pl").read_text()
    return {"etc/trace.pl": f"{program}__END__\n{words}\n".encode()}


def table(ranges: Iterable[Range]) -> str:
    """Return the numbers' bytes in hexadecimal digits; the filters would arm ``ranges``."""
    armed = flags(ranges)
    return bytes(armed.get(number, 0) for number in range(NUMBERS)).hex()


def flags(ranges: Iterable[Range]) -> Mapping[int, int]:
    """Return the bytes of the numbers that are armed; ``ranges`` are those of the filters."""
    found = {FCNTL: FCNTL_CALL}
    for low, high in ranges:
        found |= dict.fromkeys(range(low, min(high, NUMBERS - 1) + 1), ARMED)
    found |= dict.fromkeys(EXITS - EXITS32, ENDS)
    return found | {number: ENDS32 for number in EXITS32 if number in found}


def _enter(way: _Way) -> list[_Step]:
    return [
        (_LOAD, 2, 1, 8, 0),
        (_IF_AT_MOST, 2, 0, "listed", NUMBERS - 1),
        (_SET, 3, 0, 0, ARMED),
        (_GOTO, 0, 0, "call", 0),
        "listed",
        *_value(3, 0),
        (_ADD_TO, 3, 2, 0, 0),
        (_LOAD_BYTE, 3, 3, 0, 0),
        (_IF_IS, 3, 0, "return", 0),
        *_UNLESS_IT_MATTERS,
        (_MOVE, 6, 2, 0, 0),
        (_MOVE, 7, 3, 0, 0),
        (_IF_AT_MOST, 7, 0, "begins", FCNTL_CALL),
        *_registers(way),
        (_IF_IS, 7, 0, "ends", ENDS),
        (_SET, 7, 0, 0, ARMED),
        (_LOAD, 2, 10, _CS - _REGISTERS, 0),
        (_IF_NOT, 2, 0, "begins", _USER32_CS),
        "ends",
        *_arguments(),
        (_LOAD, 4, 10, _argument(0), 0),
        (_MOVE, 3, 6, 0, 0),
        *_print("ends"),
        (_GOTO, 0, 0, "out", 0),
        "begins",
        (_CALL, 0, 0, 0, _GET_CURRENT_PID_TGID),
        (_AND, 0, 0, 0, TASKS - 1),
        *_value(2, NUMBERS),
        (_ADD_TO, 2, 0, 0, 0),
        (_LOAD_BYTE, 1, 2, 0, 0),
        (_STORE_BYTE, 2, 7, 0, 0),
        (_IF_NOT, 1, 0, "out", 0),
        *_under_way(1),
        *_OUT,
    ]


def _exit(way: _Way) -> list[_Step]:
    return [
        (_LOAD, 2, 1, way.result_at, 0),
        (_IF_LESS, 2, 0, "call", 0),
        *_value(3, _UNDER_WAY_AT),
        (_LOAD, 3, 3, 0, 0),
        (_IF_IS, 3, 0, "return", 0),
        *_UNLESS_IT_MATTERS,
        (_MOVE, 6, 1, 0, 0),
        (_MOVE, 8, 2, 0, 0),
        (_CALL, 0, 0, 0, _GET_CURRENT_PID_TGID),
        (_MOVE, 9, 0, 0, 0),
        (_AND, 0, 0, 0, TASKS - 1),
        *_value(1, NUMBERS),
        (_ADD_TO, 1, 0, 0, 0),
        (_LOAD_BYTE, 7, 1, 0, 0),
        (_IF_IS, 7, 0, "judged", 0),
        (_STORE_ZERO, 1, 0, 0, 0),
        *_under_way(-1),
        "judged",
        (_IF_GREATER, 8, 0, "out", -1),
        (_IF_LESS, 8, 0, "out", _LOWEST_ERRNO),
        (_MOVE, 2, 8, 0, 0),
        (_ADD, 2, 0, 0, _RESTARTS[0]),
        (_IF_AT_MOST, 2, 0, "out", _RESTARTS[1]),
        (_LEFT, 9, 0, 0, 32),
        (_RIGHT, 9, 0, 0, 32),
        *_value(1, _OWN_AT),
        *(step for index in range(OWN) for step in _unless_own(index)),
        (_MOVE, 1, 6, 0, 0),
        *_registers(way),
        (_LOAD, 6, 10, _ORIG_AX - _REGISTERS, 0),
        (_LEFT, 6, 0, 0, 32),
        (_RIGHT_SIGNED, 6, 0, 0, 32),
        (_IF_LESS, 6, 0, "out", 0),
        (_IF_IS, 7, 0, "plain", 0),
        *_arguments(),
        (_IF_NOT, 7, 0, "armed", FCNTL_CALL),
        (_LOAD_WORD, 1, 10, _argument(1), 0),
        (_IF_AT_MOST, 1, 0, "plain", FCNTL_LAST),
        (_IF_IS, 1, 0, "plain", FCNTL_KNOWN),
        "armed",
        (_MOVE, 3, 6, 0, 0),
        (_LOAD, 4, 10, _argument(0), 0),
        (_LOAD, 5, 10, _argument(1), 0),
        *_print("first"),
        (_LOAD, 3, 10, _argument(2), 0),
        (_LOAD, 4, 10, _argument(3), 0),
        (_LOAD, 5, 10, _argument(4), 0),
        *_print("second"),
        (_LOAD, 3, 10, _argument(5), 0),
        (_MOVE, 4, 6, 0, 0),
        (_MOVE, 5, 8, 0, 0),
        *_print("third"),
        (_GOTO, 0, 0, "out", 0),
        "plain",
        (_MOVE, 3, 6, 0, 0),
        (_MOVE, 4, 8, 0, 0),
        *_print("plain"),
        *_OUT,
    ]


_OUT: tuple[_Step, ...] = ("out", (_SET, 0, 0, 0, 0), (_EXIT, 0, 0, 0, 0))
_UNLESS_IT_MATTERS: tuple[_Step, ...] = (
    "call",
    (_CALL, 0, _OF_PROGRAM, "matters", 0),
    "return",
    (_SET, 0, 0, 0, 0),
    (_EXIT, 0, 0, 0, 0),
    "matters",
)


def _value(register: int, offset: int) -> tuple[_Step, ...]:
    """Put the address of what lies at ``offset`` of the map's value into a register."""
    return ((_ADDRESS, register, _OF_VALUE, 0, 0), (0, 0, 0, 0, offset))


def _under_way(more: int) -> tuple[_Step, ...]:
    return (*_value(2, _UNDER_WAY_AT), (_SET, 3, 0, 0, more), (_ADD_ATOMIC, 2, 3, 0, 0))


def _registers(way: _Way) -> tuple[_Step, ...]:
    """Copy the caller's registers to the stack, or leave the program."""
    return (
        *way.registers,
        (_MOVE, 1, 10, 0, 0),
        (_ADD, 1, 0, 0, -_REGISTERS),
        (_SET, 2, 0, 0, _REGISTERS),
        (_CALL, 0, 0, 0, _PROBE_READ_KERNEL),
        (_IF_NOT, 0, 0, "out", 0),
    )


def _arguments() -> tuple[_Step, ...]:
    """Copy a call's arguments from the registers' copy to where :func:`_argument` says."""

    def copied(places: Iterable[int]) -> Iterable[_Step]:
        for number, place in enumerate(places):
            yield _LOAD, 1, 10, place - _REGISTERS, 0
            yield _STORE, 10, 1, _argument(number), 0

    return (
        (_LOAD, 1, 10, _CS - _REGISTERS, 0),
        (_IF_IS, 1, 0, "32", _USER32_CS),
        *copied(_ARGUMENTS),
        (_GOTO, 0, 0, "copied", 0),
        "32",
        *copied(_ARGUMENTS32),
        "copied",
    )


def _argument(number: int) -> int:
    return 8 * (number - len(_ARGUMENTS)) - _REGISTERS


def _unless_own(index: int) -> tuple[_Step, ...]:
    return ((_LOAD_WORD, 2, 1, 4 * index, 0), (_IF_SAME, 2, 9, "out", 0))


def _print(name: str) -> tuple[_Step, ...]:
    at = _TEXTS_AT + _TEXT * list(_TEXTS).index(name)
    return (
        *_value(1, at),
        (_SET, 2, 0, 0, len(_TEXTS[name])),
        (_CALL, 0, 0, 0, _TRACE_PRINTK),
    )


def _assembled(steps: Iterable[_Step]) -> bytes:
    plain: list[tuple[int, int, int, int | str, int]] = []
    labels: dict[str, int] = {}
    for step in steps:
        if isinstance(step, str):
            labels[step] = len(plain)
        else:
            plain.append(step)
    code = b""
    for place, (operation, destination, source, to, value) in enumerate(plain):
        offset = labels[to] - place - 1 if isinstance(to, str) else to
        if operation == _CALL and source == _OF_PROGRAM:
            offset, value = 0, offset
        code += struct.pack("<BBhi", operation, destination | source << 4, offset, value)
    return code
