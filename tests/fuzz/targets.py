"""What reads outside data, each as a function of bytes that may raise this project's errors only.

Used by a quick test of the unit suite (hypothesis) and by ``tests/fuzz/run.py`` (atheris).
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import zstandard

from harness import archive, oci_forms, oci_layout, yamlfile
from harness.container import runtime
from harness.errors import HarnessError, ImageError
from harness.images import catalog as images
from harness.kernels import bzimage, modules
from harness.kernels import catalog as kernels
from harness.model.hosts import AptSource
from harness.packages import apt, deb, rpmrepo
from harness.packages.index import Index, Relation
from harness.process import Completed
from harness.scenarios import load, too_old
from harness.scenarios.imports.draft import to_yaml
from harness.scenarios.imports.from_compose import from_compose
from harness.scenarios.imports.from_inspect import from_inspect
from harness.scenarios.imports.from_pod import from_pod
from harness.store import Store
from harness.trace import abinote, elf
from harness.trace.parser import TraceParser
from harness.trace.recorder import Recording, dropped_events

FILE = Path("given.yaml")
ROOTDIR = Path("/nonexistent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A reader, and good input to begin from."""

    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def trace(data: bytes) -> None:
    parser = TraceParser("token")
    for start in range(0, len(data), 100):
        parser.feed(data[start : start + 100])
    parser.finish()


def scenarios(data: bytes) -> None:
    load.scenarios_of(yamlfile.parse(data, FILE), ROOTDIR)


def oci(data: bytes) -> None:
    for form in (oci_forms.Shape, oci_forms.Index, oci_forms.Manifest, oci_forms.Config):
        try:
            oci_forms.parse(data, form, "it")
        except ImageError:
            continue


def layout(data: bytes) -> None:
    """The config of an image whose index and manifest are right."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "blobs" / "sha256").mkdir(parents=True)
        for path, content in oci_layout.small_files(data, []).items():
            (root / path).write_bytes(content)
        oci_layout.read(root, "it")


def apt_index(data: bytes) -> None:
    index = Index(data, "it")
    for name in index.names()[:20]:
        for group in index.get(name).depends:
            for relation in group:
                index.find(relation)
    index.find(Relation(name="nothing"))


def apt_release(data: bytes) -> None:
    source = AptSource(bases=("http://127.0.0.1",), suite="stable", keyring="k")
    apt._parse_release(data, "http://127.0.0.1", source, datetime.now(UTC))


def in_file(read: Callable[[Path], object], suffix: str = "") -> Callable[[bytes], None]:
    def reader(data: bytes) -> None:
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(data)
            file.flush()
            read(Path(file.name))

    return reader


def rpm_primary(path: Path) -> None:
    rpmrepo._packages(path, ["kernel", "kernel-core"], "x86_64", "it")


def programs(data: bytes) -> None:
    abinote.asked_for(data)
    elf.elf_class(data)
    elf._interpreter(data)


def debian_package(path: Path) -> None:
    with tempfile.TemporaryDirectory() as into:
        deb.unpack(path, Path(into), move=lambda p: p, keep=lambda _: True)


def tar(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory() as into:
        file.write(an_ar(data))
        file.flush()
        deb.unpack(Path(file.name), Path(into), move=PurePosixPath, keep=lambda _: True)


def store_archive(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as root:
        archive.unpack(Store(Path(root)), io.BytesIO(data))


def compose(data: bytes) -> None:
    to_yaml(from_compose(yamlfile.parse(data, FILE), "app"))


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A guest that gives one answer to everything."""

    answer: bytes

    def run(
        self, command: str, *, stdin: bytes = b"", limit: float = 60.0, check: bool = True
    ) -> Completed:
        return Completed((), 0, self.answer, b"", 0.0)


def answers(data: bytes) -> None:
    """Each thing that guests are asked while or after an image ran in them."""
    guest: Any = TakenOver(data)
    container = runtime.Container(guest, runtime.Runtime(name="crun", program="/p", version=""))
    asked: tuple[Callable[[], object], ...] = (
        lambda: runtime.mount_image(guest),
        lambda: container.start(limit=1),
        lambda: container.run(limit=1),
        container.service_outcome,
        lambda: elf.elf_classes(guest, "/r", ["/bin/a"]),
        lambda: too_old.cause(guest, "/r", ["FATAL: kernel too old"]),
        lambda: Recording.idle(guest).finish(),
        lambda: dropped_events(data.decode(errors="replace")),
    )
    for ask in asked:
        with suppress(HarnessError):
            ask()


SCENARIO = b"""scenarios:
  hello:
    image: debian
    run: echo hello
    env: {A: "1"}
    expect: {stdout: hello, exit: 0}
    mounts: [{target: /data, tmpfs: true, size: 1M}]
    ulimits: {nofile: "10:20"}
    memory: 64M
"""
INSPECT = b"""[{"Id": "x", "Name": "/web", "Config": {"Image": "redis:7", "Env": ["A=1"],
"Cmd": ["redis-server"], "Healthcheck": {"Test": ["CMD", "true"]}}, "HostConfig": {"Memory": 1,
"CapAdd": ["NET_ADMIN"], "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
"Tmpfs": {"/t": "size=1k"}}, "Mounts": [{"Type": "bind", "Destination": "/d"}]}]"""
POD = b"""apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: app
    image: redis:7
    command: [redis-server]
    env: [{name: A, value: "$(B)"}]
    resources: {limits: {cpu: 100m, memory: 64Mi}}
    securityContext: {runAsUser: 1, capabilities: {add: [NET_ADMIN]}}
    readinessProbe: {exec: {command: ["true"]}}
    volumeMounts: [{name: v, mountPath: /v}]
  volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
"""
COMPOSE = b"""services:
  app:
    image: redis:7
    command: redis-server --port 1
    environment: {A: 1}
    volumes: ["./a:/b:ro", {type: tmpfs, target: /t, tmpfs: {size: 1m}}]
    deploy: {resources: {limits: {cpus: "0.5", memory: 64M}}}
    healthcheck: {test: [CMD, "true"], start_period: 1m30s}
    ulimits: {nofile: {soft: 1, hard: 2}}
"""
PACKAGES = (
    b"""Package: linux-image-amd64
Version: 6.1.2-1
Architecture: amd64
Depends: linux-image-6.1 (= 6.1.2-1) | other, base:any (>= 1~)
Provides: virtual (= 1)
Filename: pool/l.deb
Size: 100
SHA256: """
    + b"0" * 64
    + b"\n\nPackage: other\nVersion: 1:2\nArchitecture: all\nFilename: o\nSize: 1\nSHA256: 1\n"
    + b"Provides: nothing\n"
)
RELEASE = (
    b"""Suite: stable
Codename: stable
Valid-Until: Sat, 01 Jan 2033 00:00:00 UTC
Acquire-By-Hash: yes
SHA256:
 """
    + b"0" * 64
    + b""" 10 main/binary-amd64/Packages.xz
"""
)
TRACE = b"""# tracer: nop
     sh-12    [000] .... 1.000000: tracing_mark_write: harness token start
     sh-12    [000] .... 1.100000: tracing_mark_write: harness token container pid 12
     sh-12    [000] .... 1.200000: sys_enter: NR 439 (1, 2, 3, 4, 5, 6)
     sh-12    [000] .... 1.300000: sys_exit: NR 439 = -38
     sh-12    [001] .... 1.400000: sched_process_exec: filename=/bin/true pid=12 old_pid=12
     sh-12    [001] .... 1.500000: sched_process_fork: comm=sh pid=12 child_comm=sh child_pid=13
CPU:1 [LOST 7 EVENTS]
     sh-12    [000] .... 1.600000: tracing_mark_write: harness token end
"""
PRIMARY = (
    b"""<?xml version="1.0"?><metadata xmlns="http://linux.duke.edu/metadata/common"
xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="1"><package type="rpm"><name>kernel</name>
<arch>x86_64</arch><version epoch="0" ver="1" rel="2"/><checksum type="sha256" pkgid="YES">"""
    + b"0" * 64
    + b"""</checksum>
<size package="1" installed="1" archive="1"/><location href="k.rpm"/><format><rpm:provides>
<rpm:entry name="kernel-uname-r" flags="EQ" epoch="0" ver="1" rel="2"/></rpm:provides></format>
</package></metadata>"""
)
STEP = b"""status 0
pid 5
started 0.5
ended 1.5
held 0
status_known 1
timed_out 0
peak 1024
peak_way rusage
stdout 4
stderr 3
stdout_dropped 0
stderr_dropped 0
log 25

out
err{"level":"error","msg":1}"""
ELF = (
    b"\x7fELF\x02\x01\x01"
    + bytes(9)
    + (2).to_bytes(2, "little")
    + (62).to_bytes(2, "little")
    + bytes(12)
    + (64).to_bytes(8, "little")
    + bytes(14)
    + (56).to_bytes(2, "little")
    + (1).to_bytes(2, "little")
    + bytes(6)
    + (4).to_bytes(4, "little")
    + bytes(4)
    + (120).to_bytes(8, "little")
    + bytes(16)
    + (32).to_bytes(8, "little")
    + bytes(16)
    + b"\x04\0\0\0\x10\0\0\0\x01\0\0\0GNU\0"
    + bytes(4)
    + b"\x03\0\0\0\x02\0\0\0\0\0\0\0"
)
BZIMAGE = bytes(0x1FE) + b"\x55\xaa\0\0HdrS" + bytes(8) + b"\x10\0" + b"6.1.0 (x)\0"
OCI_CONFIG = b"""{"architecture": "amd64", "os": "linux", "config": {"Cmd": ["a"], "Env": ["A=1"],
"User": "1", "Volumes": {"/v": {}}}, "rootfs": {"type": "layers", "diff_ids": []}}"""
OCI_INDEX = (
    b"""{"schemaVersion": 2, "manifests": [{"mediaType": "m", "size": 1, "digest": "sha256:
""".rstrip()
    + b"0" * 64
    + b"""", "platform": {"os": "linux", "architecture": "amd64"}}]}"""
)


def a_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, kind, link in (
            ("usr", tarfile.DIRTYPE, ""),
            ("usr/file", tarfile.REGTYPE, ""),
            ("usr/link", tarfile.SYMTYPE, "file"),
            ("usr/hard", tarfile.LNKTYPE, "usr/file"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            member.pax_headers = {"comment": "x"}
            made.addfile(member)
    return out.getvalue()


def an_archive() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        store, out = Store(Path(name)), io.BytesIO()
        store.make("tools", "a", "it", lambda into: (into / "f").touch())
        archive.pack(store, store.entries(), out)
        return out.getvalue()


def an_ar(data: bytes, name: bytes = b"data.tar") -> bytes:
    fields = (name, b"0", b"0", b"0", b"100644", len(data))
    return b"!<arch>\n" + b"%-16s%-12s%-6s%-6s%-8s%-10d`\n" % fields + data


MODULE = b"\0depends=a,b-c\0alias=pci:v*\0"
TARGETS: Mapping[str, Target] = {
    "trace": Target(read=trace, seeds=(TRACE,)),
    "yaml": Target(
        read=lambda data: yamlfile.parse(data, FILE), seeds=(SCENARIO, b"a: &x [1]\nb: *x\n<<: {}")
    ),
    "scenario": Target(read=scenarios, seeds=(SCENARIO,)),
    "kernel-catalog": Target(
        read=in_file(lambda path: kernels.load_catalog([path])),
        seeds=(b"kernels:\n  a:\n    source: {type: apt, suite: s, bases: [http://h]}\n",),
    ),
    "image-catalog": Target(
        read=in_file(lambda path: images.adhoc(path.read_text(errors="replace"), base=ROOTDIR)),
        seeds=(b"docker://debian:12", b"oci:dir:tag"),
    ),
    "oci": Target(read=oci, seeds=(OCI_CONFIG, OCI_INDEX)),
    "oci-layout": Target(read=layout, seeds=(OCI_CONFIG,)),
    "apt-index": Target(read=apt_index, seeds=(PACKAGES,)),
    "apt-release": Target(read=apt_release, seeds=(RELEASE,)),
    "rpm-primary": Target(read=in_file(rpm_primary, ".xml"), seeds=(PRIMARY,)),
    "step": Target(read=runtime._outcome, seeds=(STEP,)),
    "answers": Target(
        read=answers,
        seeds=(
            STEP,
            b"running 5\n",
            b"ended\n" + STEP,
            b"passwd 1\nia32 0\nsealed 0\n\nab",
            b"7f\n",
        ),
    ),
    "elf": Target(read=programs, seeds=(ELF, b"#!/bin/sh -e\n")),
    "bzimage": Target(read=in_file(bzimage.release_of), seeds=(BZIMAGE,)),
    "module": Target(read=in_file(modules.read, ".ko"), seeds=(MODULE,)),
    "module-xz": Target(read=in_file(modules.read, ".ko.xz"), seeds=(lzma.compress(MODULE),)),
    "module-zst": Target(
        read=in_file(modules.read, ".ko.zst"), seeds=(zstandard.compress(MODULE),)
    ),
    "deb": Target(
        read=in_file(debian_package, ".deb"), seeds=(an_ar(gzip.compress(a_tar()), b"data.tar.gz"),)
    ),
    "tar": Target(read=tar, seeds=(a_tar(),)),
    "store-archive": Target(read=store_archive, seeds=(an_archive(),)),
    "from-inspect": Target(read=lambda data: to_yaml(from_inspect(data, FILE)), seeds=(INSPECT,)),
    "from-pod": Target(read=lambda data: to_yaml(from_pod(data, FILE, "app")), seeds=(POD,)),
    "from-compose": Target(read=compose, seeds=(COMPOSE,)),
}
