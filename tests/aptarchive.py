"""A real apt archive for tests: packages by dpkg-deb, indexes by apt-ftparchive, signed by gpg."""

from __future__ import annotations

import lzma
import shutil
import subprocess
import textwrap
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness.model.hosts import AptSource
from harness.packages.signature import Keyring

SUITE = "testing-suite"


def command(*argv: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Signer:
    """An OpenPGP key of its own."""

    def __init__(self, home: Path, name: str) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        self.gpg(
            *("--passphrase", "", "--quick-generate-key", f"{name} <{name}@example.org>"),
            *("ed25519", "sign", "never"),
        )
        listed = self.gpg("--with-colons", "--list-keys")
        self.fingerprint = next(
            line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")
        )
        self.public = home / "public.pgp"
        self.gpg("--output", str(self.public), "--export", self.fingerprint)

    def gpg(self, *argv: str) -> str:
        return command("gpg", "--homedir", self.home, "--batch", "--yes", *argv)

    def keyring(self) -> Keyring:
        return Keyring(name="test", file=self.public, fingerprints=frozenset({self.fingerprint}))

    def close(self) -> None:
        command("gpgconf", "--homedir", self.home, "--kill", "all")


class Archive:
    """An archive under ``root``, rebuilt by :meth:`publish` after each change."""

    def __init__(self, root: Path, signer: Signer) -> None:
        self.root = root
        self.signer = signer
        self.pool = root / "pool"
        self.suite = root / "dists" / SUITE
        self.pool.mkdir(parents=True)

    def source(self, *bases: str, accept_expired: bool = False) -> AptSource:
        return AptSource(bases=bases, suite=SUITE, keyring="test", accept_expired=accept_expired)

    def add(
        self,
        name: str,
        version: str = "1.0",
        *,
        files: Mapping[str, bytes | str] | None = None,
        compression: str = "xz",
        architecture: str = "amd64",
        **fields: str,
    ) -> Path:
        """Build a package; a file's content given as text makes a symbolic link to it."""
        tree = self.root / "build" / name
        shutil.rmtree(tree, ignore_errors=True)
        control = {
            "Package": name,
            "Version": version,
            "Architecture": architecture,
            "Maintainer": "Test <test@example.org>",
            "Description": f"{name} for a test",
            **{key.replace("_", "-"): value for key, value in fields.items()},
        }
        (tree / "DEBIAN").mkdir(parents=True)
        text = "".join(f"{key}: {value}\n" for key, value in control.items())
        (tree / "DEBIAN/control").write_text(text)
        for path, content in (files or {}).items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                target.symlink_to(content)
            else:
                target.write_bytes(content)
        deb = self.pool / f"{name}_{version}_{architecture}.deb"
        command("dpkg-deb", "-b", "--root-owner-group", f"-Z{compression}", tree, deb)
        shutil.rmtree(tree)
        return deb

    def publish(self, *, by_hash: bool = True, **fields: str) -> None:
        """Write indexes and a release file with ``fields`` (``Valid_Until=...``), signed."""
        shutil.rmtree(self.root / "dists", ignore_errors=True)
        for architecture in ("amd64", "i386"):
            binary = self.suite / f"main/binary-{architecture}"
            binary.mkdir(parents=True)
            text = command(
                "apt-ftparchive", "--arch", architecture, "packages", "pool", cwd=self.root
            )
            (binary / "Packages.xz").write_bytes(lzma.compress(text.encode(), preset=0))
        values = {
            "Suite": SUITE,
            "Codename": SUITE,
            "Architectures": "amd64 i386",
            "Components": "main",
            **({"Acquire-By-Hash": "yes"} if by_hash else {}),
            **{key.replace("_", "-"): value for key, value in fields.items()},
        }
        options = [f"-oAPT::FTPArchive::Release::{key}={value}" for key, value in values.items()]
        plain = {"Valid-Until"} & values.keys()
        release = command("apt-ftparchive", *options, "release", f"dists/{SUITE}", cwd=self.root)
        for key in plain:
            if f"\n{key}:" not in release:
                release = f"{key}: {values[key]}\n{release}"
        self.sign(release)
        if by_hash:
            for index in self.suite.rglob("Packages.xz"):
                digest = command("sha256sum", index).split()[0]
                hashed = index.parent / "by-hash/SHA256" / digest
                hashed.parent.mkdir(parents=True)
                shutil.copy(index, hashed)

    def sign(self, release: str, signer: Signer | None = None) -> None:
        """Sign a release file's text in both forms."""
        signer = signer or self.signer
        plain = self.suite / "Release"
        plain.write_text(release)
        signer.gpg("--output", str(self.suite / "InRelease"), "--clearsign", str(plain))
        signer.gpg("--output", f"{plain}.gpg", "--detach-sign", str(plain))


class Handler(SimpleHTTPRequestHandler):
    """Serves files, remembers what was asked for, and can misbehave by path."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        misbehave = self.server.misbehaviours.get(self.path)
        if misbehave is not None:
            misbehave(self)
            return
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A web server on 127.0.0.1 for one directory."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.asked: list[str] = []
        self.misbehaviours: dict[str, Any] = {}
        self.finished = threading.Event()
        super().__init__(("127.0.0.1", 0), lambda *args: Handler(*args, directory=str(root)))

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """Serve a directory until the block ends."""
    with Server(root) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.finished.set()
            server.shutdown()
            thread.join()


def bzimage(release: str, size: int = 4096) -> bytes:
    """Return the head of a bzImage that names ``release``, and no kernel behind it."""
    image = bytearray(size)
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x400).to_bytes(2, "little")
    text = f"{release} (somebody@somewhere) #1 SMP\0".encode()
    image[0x600 : 0x600 + len(text)] = text
    return bytes(image)


def yaml(text: str) -> str:
    """Return an indented literal as a YAML file's text."""
    return textwrap.dedent(text).lstrip("\n")
