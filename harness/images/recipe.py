"""Debian recipes: packages in, an OCI layout out, by mmdebstrap and without root.

What all images of a suite share, its essential packages and package lists, is made once and kept;
an image adds its own packages to that. The last word on the layer is this module's: times are
clamped to the suite's release date, so that the same packages give the same bytes.
"""

from __future__ import annotations

import email.utils
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import oci_layout, process
from harness.errors import HarnessError, ImageError, ToolError, UnavailableError
from harness.images.catalog import Recipe
from harness.images.rootfs import rewrite
from harness.packages.download import Fetcher
from harness.progress import Progress
from harness.store import Store, digest_of

ARCHIVE = "http://deb.debian.org/debian"
"""The canonical archive, which images name in their sources.list wherever they came from."""

BUILD_LIMIT = 1800.0
"""Seconds for one run of mmdebstrap."""

_BASE = "base.tar"
_DOCUMENTATION = ("doc/*", "doc-base/*", "info/*", "locale/*", "lintian/*", "linda/*", "man/*/*")
"""Below /usr/share. man's own directories stay: update-alternatives fails without them."""

_ROOMY = 4 << 30
"""Bytes that must be free before a root file system is built in memory."""

_BASE_FORMAT = 2
_LAYER_FORMAT = 1
"""To be raised whenever this module makes something else of the same recipe."""


@dataclass(frozen=True, slots=True)
class _Suite:
    """A suite as the mirror has it at the moment; what it says is checked by apt later."""

    name: str
    components: tuple[str, ...]
    date: str
    epoch: int
    foreign: tuple[str, ...] = ()


def key(recipe: Recipe) -> str:
    """Return the store key of a recipe's image: the recipe, and who builds it.

    The suite's state is not part of it: an image stays what it was until it is refreshed.
    """
    facts = asdict(recipe)
    if not recipe.foreign:
        del facts["foreign"]  # as it was before there were any: what is in stores stays good
    return digest_of("recipe", _LAYER_FORMAT, facts)


def build(
    recipe: Recipe,
    layout: Path,
    *,
    name: str,
    store: Store,
    fetcher: Fetcher,
    keyring: Path,
    progress: Progress,
) -> None:
    """Make the image of ``recipe`` as an OCI layout in the new directory ``layout``.

    Raises:
        ToolError: mmdebstrap is missing, or user namespaces are not to be had.
        UnavailableError: the mirror cannot be reached, or lacks a package file.
        ImageError: the suite has no such package.
    """
    process.find("mmdebstrap", "mmdebstrap")
    suite = _suite(recipe, fetcher)
    base = _base(suite, store=store, fetcher=fetcher, keyring=keyring, progress=progress)
    progress.say(f"image {name}: building from {suite.name}'s packages")
    with _workspace(store) as work:
        root = work / "root.tar"
        words = ("--variant=custom", "--skip=update", _unpack(base, work))
        packages = [_install(recipe.packages)] if recipe.packages else []
        source = _source(suite, fetcher)
        _mmdebstrap((*words, *packages), suite, source, root, work, keyring, f"image {name}")
        layer = work / "layer.tar"
        sources = f"deb {ARCHIVE} {suite.name} {' '.join(suite.components)}\n"
        rewrite(root, layer, recipe=recipe, sources=sources, epoch=suite.epoch)
        history = f"mmdebstrap {suite.name} {' '.join(recipe.packages)} ({suite.date})"
        oci_layout.write(layout, layer, recipe.config, history=history)


def _suite(recipe: Recipe, fetcher: Fetcher) -> _Suite:
    url = f"{ARCHIVE}/dists/{recipe.suite}/InRelease"
    text = fetcher.read(url).decode(errors="replace")
    found = re.search(r"^Date: (.+)$", text, re.MULTILINE)
    try:
        moment = email.utils.parsedate_to_datetime(found[1] if found else "")
    except ValueError as error:
        raise UnavailableError(f"{fetcher.mirrored(url)} is no release file: no Date") from error
    return _Suite(
        name=recipe.suite,
        components=recipe.components,
        date=f"{moment:%Y-%m-%d}",
        epoch=int(moment.timestamp()),
        foreign=recipe.foreign,
    )


def _base(
    suite: _Suite, *, store: Store, fetcher: Fetcher, keyring: Path, progress: Progress
) -> Path:
    source = _source(suite, fetcher)

    def make(entry: Path) -> None:
        progress.say(f"Debian {suite.name}: fetching and unpacking the essential packages")
        with _workspace(store) as work:
            made = work / _BASE
            words = ("--variant=essential", "--skip=cleanup/apt/lists")
            _mmdebstrap(words, suite, source, made, work, keyring, f"Debian {suite.name}")
            shutil.move(made, entry / _BASE)

    made_from = digest_of(
        "base", _BASE_FORMAT, suite.name, suite.components, suite.epoch, source, *suite.foreign
    )
    return store.make("bases", made_from, f"Debian {suite.name}, essential", make) / _BASE


def _source(suite: _Suite, fetcher: Fetcher) -> str:
    return f"deb {fetcher.mirrored(ARCHIVE)} {suite.name} {' '.join(suite.components)}"


def _unpack(base: Path, work: Path) -> str:
    """Return the hook that unpacks a base; not `tar-in`, which at times dies of SIGPIPE.

    Inside, apt and tar are another user: the base is copied to where that one can read it.
    """
    readable = work / _BASE
    shutil.copyfile(base, readable)
    readable.chmod(0o644)
    words = "tar --extract --numeric-owner --xattrs '--xattrs-include=*' --exclude='./dev/*'"
    return f'--setup-hook={words} --directory="$1" --file={shlex.quote(str(readable))}'


def _install(packages: Sequence[str]) -> str:
    """Return the hook that has apt install packages, in its order, as mmdebstrap would.

    `--include` would hand them all to one dpkg here, and some want others configured first
    (ca-certificates-java). The names are known to be names, nothing that a shell would take up.
    """
    words = (
        "apt-get --yes -o Dir::Bin::dpkg=env -o DPkg::Options::=--unset=TMPDIR "
        '-o DPkg::Options::=dpkg -o DPkg::Chroot-Directory="$1" install'
    )
    return (
        f'--customize-hook=APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" {words} {shlex.join(packages)} >&2'
    )


@contextmanager
def _workspace(store: Store) -> Iterator[Path]:
    """A directory that others may enter: in a user namespace, apt is somebody else.

    In memory where there is plenty: dpkg waits for the disk after every file otherwise.
    """
    memory = Path("/dev/shm")  # noqa: S108 - only as a parent
    parent = memory if _fits(memory) else None
    with tempfile.TemporaryDirectory(prefix="pytest-kernels-", dir=parent) as path:
        work = Path(path)
        work.chmod(0o755)
        yield work


def _fits(directory: Path) -> bool:
    try:
        facts = os.statvfs(directory)
    except OSError:
        return False
    refused = os.ST_NOEXEC | (os.ST_NODEV if os.geteuid() == 0 else 0)
    available = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    return (
        not facts.f_flag & refused
        and facts.f_bavail * facts.f_frsize > _ROOMY
        and available is not None
        and int(available[1]) << 10 > 2 * _ROOMY
    )


def _mmdebstrap(
    words: Sequence[str],
    suite: _Suite,
    source: str,
    target: Path,
    work: Path,
    keyring: Path,
    what: str,
) -> None:
    readable = work / "keyring.gpg"
    if not readable.exists():
        shutil.copyfile(keyring, readable)
        readable.chmod(0o644)
    options = [
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--format=tar",
        f"--architectures={','.join(('amd64', *suite.foreign))}",
        f"--keyring={readable}",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=Acquire::Retries "3"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}" for name in _DOCUMENTATION),
    ]
    done = process.run(
        ["mmdebstrap", *options, *words, suite.name, target, source],
        limit=BUILD_LIMIT,
        env=_environment(work, suite.epoch),
        check=False,
    )
    if done.status != 0:
        raise _translated(done.stderr.decode(errors="replace"), what, suite.name)


def _environment(work: Path, epoch: int) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("HOME", "USER", "LOGNAME") or name.lower().endswith("_proxy")
    }
    return {
        **kept,
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": str(work),
        "SOURCE_DATE_EPOCH": str(epoch),
    }


def _translated(stderr: str, what: str, suite: str) -> HarnessError:
    lines = [line.strip() for line in stderr.splitlines()]
    told = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    said = "; ".join(dict.fromkeys(told))[:600] or (lines[-1] if lines else "no message")
    if re.search(r"newuidmap|newgidmap|subuid|subgid|unshare|user namespace|unprivileged", said):
        return ToolError(
            f"{what}: mmdebstrap cannot have a user namespace: install the package uidmap, give "
            "this user a range in /etc/subuid and /etc/subgid (`usermod --add-subuids`), and see "
            f"that sysctl kernel.unprivileged_userns_clone is 1; or build as root ({said})"
        )
    if missing := re.findall(r"Unable to locate package (\S+)|Package '(\S+)' has no", said):
        names = ", ".join(sorted({"".join(name) for name in missing}))
        return ImageError(f"{what}: Debian {suite} has no package {names}")
    if re.search(r"Failed to fetch|Unable to fetch|Could not (connect|resolve)|Hash Sum", stderr):
        return UnavailableError(f"{what}: the mirror does not deliver: {said}")
    if re.search(r"No space left on device", stderr):
        return ToolError(f"{what}: no space left in {tempfile.gettempdir()}: set TMPDIR ({said})")
    return ToolError(f"{what}: mmdebstrap failed: {said}")
