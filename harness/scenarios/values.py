"""The short ways in which scenarios write times, sizes, commands and the like."""

from __future__ import annotations

import re
import signal
from typing import Any

from harness.yamlvalues import did_you_mean, source_text

UNLIMITED = 2**64 - 1
"""RLIM_INFINITY, as an OCI bundle writes it."""

CAPABILITIES = tuple(
    """
    AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
    DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN
    MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID
    SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE
    SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM
    """.split()  # noqa: SIM905 - a list of one name a line would fill a screen
)
"""Names without CAP_, as capabilities(7) lists them."""

ULIMITS = tuple(
    """
    as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending
    stack
    """.split()  # noqa: SIM905 - a list of one name a line would fill a screen
)
"""Names of getrlimit(2) without RLIMIT_, in small letters as engines take them."""

NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"
"""What a scenario may be called: it becomes a part of pytest's node ids."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d+)([kmgt]?)(?:i?b)?", re.IGNORECASE)
_LONGEST = 24 * 3600.0


def duration(value: Any) -> Any:
    """Return seconds of ``30``, ``"30s"``, ``"500ms"``, ``"2m"`` or ``"1h"``."""
    text = source_text(value)
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("expected seconds, or a time such as 30s, 500ms or 2m")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if not 0 < seconds <= _LONGEST:
        raise ValueError("expected a time above 0 and up to 24h")
    return seconds


def size(value: Any) -> Any:
    """Return bytes of ``268435456`` or ``"256M"``; K, M, G and T are powers of 1024."""
    text = source_text(value)
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("expected bytes, or a size such as 64K, 256M or 1G")
    number = int(found[1]) << (" kmgt".index(found[2].lower() or " ") * 10)
    if not 0 < number < 2**63:
        raise ValueError("expected a size above 0")
    return number


def mode(value: Any) -> Any:
    """Return the permission bits of ``0644`` or ``"1777"``, always read as octal digits."""
    text = source_text(value)
    if not isinstance(text, str) or not re.fullmatch(r"(?:0o)?[0-7]{3,5}", text):
        raise ValueError("expected octal permissions such as 0644")
    bits = int(text.removeprefix("0o"), 8)
    if bits > 0o7777:
        raise ValueError("expected octal permissions up to 7777")
    return bits


def command(value: Any) -> Any:
    """Return an argument list: a list as it stands, a text as ``sh -c TEXT``."""
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("expected a command")
        return ("sh", "-c", value)
    return words(value, "a command: a list of words, or a text for sh -c")


def arguments(value: Any) -> Any:
    """Return an argument list that may be empty."""
    return () if value == [] else words(value, "a list of words")


def one_or_more(value: Any) -> Any:
    """Return a tuple of one text or of a list of them."""
    text = source_text(value)
    return (text,) if isinstance(text, str) else words(value, "text or a list of texts")


def entrypoint(value: Any) -> Any:
    """Return an Entrypoint: a list, or the one program's name."""
    if isinstance(value, str) and not re.search(r"\s", value):
        return (value,) if value else ()
    return () if value == [] else words(value, "a list of words, or one program's name")


def words(value: Any, what: str) -> Any:
    """Return a list of texts as a tuple; numbers as they were written."""
    if not isinstance(value, list):
        raise ValueError(f"expected {what}")
    if not value:
        raise ValueError(f"expected {what}")
    return tuple(source_text(word) for word in value)


def comma_list(value: Any) -> Any:
    """Return a selection expression: a text as it stands, a list joined by commas."""
    text = source_text(value)
    if isinstance(text, str):
        return text
    joined = words(value, "text or a list of texts")
    return ",".join(str(word) for word in joined)


def capability(name: str) -> str:
    """Return ``CAP_NAME`` of ``NAME`` or ``cap_name``; ``ALL`` as it stands."""
    bare = name.upper().removeprefix("CAP_")
    if bare == "ALL":
        return bare
    if bare not in CAPABILITIES:
        raise ValueError(f"unknown capability {name!r}; {did_you_mean(bare, list(CAPABILITIES))}")
    return f"CAP_{bare}"


def signal_name(value: Any) -> Any:
    """Return a signal's name without SIG, of ``KILL``, ``SIGKILL`` or ``9``."""
    text = str(source_text(value)).upper()
    try:
        found = (
            signal.Signals(int(text))
            if text.isdigit()
            else signal.Signals["SIG" + text.removeprefix("SIG")]
        )
    except (KeyError, ValueError):
        known = [each.name.removeprefix("SIG") for each in signal.Signals]
        raise ValueError(f"unknown signal {text!r}; {did_you_mean(text, known)}") from None
    return found.name.removeprefix("SIG")


def ulimit(value: Any) -> Any:
    """Return (soft, hard) of ``1024``, ``unlimited`` or ``"1024:4096"``."""
    text = str(source_text(value))
    parts = text.split(":")
    if len(parts) > 2 or not all(part == "unlimited" or part.isdecimal() for part in parts):
        raise ValueError("expected a number, unlimited, or soft:hard")
    soft, hard = (UNLIMITED if part == "unlimited" else int(part) for part in (parts * 2)[:2])
    if soft > hard:
        raise ValueError(f"expected a soft limit ({soft}) not above the hard one ({hard})")
    return (soft, hard)


def ulimit_name(name: str) -> str:
    """Return the name of a resource limit in small letters."""
    bare = name.lower().removeprefix("rlimit_")
    if bare not in ULIMITS:
        raise ValueError(f"unknown limit {name!r}; {did_you_mean(bare, list(ULIMITS))}")
    return bare


def pattern(text: str) -> str:
    """Return a regular expression that compiles."""
    try:
        re.compile(text, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


def scenario_name(text: str) -> str:
    """Return a name that can stand in a node id."""
    if not re.fullmatch(NAME, text):
        raise ValueError(
            "a scenario's name is made of letters, digits, '.', '_' and '-', letter or digit first"
        )
    return text
