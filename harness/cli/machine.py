"""``harness doctor`` and ``harness bench``: this machine, and how fast it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import assembly, laboratory, show


def doctor() -> None:
    """Say what is installed, which accelerator works, how large the store is, and each remedy."""
    from harness.doctor import examine

    with assembly() as made:
        findings = examine(made)
        show(
            ["", "what", "found", "remedy"],
            [[f.mark, f.what, f.found, f.remedy] for f in findings],
        )
        if any(finding.needed and not finding.good for finding in findings):
            raise typer.Exit(1)


def bench(
    kernels: Annotated[str, typer.Option(help="as pytest's --kernels")] = "tag:lts,latest",
    out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
    repeat: Annotated[int, typer.Option(help="runs of each figure")] = 5,
    accel: Annotated[str, typer.Option("--accel")] = "auto",
) -> None:
    """Measure cold boots, restores, a cell's cost and tracing's, as ratios in one run."""
    from harness import bench as benchmark

    with assembly(accelerator=accel) as made:
        figures = benchmark.measure(laboratory(made), kernels, repeat)
        typer.echo(benchmark.table(figures))
        if out is not None:
            out.write_text(json.dumps(figures, indent=2) + "\n")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(doctor)
    app.command()(bench)
