"""``harness doctor`` and ``harness bench``: this machine, and how fast it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.common import Accel, Adhoc, assembly, laboratory
from harness.cli.lines import show
from harness.errors import UsageError


def doctor() -> None:
    """Say what this machine has and lacks, and the remedy for each.

    The exit status is 1 when something is missing without which no cell runs.
    """
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
    kernels: Annotated[
        str, typer.Option(metavar="EXPR", help="Kernels to measure, as pytest's --kernels has it.")
    ] = "tag:lts,latest",
    out: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.")
    ] = None,
    repeat: Annotated[int, typer.Option(metavar="N", min=1, help="Runs of each figure.")] = 5,
    with_matrix: Annotated[
        bool, typer.Option("--matrix", help="Also time pytest here, three times; takes long.")
    ] = False,
    with_growth: Annotated[
        bool,
        typer.Option("--growth", help="Also time sessions of 10, 100 and 1,000 cells; takes long."),
    ] = False,
    with_virtme: Annotated[
        bool, typer.Option("--virtme-ng", help="Also time virtme-ng, where it is installed.")
    ] = False,
    with_channel: Annotated[
        bool,
        typer.Option(
            "--channel",
            help="Instead, stress the way to a guest of each kernel: 10,000 commands, 100 MB each "
            "way, eight sessions at once, cuts; takes minutes a kernel.",
        ),
    ] = False,
    kernel: Adhoc = None,
    accel: Accel = "auto",
) -> None:
    """Measure boots, restores, a cell's cost and tracing's, in turn and as ratios."""
    from harness import bench as benchmark

    if out is not None and not out.parent.is_dir():
        raise UsageError(f"--json={out}: there is no directory {out.parent}")
    with assembly(accelerator=accel, adhoc=tuple(kernel or ())) as made:
        lab = laboratory(made)
        if with_channel:
            stressed = benchmark.stress(lab, kernels, benchmark.Load())
            _conclude({"kernels": stressed}, out)
            return
        lab.images.update(benchmark.IMAGES)
        figures = benchmark.measure(lab, kernels, repeat, neighbour=with_virtme)
        if with_matrix:
            figures["matrix"] = benchmark.matrix(lab, kernels)
        if with_growth:
            figures["growth"] = benchmark.growth(lab, kernels)
        typer.echo(benchmark.table(figures))
        _conclude(figures, out)


def _conclude(figures: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n")
    if any("problem" in kernel for kernel in figures["kernels"]):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(doctor)
    app.command()(bench)
