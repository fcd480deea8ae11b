"""``harness store``: what is kept, whether it is intact, and how it travels."""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer

from harness import archive
from harness.assembly import Assembly
from harness.cli.common import assembly, laboratory
from harness.cli.history import RESULTS, Results
from harness.cli.lines import complain, show
from harness.errors import UsageError, VerificationError
from harness.images import prepare
from harness.intake import take_in_missing
from harness.kernels import selection
from harness.model.hosts import HostEntry
from harness.report.plain import clean
from harness.results.history import History
from harness.results.retention import KEEP_DAYS, drop_runs
from harness.store import Entry

app = typer.Typer(
    help="The artefact store: kernels, guest tools, images, snapshots; each made once, and kept.",
    no_args_is_help=True,
)
_DAY = 86400.0


@app.command()
def ls() -> None:
    """List what the store holds, the largest first."""
    with assembly() as made:
        entries = sorted(made.store.entries(), key=lambda entry: -entry.size)
        now = time.time()
        rows = [
            [
                entry.kind,
                entry.key[:16],
                f"{entry.size / 1e6:.1f}",
                f"{(now - entry.used) / _DAY:.1f}",
                entry.label,
            ]
            for entry in entries
        ]
        show(["kind", "key", "MB", "days unused", "what"], rows)
        typer.echo(f"{sum(e.size for e in entries) / 1e6:.0f} MB in {made.store.root}")


@app.command()
def gc(
    keep: Annotated[
        float,
        typer.Option(metavar="DAYS", min=0.0, help="Entries used and runs begun since then stay."),
    ] = KEEP_DAYS,
    results: Results = RESULTS,
) -> None:
    """Remove what was not used for some days, what killed processes left, and old runs.

    What became of the runs' cells stays in the history.
    """
    with assembly() as made:
        gone = made.store.gc(keep * _DAY)
        typer.echo(f"{len(gone)} entries removed, {sum(e.size for e in gone) / 1e6:.0f} MB")
    if results.is_dir():
        with History.open(results) as history:
            take_in_missing(history, results)
            runs = drop_runs(results, history, keep, datetime.now(UTC))
        typer.echo(f"{len(runs)} runs removed")


@app.command()
def verify(
    drop: Annotated[
        bool, typer.Option("--drop", help="Remove each damaged entry: it is made anew when needed.")
    ] = False,
) -> None:
    """Check every file of the store against its name and against what was recorded.

    What is named by its content (packages, blobs of images) is held against its name; all else
    against the sha256, of snapshots and empty disks the size, taken when it was made.
    """
    with assembly() as made:
        flaws = list(made.store.audit())
        bad = [flaw for flaw in flaws if flaw.problems]
        for flaw in bad:
            complain(f"{flaw.kind}/{flaw.key} ({flaw.label or 'unreadable'}) is damaged")
            for problem in flaw.problems:
                sys.stderr.write(f"  {clean(problem)}\n")
            if drop:
                made.store.drop(flaw.kind, flaw.key)
        if not bad:
            typer.echo(f"{len(flaws)} entries intact")
            return
        count = f"{len(bad)} of {len(flaws)} entries"
        if drop:
            complain(f"{count} were damaged and are removed; they are made anew when needed")
        else:
            complain(
                f"{count} are damaged: `harness verify --drop` removes them; they are made anew "
                "when needed"
            )
        raise typer.Exit(1)


@app.command("export")
def export_(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Kernels (as pytest's --kernels has them) and images.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All locked kernels and all images of the catalog.")
    ] = False,
) -> None:
    """Write kernels and images, with all guest tools, to standard output.

    For a machine that reaches no mirror and no registry: `harness store export 5.10 redis >FILE`
    here, `harness store import FILE` there. What the store lacks is fetched or built first.
    """
    if bool(names) == everything:
        raise UsageError("give names of kernels and images, or --all")
    if sys.stdout.isatty():
        raise UsageError("an archive is nothing for a terminal: add `>FILE`")
    with assembly() as made:
        packed = archive.pack(made.store, _meant(made, names or ()), sys.stdout.buffer)
        made.progress.say(
            f"{packed.entries} entries, {packed.size / 1e6:.1f} MB, sha256 {packed.sha256}"
        )


def _meant(made: Assembly, names: Sequence[str]) -> list[Entry]:
    """Return the store's entries that kernels and images consist of; without names, all."""
    lab = laboratory(made)
    kernels = [] if names else [entry for entry in made.entries if entry.name in made.locks]
    images = [] if names else list(lab.images)
    for name in names:
        found = _kernels(made, name, also_image=name in lab.images)
        kernels += found
        images += [name] if name in lab.images else []
    apparatus = made.apparatus
    trees = [apparatus.tool_set(name).root.parent for name in apparatus.specs]
    trees += [made.host(entry)[0].kernel.vmlinuz.parent for entry in kernels]
    for name in images:
        trees.append(prepare.obtain(lab.images[name], workshop=lab.workshop).layout.root.parent)
        trees.append(lab.image(name).disk.parent)
    wanted = {(tree.parent.name, tree.name) for tree in trees}
    return [entry for entry in made.store.entries() if (entry.kind, entry.key) in wanted]


def _kernels(made: Assembly, name: str, *, also_image: bool) -> list[HostEntry]:
    try:
        return selection.select(name, made.entries, made.locks)
    except UsageError as error:
        if also_image:
            return []
        raise UsageError(
            f"{name!r} is neither an image of the catalog nor a kernel: {error}"
        ) from (error)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `harness store export` wrote; - for stdin.")
    ],
    sha256: Annotated[
        str,
        typer.Option(
            metavar="HEX",
            help="What FILE's sha256 must be; nothing of another one is looked at.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Take an archive into the store, once all of it was verified.

    Its contents are held against the sha256 sums inside; that it is the archive you meant, the
    sha256 of the whole tells, which both commands print, and which --sha256 asks for.
    """
    with assembly() as made:
        with _opened(file) as source:
            if sha256:
                _hold(source, sha256)
            done = archive.unpack(made.store, source, sha256.lower())
        rows = [
            [a.kind, a.label, f"{a.size / 1e6:.1f}", "" if a.new else "was there"]
            for a in done.arrived
        ]
        show(["kind", "what", "MB", ""], rows)
        new = sum(arrived.new for arrived in done.arrived)
        typer.echo(f"{new} of {len(done.arrived)} entries new; sha256 {done.sha256}")


def _opened(file: Path) -> AbstractContextManager[BinaryIO]:
    if str(file) == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return file.open("rb")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


def _hold(source: BinaryIO, sha256: str) -> None:
    """Hold a file against the sha256 that it must have, and rewind it.

    Raises:
        UsageError: that is no sha256, or the file can be read only once.
        VerificationError: it has another one.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"--sha256 {sha256!r}: a sha256 has 64 hexadecimal digits")
    if not source.seekable():
        raise UsageError("--sha256 reads the archive twice: give it as a file, not by a pipe")
    found = hashlib.file_digest(cast(BufferedReader, source), "sha256").hexdigest()
    if found != sha256.lower():
        raise VerificationError(f"the archive has the sha256 {found}: it is not the one you mean")
    source.seek(0)


def register(into: typer.Typer) -> None:
    """Add the group of these commands, and the one that has a short name as well."""
    into.add_typer(app, name="store")
    into.command()(verify)
