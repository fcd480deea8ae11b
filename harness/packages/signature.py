"""OpenPGP signatures of archives, checked by gpgv, or by sqv where gpgv is missing.

Keyrings travel as data: ``keys.yaml`` in a directory of keys names each keyring's file, where
it came from, and the fingerprints that may sign.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

from harness import process, yamlfile
from harness.errors import ToolError, VerificationError
from harness.store import sha256_of
from harness.yamlfile import Text

KEYS_FILE = "keys.yaml"
_LIMIT = 30.0
_GOOD = "GOODSIG"
_NOT_GOOD = frozenset({"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """Keys that are trusted together. ``fingerprints`` are of primary keys, 40 digits each."""

    name: str
    file: Path
    fingerprints: frozenset[str]
    set: str = ""
    """The tool set that ``file`` lies in, relative to its root; empty: an ordinary file."""


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    file: str
    set: Text = ""
    source: str
    version: Text = ""
    sha256: str = ""
    remark: str = ""
    fingerprints: dict[Annotated[str, pydantic.StringConstraints(pattern="^[0-9A-F]{40}$")], str]


class _Keys(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    keyrings: dict[Text, _Entry] = {}


def load_keyrings(directories: Iterable[Path]) -> Mapping[str, Keyring]:
    """Read every ``keys.yaml`` of ``directories``; a later one overrides an earlier one.

    Raises:
        ConfigError: a file is not as it should be, or names a keyring file that is missing.
    """
    keyrings: dict[str, Keyring] = {}
    for directory in directories:
        file = directory / KEYS_FILE
        if file.is_file():
            keyrings.update(_load(file))
    return keyrings


def _load(file: Path) -> dict[str, Keyring]:
    document = yamlfile.load(file)
    entries = yamlfile.validate(document, _Keys).keyrings
    keyrings = {}
    for name, entry in entries.items():
        if entry.set:
            keyrings[name] = Keyring(
                name=name,
                file=Path(entry.file),
                fingerprints=frozenset(entry.fingerprints),
                set=entry.set,
            )
            continue
        path = file.parent / entry.file
        if not path.is_file():
            raise document.error(("keyrings", name, "file"), f"there is no file {path}")
        if entry.sha256 and sha256_of(path) != entry.sha256:
            raise VerificationError(
                f"{path} is not the keyring that {file} describes: its sha256 differs"
            )
        keyrings[name] = Keyring(name=name, file=path, fingerprints=frozenset(entry.fingerprints))
    return keyrings


def have_gpgv() -> bool:
    """Whether gpgv is installed; it takes precedence over sqv."""
    return shutil.which("gpgv") is not None


def clear_text(signed: Path, keyring: Keyring, *, what: str, scratch: Path) -> bytes:
    """Return what a clear-signed file says inside its signature; needs gpgv.

    Only gpgv's own output is returned: text before or after the signed part is not.

    Raises:
        VerificationError: no valid signature by one of the keyring's fingerprints.
    """
    output = scratch / "clear"
    argv = ["gpgv", "--status-fd", "1", "--keyring", str(keyring.file.resolve())]
    done = process.run([*argv, "--output", output, signed], limit=_LIMIT, check=False)
    _check_status(done, keyring, what)
    return output.read_bytes()


def check_detached(signature: Path, file: Path, keyring: Keyring, *, what: str) -> None:
    """Check a detached signature by gpgv or, where that is missing, by sqv.

    Raises:
        VerificationError: no valid signature by one of the keyring's fingerprints.
        ToolError: neither program is installed.
    """
    if have_gpgv():
        argv = ["gpgv", "--status-fd", "1", "--keyring", str(keyring.file.resolve())]
        done = process.run([*argv, signature, file], limit=_LIMIT, check=False)
        _check_status(done, keyring, what)
        return
    if shutil.which("sqv") is None:
        raise ToolError(
            "neither gpgv nor sqv is installed: signatures cannot be checked; "
            "install the package gpgv"
        )
    argv = ["sqv", "--keyring", str(keyring.file.resolve())]
    done = process.run([*argv, signature, file], limit=_LIMIT, check=False)
    signers = set(done.stdout.decode(errors="replace").upper().split())
    if done.status != 0 or not signers & keyring.fingerprints:
        said = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        raise _refused(what, keyring, said or "by none of its keys")


def _check_status(done: process.Completed, keyring: Keyring, what: str) -> None:
    """Judge gpgv's status lines (doc/DETAILS in GnuPG), not its exit status.

    A file may carry further signatures by keys that the keyring lacks: gpgv then ends with 2
    though one signature holds, which is enough, as it is for apt.
    """
    good = trusted = False
    strangers: list[str] = []
    for line in done.stdout.decode(errors="replace").splitlines():
        prefix, _, rest = line.partition(" ")
        word, *values = rest.split() or [""]
        if prefix != "[GNUPG:]":
            continue
        if word == "BADSIG":
            raise _refused(what, keyring, f"bad signature: {' '.join(values)}")
        if word == "ERROR":  # a second message in the file, for instance
            raise _refused(what, keyring, f"gpgv says {' '.join(values)}")
        if word in _NOT_GOOD:
            good = False
            strangers.append(f"{values[0]} ({word})")
        elif word == _GOOD:
            good = True
        elif word == "VALIDSIG" and good:
            # the signing key's fingerprint comes first, its primary key's last
            if keyring.fingerprints & {values[0], values[-1]}:
                trusted = True
            else:
                strangers.append(values[-1])
    if trusted:
        return
    if strangers:
        raise _refused(what, keyring, f"signed by {', '.join(strangers)} only")
    said = " ".join(done.stderr.decode(errors="replace").split())[-300:]
    raise _refused(what, keyring, said or "there is no signature")


def _refused(what: str, keyring: Keyring, why: str) -> VerificationError:
    return VerificationError(
        f"{what}: no valid signature by a key of the keyring {keyring.name} "
        f"({keyring.file}): {why}; nothing of it was used"
    )
