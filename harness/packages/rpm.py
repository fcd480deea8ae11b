"""Rpm packages: their own signatures, and what is in them, by rpm's own tools.

``rpmkeys`` and ``rpm2archive`` come with rpm on every distribution (Debian: packages rpm and
rpm2cpio). Nothing of a package is ever run, and the host's own rpm database is not touched.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from harness import process, tars
from harness.errors import VerificationError
from harness.packages import deb
from harness.packages.deb import Keep, Move
from harness.packages.pubkeys import PublicKeys

_CHECK_LIMIT = 120.0
_UNPACK_LIMIT = 300.0
_SIGNED = "signatures ok"
_LEVEL = "all"
"""Both digests and a signature must be there (rpm: macros.in, _pkgverify_level)."""


class Verifier:
    """Checks packages against keys in a private rpm database below ``scratch``.

    Raises:
        ToolError: rpm is missing.
        VerificationError: rpm does not take one of the keys.
    """

    def __init__(self, keys: PublicKeys, scratch: Path) -> None:
        self._keys = keys
        self._database = scratch / "rpmdb"
        self._database.mkdir()
        for file in keys.armoured:
            done = _rpmkeys(self._database, _LEVEL, "--import", file)
            if done.status != 0:
                raise VerificationError(
                    f"rpm does not take the key {file.stem} of the keyring {keys.keyring.name}: "
                    f"{_said(done.stderr)}"
                )

    def check(self, package: Path, what: str) -> None:
        """Check a package's signature and all of its digests.

        A package without a signature, or with one by another key, does not pass.

        Raises:
            VerificationError: it does not pass; ``what`` begins the text.
        """
        done = _rpmkeys(self._database, _LEVEL, "--checksig", package)
        # an rpm that does not know the level above says "digests OK" to an unsigned package
        if done.status == 0 and done.stdout.decode().lower().rstrip().endswith(_SIGNED):
            return
        words = ("--verbose", "--checksig", package)
        details = _rpmkeys(self._database, _LEVEL, *words).stdout + done.stderr
        raise VerificationError(
            f"{what}: no valid signature by a key of the keyring {self._keys.keyring.name}: "
            f"{_said(details)}; nothing of it was used"
        )


def check_digests(package: Path, what: str, scratch: Path) -> None:
    """Check that a package is whole, whoever made it.

    Raises:
        VerificationError: one of its own digests does not hold; ``what`` begins the text.
        ToolError: rpm is missing.
    """
    done = _rpmkeys(scratch, "digest", "--nosignature", "--verbose", "--checksig", package)
    if done.status != 0:
        said = _said(done.stdout + done.stderr)
        raise VerificationError(f"{what} is broken, or not an rpm package: {said}")


def _rpmkeys(database: Path, level: str, *words: str | Path) -> process.Completed:
    program = process.find("rpmkeys", "rpm")
    defines = (f"_pkgverify_level {level}", f"_keyringpath {database}/pubkeys")
    options = [word for define in defines for word in ("--define", define)]
    argv = [program, "--dbpath", database, *options, *words]
    env = {**os.environ, "LC_ALL": "C"}
    return process.run(argv, limit=_CHECK_LIMIT, env=env, check=False)


def _said(output: bytes) -> str:
    """Return what rpm complains about: the lines that are neither good nor merely absent."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines()]
    wrong = [line for line in lines if line and not line.endswith((": OK", ".rpm:", "blob:"))]
    present = [line for line in wrong if not line.endswith("NOTFOUND")]
    if any("ignature" in line for line in present):
        wrong = present
    return "; ".join(wrong)[:500] or "no reason given"


def unpack(package: Path, into: Path, *, move: Move, keep: Keep, scratch: Path) -> None:
    """Unpack a package's files into ``into``; see :func:`harness.packages.deb.unpack`.

    The payload may be compressed with whatever the host's rpm knows: gzip, xz, zstd.

    Raises:
        VerificationError: not an rpm package, or one that reaches outside of ``into``.
        ToolError: rpm is missing.
    """
    program = process.find("rpm2archive", "rpm (Debian: rpm2cpio)")
    link = scratch / "package.rpm"  # its output lies beside its input
    link.unlink(missing_ok=True)
    link.symlink_to(package.resolve())
    archive = link.with_name(f"{link.name}.tgz")
    done = process.run([program, link], limit=_UNPACK_LIMIT, cwd=scratch, check=False)
    if done.status != 0 or not archive.is_file():
        raise VerificationError(f"{package}: not an rpm package: {_said(done.stderr)}")
    try:
        with tarfile.open(archive, mode="r:gz", tarinfo=tars.Header) as opened:
            deb.unpack_tar(opened, into, move=move, keep=keep)
    except tars.DAMAGED as error:
        raise VerificationError(f"{package}: not an rpm package: {error}") from error
    finally:
        archive.unlink()
