"""A real rpm repository for tests: rpmbuild, rpmsign, and metadata by createrepo_c."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from aptarchive import Handler, Signer, bzimage, command

from harness.model.hosts import RpmSource

PROGRAMS = {"rpmbuild": "rpm", "rpmsign": "rpm", "rpmkeys": "rpm", "rpm2archive": "rpm2cpio"}

SPEC = """\
Name: {name}
Version: {version}
Release: {release}
{extra}
Summary: {name} for a test
License: none
%description
For a test.
%install
cp -a {tree}/. %{{buildroot}}
%files
{files}
"""

QUIET = {
    "_build_id_links": "none",
    "__os_install_post": "%{nil}",
    "_buildhost": "localhost",
    "debug_package": "%{nil}",
}


def require_programs() -> None:
    """Fail, and say so, where rpm is missing: these tests are not to be skipped."""
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if missing:
        pytest.fail(f"the package {' and '.join(sorted(missing))} is not installed")


class Repository:
    """A repository under ``root``; :meth:`publish` writes its metadata."""

    def __init__(self, root: Path, signer: Signer) -> None:
        require_programs()
        self.root = root
        self.signer = signer
        self.packages = root / "Packages"
        self.packages.mkdir(parents=True)
        self.repodata = root / "repodata"

    def source(self, *bases: str, packages: Sequence[str], signed: bool = True) -> RpmSource:
        return RpmSource(
            bases=bases, packages=tuple(packages), keys=("test",), signed_metadata=signed
        )

    def add(
        self,
        name: str,
        version: str,
        release: str,
        files: Mapping[str, bytes | Path],
        *,
        payload: str = "w6.xzdio",
        architecture: str = "x86_64",
        signer: Signer | None = None,
        sign: bool = True,
        extra: str = "",
    ) -> Path:
        """Build a package of ``files`` (content, or where it is), signed unless said otherwise."""
        build = self.root.parent / f"build-{name}-{version}-{release}-{architecture}"
        tree = build / "tree"
        for path, content in files.items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, target)
            else:
                target.write_bytes(content)
        spec = build / "package.spec"
        listed = "\n".join(f"/{path}" for path in files)
        fields = {"name": name, "version": version, "release": release, "extra": extra}
        spec.write_text(SPEC.format(**fields, tree=tree, files=listed))
        defines = {
            **QUIET,
            "_topdir": str(build),
            "_rpmdir": str(build / "out"),
            "_binary_payload": payload,
        }
        options = [word for item in defines.items() for word in ("--define", " ".join(item))]
        command("rpmbuild", "-bb", "--quiet", "--target", architecture, *options, spec)
        (built,) = (build / "out").rglob("*.rpm")
        if sign:
            sign_package(built, signer or self.signer)
        package = self.packages / built.name
        shutil.move(built, package)
        shutil.rmtree(build)
        return package

    def publish(self, *options: str, sign: bool = True) -> None:
        """Write the metadata anew, by createrepo_c with ``options``, and sign it."""
        shutil.rmtree(self.repodata, ignore_errors=True)
        program = "import createrepo_c; createrepo_c.createrepo_c()"
        words: list[str | Path] = ["--quiet", "--no-database", *options, self.root]
        command(sys.executable, "-c", program, *words)
        if sign:
            self.sign(self.signer)

    def sign(self, signer: Signer) -> None:
        repomd = self.repodata / "repomd.xml"
        signer.gpg("--armor", "--output", f"{repomd}.asc", "--detach-sign", str(repomd))

    def primary(self) -> Path:
        (found,) = self.repodata.glob("*-primary.xml*")
        return found


def sign_package(package: Path, signer: Signer, *, old: bool = False) -> None:
    """Sign a package; ``old``: its header, and header and payload together, as el7's were."""
    gpg = shutil.which("gpg")
    defines = (f"__gpg {gpg}", f"_gpg_path {signer.home}", f"_gpg_name {signer.fingerprint}")
    options = [word for define in defines for word in ("--define", define)]
    command("rpmsign", *options, *(["--rpmv3"] if old else []), "--addsign", package)


def flip(file: Path, where: float = 0.5) -> None:
    """Change one bit of a file, at a part of its length."""
    data = bytearray(file.read_bytes())
    data[int(len(data) * where)] ^= 1
    file.write_bytes(data)


def el7(repository: Repository) -> str:
    """Everything in one package, as CentOS 7 has it."""
    release = "1160.el7"
    uname = f"3.10.0-{release}.x86_64"
    files = {
        f"boot/vmlinuz-{uname}": bzimage(uname),
        f"boot/System.map-{uname}": b"map",
        f"lib/modules/{uname}/kernel/fs/ext4/ext4.ko.xz": b"ext4",
        f"lib/modules/{uname}/kernel/net/veth.ko.xz": b"veth",
        f"lib/modules/{uname}/modules.builtin": b"kernel/x.ko",
    }
    extra = f"Provides: kernel-uname-r = 3.10.0-{release}.x86_64"
    package = repository.add(
        "kernel", "3.10.0", release, files, sign=False, payload="w6.gzdio", extra=extra
    )
    sign_package(package, repository.signer, old=True)
    return uname


def el8(repository: Repository, release: str = "553.el8_10") -> str:
    """The image in kernel-core, more modules in kernel-modules, xz payloads."""
    uname = f"4.18.0-{release}.x86_64"
    modules = f"lib/modules/{uname}"
    core = {
        f"{modules}/vmlinuz": bzimage(uname),
        f"{modules}/config": b"CONFIG=y",
        f"{modules}/kernel/fs/ext4/ext4.ko.xz": b"ext4",
        f"{modules}/modules.order": b"kernel/fs/ext4/ext4.ko",
    }
    repository.add("kernel-core", "4.18.0", release, core)
    more = {f"{modules}/kernel/net/veth.ko.xz": b"veth"}
    repository.add("kernel-modules", "4.18.0", release, more)
    return uname


def el9(repository: Repository) -> str:
    """As el8, with kernel-modules-core between the two, and zstd payloads."""
    release = "570.12.1.el9_6"
    uname = f"5.14.0-{release}.x86_64"
    modules = f"lib/modules/{uname}"
    image = {f"{modules}/vmlinuz": bzimage(uname)}
    repository.add("kernel-core", "5.14.0", release, image, payload="w19.zstdio")
    core = {f"{modules}/kernel/fs/ext4/ext4.ko.xz": b"ext4"}
    repository.add("kernel-modules-core", "5.14.0", release, core, payload="w19.zstdio")
    more = {f"{modules}/kernel/net/veth.ko.xz": b"veth"}
    repository.add("kernel-modules", "5.14.0", release, more, payload="w19.zstdio")
    return uname


def to_itself(handler: Handler) -> None:
    """Redirect to the same address, for ever."""
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def stalled(handler: Handler) -> None:
    """Promise a file, and send nothing of it until the test is over."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.flush()
    handler.server.finished.wait(30)
    handler.close_connection = True


Layout = Callable[[Repository], str]
