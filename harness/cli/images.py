"""``harness images``: what there is, locked and made ready."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.common import assembly, laboratory
from harness.cli.lines import show
from harness.images import catalog
from harness.images.catalog import Recipe

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGE",
        help="Names of the catalog; for fetch also docker://..., oci:... or docker-archive:...",
        show_default=False,
    ),
]

app = typer.Typer(help="Images: listed, locked, made ready.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the catalog: name, source, locked digest."""
    with assembly() as made:
        rows = []
        for entry in laboratory(made).images.values():
            source = entry.source
            words = (
                f"Debian {source.suite}: {' '.join(source.packages) or 'essential packages'}"
                if isinstance(source, Recipe)
                else str(source)
            )
            rows.append([entry.name, words, entry.locked])
        show(["name", "source", "locked digest"], rows)


@app.command()
def lock(names: Names = None) -> None:
    """Pin the digests of images that come from registries; without names all of them."""
    with assembly() as made:
        entries = laboratory(made).images
        file = made.image_directories[-1] / catalog.LOCK_FILE
        done = catalog.lock_images(entries, file, names=names or (), progress=made.progress)
        typer.echo(f"{len(done)} images locked in {file}")


@app.command()
def fetch(
    names: Names = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="What an image may hold at most: unpacked=BYTES (K, M, G, T may follow), "
            "layers=N, files=N, depth=N; may be given several times.",
        ),
    ] = None,
) -> None:
    """Make images ready: fetched or built, unpacked in a guest, kept as a disk in the store."""
    with assembly(image_limits=limit or ()) as made:
        lab = laboratory(made, *(names or ()))
        for name in names or lab.images:
            image = lab.image(name)
            typer.echo(f"{name}: {image.digest}")


def register(into: typer.Typer) -> None:
    """Add the group of these commands."""
    into.add_typer(app, name="images")
