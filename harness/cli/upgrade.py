"""``harness upgrade``: what changes for images on another kernel, or on one for a newer image."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import Accel, assembly, laboratory
from harness.cli.history import RESULTS, Results
from harness.cli.lines import complain
from harness.errors import HarnessError, UsageError
from harness.kernels.catalog import parse_adhoc
from harness.laboratory import Laboratory
from harness.plugin.signals import terminated_as_interrupted
from harness.recording import command_meta
from harness.report.advice import advice_text
from harness.report.contents import load
from harness.report.files import Format, write
from harness.results.meta import RunMeta
from harness.results.runs import RunDir
from harness.upgrade import Upgrade, carry_out
from harness.upgrade_plan import Plan, of_images, of_kernels
from harness.verdicts.outcome import counts, outcome_of
from harness.verdicts.upgrade import Status, exit_status

CHANGED = "changed"


def upgrade(
    before: Annotated[
        str,
        typer.Option("--from", metavar="KERNEL", help="The kernel that is.", show_default=False),
    ] = "",
    after: Annotated[
        str,
        typer.Option(
            "--to", metavar="KERNEL", help="The kernel that is to be.", show_default=False
        ),
    ] = "",
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REF",
            help="An image: a name of the catalog, docker://..., oci:DIR[:TAG] or "
            "docker-archive:FILE; may be given several times.",
            show_default=False,
        ),
    ] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=PATH[,modules=DIR]]",
            help="The kernel for --from-image; with = also this bzImage, under that name.",
            show_default=False,
        ),
    ] = None,
    from_image: Annotated[
        str, typer.Option(metavar="REF", help="The image that is.", show_default=False)
    ] = "",
    to_image: Annotated[
        str, typer.Option(metavar="REF", help="The image that is to be.", show_default=False)
    ] = "",
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Run this instead of the scenarios that fit; may be given several times.",
            show_default=False,
        ),
    ] = None,
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm", help="Try each cause out on the kernel on which the image works."
        ),
    ] = False,
    fail_on: Annotated[
        str,
        typer.Option(metavar=CHANGED, help="Status 4 where something changed.", show_default=False),
    ] = "",
    results: Results = RESULTS,
    accel: Accel = "auto",
) -> None:
    """Say for each image whether it is safe on another kernel: run it on both, and compare.

    Without --scenario those scenarios run that fit the image by its name; for an image that none
    names, its own command, its shell and its package tools are tried. With --from-image and
    --to-image it is the other way round: one kernel, two images.

    The exit status is 0 (safe), 1 (broken), 2 (could not run), 3 (unknown), 4 (changed, with
    --fail-on=changed); with several answers the first of 2, 1, 4, 3, 0.
    """
    wanted = _Wanted(
        kernels=tuple(filter(None, (before, after))),
        images=tuple(image or ()),
        on=tuple(text for text in kernel or () if "=" not in text),
        adhoc=tuple(text for text in kernel or () if "=" in text),
        replaced=tuple(filter(None, (from_image, to_image))),
        scenarios=tuple(scenario or ()),
        confirm=confirm,
    )
    try:
        if fail_on not in ("", CHANGED):
            raise UsageError(f"--fail-on={fail_on}: give {CHANGED}; a breakage always counts")
        _check(wanted)
        with terminated_as_interrupted():
            text, status = _decided(wanted, results, accel, fail_on_changed=bool(fail_on))
    except HarnessError as error:
        complain(error)
        raise typer.Exit(Status.COULD_NOT_RUN) from error
    typer.echo(text, nl=False)
    raise typer.Exit(status)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the command line asks for."""

    kernels: tuple[str, ...]
    images: tuple[str, ...]
    on: tuple[str, ...]
    """The kernel on which an image is replaced."""
    adhoc: tuple[str, ...]
    replaced: tuple[str, ...]
    scenarios: tuple[str, ...]
    confirm: bool


def _check(wanted: _Wanted) -> None:
    if not wanted.replaced:
        if len(wanted.kernels) != 2 or wanted.on:
            raise UsageError(
                "name two kernels by --from and --to, or a kernel by --kernel and two images by "
                "--from-image and --to-image"
            )
        return
    if len(wanted.replaced) != 2 or len(wanted.on or wanted.adhoc) != 1:
        raise UsageError("name one kernel by --kernel, and two images by --from-image, --to-image")
    if wanted.kernels or wanted.images:
        raise UsageError("--from, --to and --image do not go with --from-image and --to-image")
    if wanted.confirm:
        raise UsageError("--confirm needs a kernel on which the image works: it goes with --from")


def _decided(
    wanted: _Wanted, results: Path, accel: str, *, fail_on_changed: bool
) -> tuple[str, Status]:
    """Carry out what is wanted; return what is to be printed, and the exit status."""
    expression = ",".join((*wanted.kernels, *wanted.on)) or None
    with assembly(accelerator=accel, adhoc=wanted.adhoc, kernels=expression) as made:
        lab = laboratory(made, *wanted.images, *wanted.replaced)
        plan = _plan(wanted, lab)
        _ = made.apparatus  # QEMU's absence is said before anything is recorded
        run = RunDir.create(results, RunMeta())
        done = carry_out(plan, lab, run, confirm=wanted.confirm, say=made.progress.say)
        status = exit_status(done.advices, fail_on_changed=fail_on_changed)
        kinds = counts(outcome_of(one) for one in done.observations)
        meta = run.finish(_meta(run, plan, done, lab), kinds, status)
    write(load(run.path), Format.HTML)
    releases = {kernel.name: kernel.release for kernel in meta.kernels if kernel.release}
    text = advice_text(plan.title, releases, done.advices)
    return f"{text}Recorded in {run.path}; for a browser: report.html\n", status


def _plan(wanted: _Wanted, lab: Laboratory) -> Plan:
    if not wanted.replaced:
        sides = [lab.assembly.entry(name) for name in wanted.kernels]
        return of_kernels(lab, sides[0], sides[1], wanted.images, wanted.scenarios)
    name = wanted.on[0] if wanted.on else parse_adhoc(wanted.adhoc[0]).name
    before, after = wanted.replaced
    return of_images(lab, lab.assembly.entry(name), before, after, wanted.scenarios)


def _meta(run: RunDir, plan: Plan, done: Upgrade, lab: Laboratory) -> RunMeta:
    places = (
        (place.entry, place.image)
        for question in plan.questions
        for row in question.rows
        for place in (row.before, row.after)
    )
    command = ("harness", *sys.argv[1:])
    return command_meta(run.read_meta(), lab, command, places, done.observations)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(upgrade)
