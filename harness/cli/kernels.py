"""``harness kernels``: what there is, locked, fetched, booted, looked into."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import Accel, Adhoc, assembly, laboratory
from harness.cli.lines import complain, show
from harness.errors import HarnessError, UsageError
from harness.guest.terminal import attach
from harness.kernels import add as adding
from harness.kernels import locking, tools
from harness.kernels.lock import KERNELS_LOCK
from harness.kernels.schema import describe
from harness.scenarios.shell import container_shell
from harness.trace import census

app = typer.Typer(
    help="Kernels: listed, locked, fetched, booted, looked into, added.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A kernel, by name or alias.")]


@app.command("list")
def list_() -> None:
    """List the catalog: name, locked release, source, engine, tags."""
    with assembly() as made:
        rows = []
        for entry in made.entries:
            lock = made.locks.get(entry.name)
            rows.append(
                [
                    entry.name,
                    ", ".join(entry.aliases),
                    lock.release if lock else "not locked",
                    describe(entry.source, entry.flavour),
                    f"{entry.engine}{f' ({entry.seccomp})' if entry.seccomp else ''}",
                    str(entry.cgroup or "v2"),
                    ", ".join(entry.tags),
                ]
            )
        show(["name", "aliases", "release", "source", "engine", "cgroup", "tags"], rows)


@app.command()
def lock(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Kernels or tool sets.", show_default=False),
    ] = None,
) -> None:
    """Resolve kernels anew and write the lock file; without names all kernels.

    A tool set is locked only when it is named: its lock belongs to this package.
    """
    with assembly() as made:
        specs = tools.load_tools()
        entries = {entry.name: entry for entry in made.entries}
        wanted = names or [*entries]
        unknown = [name for name in wanted if name not in entries and name not in specs]
        if unknown:
            raise UsageError(
                f"unknown kernel or tool set {unknown[0]!r}; known: {', '.join([*entries, *specs])}"
            )
        file = made.kernel_directories[-1] / KERNELS_LOCK
        kernels = [name for name in wanted if name in entries]
        sets = [name for name in wanted if name in specs]
        done = []
        if kernels:
            done += locking.lock_kernels(kernels, made.entries, file=file, resolver=made.resolver)
        if sets:
            done += locking.lock_tools(
                sets, specs, file=tools.tools_lock_file(), resolver=made.resolver
            )
        missing = False
        for each in done:
            missing = missing or (each.after is None and bool(names))
            typer.echo(_change(each))
        if missing:
            raise typer.Exit(1)


def _change(each: locking.Locked) -> str:
    if each.after is None:
        return f"{each.name}: not locked: {each.problem}"
    after = each.after.release or f"{len(each.after.packages)} packages"
    if each.before is None:
        return f"{each.name}: {after}"
    if each.before == each.after:
        return f"{each.name}: {after}, unchanged"
    return f"{each.name}: {each.before.release or 'before'} -> {after}"


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Kernels, by name or alias.", show_default=False),
    ] = None,
) -> None:
    """Fetch kernels into the store; without names all that are locked."""
    with assembly() as made:
        chosen = [made.entry(name) for name in names] if names else list(made.entries)
        failed = False
        for entry in chosen:
            if not names and entry.name not in made.locks:
                continue
            try:
                host, _ = made.host(entry)
            except HarnessError as error:
                failed = True
                complain(f"{entry.name}: {error}")
                continue
            typer.echo(f"{entry.name}: {host.kernel.release} ({host.kernel.origin})")
        if failed:
            raise typer.Exit(1)


@app.command()
def boot(name: Name, accel: Accel = "auto", kernel: Adhoc = None) -> None:
    """Boot a kernel, say how long it took, and end it."""
    with assembly(accelerator=accel, adhoc=tuple(kernel or ())) as made:
        lab = laboratory(made)
        ready = lab.ready(made.entry(name))
        with made.apparatus.booted(ready.machine) as guest:
            said = guest.run("uname -a").stdout.decode().strip()
            seconds = ", ".join(f"{key} {value:.2f} s" for key, value in guest.durations.items())
            typer.echo(f"{said}\n{seconds} ({ready.machine.accelerator})")


@app.command()
def shell(
    name: Name,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            help="Instead of a shell; put -- before one with options.",
            show_default=False,
        ),
    ] = None,
    image: Annotated[
        str,
        typer.Option(
            metavar="REF",
            help="In a container of this image: a name of the catalog, docker://..., "
            "oci:DIR[:TAG] or docker-archive:FILE.",
            show_default=False,
        ),
    ] = "",
    accel: Accel = "auto",
    kernel: Adhoc = None,
) -> None:
    """Open a shell in a guest, or in a container of an image on that kernel."""
    with assembly(accelerator=accel, adhoc=tuple(kernel or ())) as made:
        lab = laboratory(made, *([image] if image else []))
        entry = made.entry(name)
        if image:
            status = container_shell(
                lab.request_for_shell(entry, image),
                made.apparatus,
                lab.instruments,
                command,
                terminal=sys.stdin.isatty(),
            )
            raise typer.Exit(status)
        ready = lab.ready(entry)
        with made.apparatus.booted(ready.machine) as guest:
            raise typer.Exit(attach(guest.transport, _shell_line(command)))


def _shell_line(command: list[str] | None) -> str:
    """Return what the guest's shell gets: a single word is a line of it already."""
    if not command:
        return "exec sh -l"
    return command[0] if len(command) == 1 else shlex.join(command)


@app.command()
def syscalls(
    name: Name,
    vs: Annotated[
        str,
        typer.Option(metavar="OTHER", help="Compare with this kernel.", show_default=False),
    ] = "",
    abi: Annotated[str, typer.Option(metavar="x86_64|i386", help="Whose system calls.")] = "x86_64",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    accel: Accel = "auto",
    kernel: Adhoc = None,
) -> None:
    """Print which system calls a kernel really implements, and how another differs."""
    with assembly(accelerator=accel, adhoc=tuple(kernel or ())) as made:
        lab = laboratory(made)
        table = lab.instruments.syscalls
        mine = lab.ready(made.entry(name)).survey.census
        if abi not in mine.implemented:
            raise UsageError(f"{name} runs no {abi} programs: there is no census of them")
        lacking = [table.name(n, abi) for n in census.missing(mine, table, abi)]
        facts: dict[str, object] = {
            "kernel": name,
            "release": mine.release,
            "abi": abi,
            "implemented": len(mine.implemented[abi]),
            "way": mine.ways[abi],
            "missing": lacking,
            "disagreements": list(mine.disagreements),
            "notes": list(mine.notes),
        }
        if vs:
            other = lab.ready(made.entry(vs)).survey.census
            change = census.compare(mine, other, abi)
            facts["vs"] = vs
            facts["added"] = [table.name(number, abi) for number in change.added]
            facts["removed"] = [table.name(number, abi) for number in change.removed]
        typer.echo(json.dumps(facts, indent=2) if as_json else _census_text(facts))


def _census_text(facts: dict[str, object]) -> str:
    def words(key: str) -> str:
        found = facts[key]
        return ", ".join(map(str, found)) if isinstance(found, list) and found else "none"

    lines = [
        f"{facts['kernel']} ({facts['release']}): {facts['implemented']} {facts['abi']} system "
        f"calls, by {facts['way']}",
        f"missing: {words('missing')}",
        f"the two ways disagree on: {words('disagreements')}",
    ]
    if "vs" in facts:
        lines += [
            f"{facts['vs']} adds: {words('added')}",
            f"{facts['vs']} lacks: {words('removed')}",
        ]
    notes = facts["notes"]
    return "\n".join([*lines, *(map(str, notes) if isinstance(notes, list) else ())])


@app.command()
def add(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE", help="Packages of one kernel, or a bzImage.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="What it is called from now on.", show_default=False)
    ] = "",
    host: Annotated[
        bool, typer.Option("--host", help="The running host's own kernel, instead of files.")
    ] = False,
    modules: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A bzImage's modules: lib/modules/RELEASE."),
    ] = None,
) -> None:
    """Take a kernel at hand into the user's catalog: .rpm, .deb, bzImage, or the host's own."""
    if not name or bool(paths) == host:
        raise UsageError("give --name and either files or --host")
    with assembly() as made:
        user = made.options.rootdir / "kernels"
        if host:
            added = adding.add_running(name, user=user, fetcher=made.fetcher)
        elif paths and len(paths) == 1 and paths[0].suffix not in (".rpm", ".deb"):
            added = adding.add_image(
                paths[0], name, user=user, fetcher=made.fetcher, modules=modules
            )
        else:
            added = adding.add(paths or [], name, user=user, fetcher=made.fetcher)
        typer.echo(f"{name}: {added.kernel.release}, in {user / 'catalog.yaml'}")


@app.command()
def push(
    name: Name,
    ref: Annotated[str, typer.Argument(metavar="REF", help="docker://REGISTRY/REPOSITORY[:TAG]")],
) -> None:
    """Put a kernel into a registry as an image, for a catalog entry of type oci."""
    from harness.kernels import oci_source

    with assembly() as made:
        host, _ = made.host(made.entry(name))
        typer.echo(oci_source.push(host.kernel, ref, store=made.store))


def register(into: typer.Typer) -> None:
    """Add the group of these commands."""
    into.add_typer(app, name="kernels")
