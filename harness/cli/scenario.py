"""``harness scenario``: scenarios taken over from what an operator runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness import yamlfile
from harness.errors import UsageError
from harness.report.plain import clean
from harness.scenarios.imports.draft import Draft, to_yaml
from harness.scenarios.imports.from_compose import from_compose
from harness.scenarios.imports.from_inspect import from_inspect
from harness.scenarios.imports.from_pod import from_pod
from harness.scenarios.load import scenarios_of
from harness.scenarios.values import scenario_name

app = typer.Typer(
    help="Scenarios, taken over from containers, compose files and pods.", no_args_is_help=True
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The file; - for standard input.")]
Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", metavar="FILE", help="Write here instead of standard output."),
]
Image = Annotated[
    str,
    typer.Option(metavar="REF", help="Image instead of the one that is named.", show_default=False),
]
Name = Annotated[
    str,
    typer.Option(metavar="NAME", help="What the scenario is to be called.", show_default=False),
]


@app.command("from-inspect")
def inspect(file: File, out: Out = None, image: Image = "", name: Name = "") -> None:
    """Take over a container from what `docker inspect` or `podman inspect` prints."""
    data, where = _read(file)
    _write(from_inspect(data, where, name=_checked(name), image=image), out)


@app.command("from-compose")
def compose(
    file: File,
    service: Annotated[str, typer.Argument(metavar="SERVICE")],
    out: Out = None,
    image: Image = "",
    name: Name = "",
) -> None:
    """Take over a service of a compose file, or of what `docker compose config` prints."""
    document = yamlfile.parse(*_read(file))
    _write(from_compose(document, service, name=_checked(name), image=image), out)


@app.command("from-pod")
def pod(
    file: File,
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    out: Out = None,
    image: Image = "",
    name: Name = "",
) -> None:
    """Take over a container of a Kubernetes manifest: a pod's, or a workload's template."""
    data, where = _read(file)
    _write(from_pod(data, where, container, name=_checked(name), image=image), out)


def _read(file: Path) -> tuple[bytes, Path]:
    if str(file) == "-":
        data, file = sys.stdin.buffer.read(yamlfile.MAX_BYTES + 1), Path("stdin")
    else:
        try:
            with file.open("rb") as source:
                data = source.read(yamlfile.MAX_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}") from error
    if len(data) > yamlfile.MAX_BYTES:
        raise UsageError(f"{file}: larger than {yamlfile.MAX_BYTES >> 20} MiB")
    return data, file


def _checked(name: str) -> str:
    try:
        return scenario_name(name) if name else ""
    except ValueError as error:
        raise UsageError(f"--name={name}: {error}") from error


def _write(draft: Draft, out: Path | None) -> None:
    text = to_yaml(draft)
    place = out or Path(f"{draft.name}.scenario.yaml")
    # What this tool writes it must also read.
    scenarios_of(yamlfile.parse(text.encode(), place), place.parent)
    if out is None:
        typer.echo(text, nl=False)
    else:
        try:
            with out.open("x", encoding="utf-8") as target:
                target.write(text)
        except FileExistsError:
            raise UsageError(f"{out} exists: it is not overwritten; move it away") from None
        except OSError as error:
            raise UsageError(f"{out}: {error.strerror}") from error
    for line in draft.left_out:
        sys.stderr.write(f"left out: {clean(line)}\n")
    for line in draft.remarks:
        sys.stderr.write(f"note: {clean(line)}\n")


def register(into: typer.Typer) -> None:
    """Add the group of these commands."""
    into.add_typer(app, name="scenario")
