"""Images made by hand, and a registry of this machine to keep them in."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

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
    device: tuple[int, int] = (0, 0)
    headers: tuple[tuple[str, str], ...] = ()


def tar_of(*members: Member) -> bytes:
    """Return a tar of the members as they are, whatever their names say."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.linkname, info.mode = member.kind, member.link, member.mode
            info.devmajor, info.devminor = member.device
            info.uid, info.size = member.uid, len(member.content)
            info.pax_headers = dict(member.headers)
            tar.addfile(info, io.BytesIO(member.content))
    return out.getvalue()


def long_names(count: int) -> bytes:
    """Return a tar of a file with many names, each of which tarfile reads within the one before."""
    name = tarfile.TarInfo("long")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 1
    block = name.tobuf(tarfile.GNU_FORMAT) + bytes(tarfile.BLOCKSIZE)
    return block * count + tar_of(Member(name="a"))


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
