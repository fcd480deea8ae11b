"""Images made by hand, and a registry of this machine to keep them in."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import zstandard

from harness import oci
from harness.store import Store

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A tar member: a file unless ``kind`` says otherwise."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    headers: tuple[tuple[str, str], ...] = ()


def tar_of(*members: Member) -> bytes:
    """Return a tar of the members as they are, whatever their names say."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.linkname, info.mode = member.kind, member.link, member.mode
            info.uid, info.size = member.uid, len(member.content)
            info.pax_headers = dict(member.headers)
            tar.addfile(info, io.BytesIO(member.content))
    return out.getvalue()


class Builder:
    """Writes OCI layouts, right and wrong ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs" / "sha256"
        self.blobs.mkdir(parents=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self._tagged: list[dict[str, Any]] = []

    def blob(self, data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def image(
        self,
        layers: Sequence[tuple[bytes, str]],
        *,
        config: Mapping[str, Any] | None = None,
        architecture: str = "amd64",
        docker: bool = False,
    ) -> dict[str, Any]:
        """Add an image of (tar, compression) layers and return its manifest's descriptor."""
        family = DOCKER if docker else OCI
        packed = [self._layer(tar, how, docker) for tar, how in layers]
        document = {
            "architecture": architecture,
            "os": "linux",
            "config": dict(config or {"Cmd": ["/bin/true"]}),
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar, _ in layers],
            },
        }
        kind = f"{DOCKER}.container.image.v1+json" if docker else f"{OCI}.config.v1+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": (
                f"{family}.distribution.manifest.v2+json"
                if docker
                else f"{family}.manifest.v1+json"
            ),
            "config": self.blob(json.dumps(document).encode(), kind),
            "layers": packed,
        }
        return self.blob(json.dumps(manifest).encode(), str(manifest["mediaType"]))

    def _layer(self, tar: bytes, how: str, docker: bool) -> dict[str, Any]:
        if docker:
            return self.blob(gzip.compress(tar), f"{DOCKER}.image.rootfs.diff.tar.gzip")
        data = tar
        if how:
            data = gzip.compress(tar) if how == "gzip" else zstandard.compress(tar)
        return self.blob(data, f"{OCI}.layer.v1.tar" + (f"+{how}" if how else ""))

    def index(self, *children: tuple[dict[str, Any], str]) -> dict[str, Any]:
        """Add an index of (descriptor, OS/ARCHITECTURE[/VARIANT]) and return its descriptor."""
        entries = []
        for child, platform in children:
            names = zip(("os", "architecture", "variant"), platform.split("/"), strict=False)
            entries.append({**child, "platform": dict(names)})
        kind = f"{OCI}.index.v1+json"
        document = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
        return self.blob(json.dumps(document).encode(), kind)

    def tag(self, descriptor: dict[str, Any], name: str = "image") -> str:
        """Give ``descriptor`` a name in the layout and return the reference to it."""
        annotations = {"org.opencontainers.image.ref.name": name}
        self._tagged.append({**descriptor, "annotations": annotations})
        document = {"schemaVersion": 2, "manifests": self._tagged}
        (self.root / "index.json").write_text(json.dumps(document))
        return f"oci:{self.root}:{name}"


@dataclass(frozen=True)
class Registry:
    """A running registry."""

    address: str

    def push(self, source: str, name: str, *, auth: Path | None = None, all: bool = False) -> str:
        """Push what ``source`` refers to and return the reference to it."""
        words = ["skopeo", "copy", "-q", "--dest-tls-verify=false"]
        words += ["--all"] if all else []
        words += [f"--dest-authfile={auth}"] if auth else []
        target = f"docker://{self.address}/{name}"
        subprocess.run([*words, source, target], check=True, timeout=60)
        return target


@contextmanager
def running_registry(directory: Path, *, htpasswd: Path | None = None) -> Iterator[Registry]:
    """Start Debian's docker-registry on a free port of the loopback."""
    auth = f"auth: {{htpasswd: {{realm: test, path: {htpasswd}}}}}" if htpasswd else ""
    config = directory / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: info}\nhttp: {addr: '127.0.0.1:0'}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory / 'blobs'}}}}}\n{auth}\n"
    )
    log = directory / "log"
    with (
        log.open("wb") as sink,
        subprocess.Popen(
            ["docker-registry", "serve", config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        try:
            assert child.stderr is not None
            for line in child.stderr:
                sink.write(line.encode())
                if found := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
                    break
            else:
                pytest.fail(f"the registry did not start: {log.read_text()}")
            drain = threading.Thread(target=child.stderr.read)  # or it stops at a full pipe
            drain.start()
            yield Registry(found[1])
        finally:
            child.kill()


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "source")


@pytest.fixture
def new_builder(tmp_path: Path) -> Callable[[str], Builder]:
    return lambda name: Builder(tmp_path / name)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    if shutil.which("docker-registry") is None:
        pytest.skip("needs the package docker-registry")
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants ``reader`` with the password ``secret``."""
    if shutil.which("docker-registry") is None:
        pytest.skip("needs the package docker-registry")
    directory = tmp_path_factory.mktemp("guarded")
    htpasswd = directory / "htpasswd"
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    htpasswd.write_text(f"reader:{hashed}\n")
    with running_registry(directory, htpasswd=htpasswd) as running:
        yield running


@pytest.fixture
def whiteouts() -> tuple[tuple[bytes, str], ...]:
    """Two layers: the second, of zstd, takes a file of the first away and adds one."""
    below = tar_of(
        Member(name="etc", kind=tarfile.DIRTYPE, mode=0o755),
        Member(name="etc/kept", content=b"kept\n"),
        Member(name="etc/gone", content=b"gone\n"),
    )
    above = tar_of(Member(name="etc/.wh.gone"), Member(name="etc/added", content=b"added\n"))
    return (below, "gzip"), (above, "zstd")


@pytest.fixture
def resolve_text(tmp_path: Path) -> Callable[[str], oci.Resolved]:
    return lambda text: oci.resolve(oci.reference(text, base=tmp_path))
