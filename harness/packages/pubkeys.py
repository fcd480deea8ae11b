"""Public keys as rpm distributions publish them: armoured files with one key or several.

Of a file only the keys whose fingerprints are named count; gpg takes them out of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import process
from harness.errors import VerificationError
from harness.packages.signature import Keyring

_LIMIT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeys:
    """The keys that count: ``keyring`` for gpgv, and each in an armoured file for rpmkeys."""

    keyring: Keyring
    armoured: tuple[Path, ...]


def extract(keyrings: Sequence[Keyring], into: Path) -> PublicKeys:
    """Take the named keys of armoured or binary files out of them.

    Args:
        keyrings: Which keys of which files.
        into: A private directory, where what is returned lies.

    Raises:
        VerificationError: a file does not hold a key that it is there for.
        ToolError: gpg is missing.
    """
    home = into / "gnupg"
    home.mkdir(mode=0o700)
    for keyring in keyrings:
        missing = keyring.fingerprints - _fingerprints(keyring.file, home)
        if missing:
            raise VerificationError(
                f"the key file {keyring.file} of the keyring {keyring.name} does not hold the key "
                f"{', '.join(sorted(missing))}; nothing of it was used"
            )
        _gpg(home, "--import", keyring.file, check=False)
    wanted = sorted(frozenset[str]().union(*(keyring.fingerprints for keyring in keyrings)))
    armoured = []
    for fingerprint in wanted:
        file = into / f"{fingerprint}.asc"
        file.write_bytes(_exported(home, [fingerprint], "--armor"))
        armoured.append(file)
    ring = into / "keys.gpg"
    ring.write_bytes(_exported(home, wanted))
    name = "+".join(keyring.name for keyring in keyrings)
    return PublicKeys(
        keyring=Keyring(name=name, file=ring, fingerprints=frozenset(wanted)),
        armoured=tuple(armoured),
    )


def _fingerprints(file: Path, home: Path) -> set[str]:
    """Return the fingerprints of a file's primary keys (doc/DETAILS in GnuPG: ``pub``, ``fpr``)."""
    listed = _gpg(home, "--with-colons", "--show-keys", file, check=False).decode(errors="replace")
    found = set()
    primary = False
    for line in listed.splitlines():
        fields = line.split(":")
        if fields[0] in ("pub", "sub"):
            primary = fields[0] == "pub"
        elif fields[0] == "fpr" and primary and len(fields) > 9:
            found.add(fields[9])
    return found


def _exported(home: Path, fingerprints: Sequence[str], *options: str) -> bytes:
    data = _gpg(home, *options, "--export", *fingerprints)
    if not data:
        keys = ", ".join(fingerprints)
        raise VerificationError(f"gpg does not take the key {keys}; nothing of it was used")
    return data


def _gpg(home: Path, *words: str | Path, check: bool = True) -> bytes:
    options = ("--batch", "--quiet", "--no-options", "--no-autostart")
    argv: list[str | Path] = [process.find("gpg", "gpg"), "--homedir", home, *options, *words]
    env = {**os.environ, "LC_ALL": "C"}
    return process.run(argv, limit=_LIMIT, env=env, check=check).stdout
