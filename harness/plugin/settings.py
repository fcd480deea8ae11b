"""Options and ini values: what they are called, and the plain values that they become."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.assembly import Options
    from harness.oci_limits import Limits

ENOSYS = "enosys"
"""Of --fail-on: an ENOSYS that is not known, whatever became of the program."""
FAIL_ON = ("broken", "degraded", "changed", ENOSYS)
LATEST = "latest"
"""Of --resume: the run that began, or was resumed, last."""
ACCELERATORS = ("auto", "kvm", "tcg")
BENCH = pytest.StashKey[Any]()
"""Of an item: the guests of a Python test, while it has any."""
OPENED = pytest.StashKey[bool]()
"""Of the config: this process opened a run."""
PROBLEM = pytest.StashKey[str]()
"""Of the config: what is wrong with options or catalogs, found while files were collected."""


def is_worker(config: pytest.Config) -> bool:
    """Tell whether this process runs a part of another's tests, for pytest-xdist."""
    return hasattr(config, "workerinput")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to compare, and what to make of it."""

    baseline: str = ""
    """A kernel's name; empty: nothing is compared with one."""
    compare_run: str = ""
    """An earlier run, as a user names it; empty: nothing is compared with one."""
    repeat: int = 1
    """How often the baseline's cells run, or every cell where there is no baseline."""
    check_untraced: bool = False
    fail_on: frozenset[str] = frozenset()
    update_known: bool = False
    anyway: bool = False


def declare(parser: pytest.Parser) -> None:
    """Add every option and ini value."""
    group = parser.getgroup("kernels", "container images on real kernels")
    add = group.addoption
    add(
        "--kernels",
        metavar="EXPR",
        help="kernels to run on: all, names, globs (6.*), 5.14+, 5.10..6.12, tag:lts; "
        "comma-separated (default: those tagged default)",
    )
    add(
        "--kernel",
        metavar="NAME=PATH[,modules=DIR]",
        action="append",
        default=[],
        help="also run on this bzImage; may be given several times",
    )
    add(
        "--image",
        metavar="REF",
        action="append",
        default=[],
        help="run the scenarios in this image instead of their own: a name of the catalog, "
        "docker://..., oci:DIR[:TAG] or docker-archive:FILE",
    )
    add("--accel", metavar="auto|kvm|tcg", default="auto", help="accelerator (default: auto)")
    add(
        "--guests",
        metavar="N|auto",
        default="auto",
        help="cells to run at once (default: auto, by cores and memory)",
    )
    add(
        "--allow-missing-kernels",
        action="store_true",
        help="kernels that cannot be had do not turn the exit status",
    )
    add("--cold-boot", action="store_true", help="boot every guest; use no snapshot")
    add(
        "--seccomp",
        metavar="PROFILE|PATH|unconfined",
        default="",
        help="seccomp profile instead of the host's",
    )
    add("--cap-add", metavar="CAP", action="append", default=[], help="add a capability")
    add(
        "--results",
        metavar="DIR",
        default=None,
        help="where runs are recorded (default: results below the rootdir)",
    )
    add(
        "--resume",
        metavar="RUN",
        nargs="?",
        const=LATEST,
        default="",
        help="continue an interrupted run, given as --resume=RUN by its id or the beginning of it "
        "(default: the newest), with the cells that are missing; it goes on as it was begun, with "
        "the options given now besides",
    )
    add(
        "--night",
        action="store_true",
        help="record this run as a night, which later nights are compared with "
        "(`harness nightly` gives it)",
    )
    add(
        "--report",
        choices=("html", "md", "json"),
        action="append",
        default=[],
        help="also write report.md (and append it to $GITHUB_STEP_SUMMARY) or report.json beside "
        "the run's report.html, which is always written; may be given several times",
    )
    _declare_comparing(group)
    parser.addini(
        "scenario_dirs",
        "directories whose YAML files with a key `scenarios:` are collected",
        type="args",
        default=["scenarios"],
    )
    parser.addini(
        "causes",
        "files of known causes besides scenarios/causes.yaml, relative to the rootdir",
        type="args",
        default=[],
    )
    parser.addini("kernels_dir", "catalog, locks and mirrors of kernels", default="kernels")
    parser.addini("images_dir", "catalog and lock of images", default="images")
    parser.addini(
        "image_limits",
        "what an image may hold at most, as NAME=NUMBER: unpacked (bytes; K, M, G, T may follow), "
        "layers, files, depth (of directories)",
        type="args",
        default=[],
    )


def _declare_comparing(group: pytest.OptionGroup) -> None:
    add = group.addoption
    add(
        "--baseline",
        metavar="KERNEL",
        default="",
        help="compare every cell with its own on this kernel; if that is not selected, with the "
        "newest recorded run of the same kernel, image and scenario",
    )
    add(
        "--compare-run",
        metavar="last|RUN",
        default="",
        help="compare every cell with the same one of an earlier run: the last that came to its "
        "end, or one by its id; kernels and images may be newer builds",
    )
    add(
        "--repeat",
        metavar="N",
        default="",
        help="run each cell of the baseline N times (default: 2), without --baseline every cell; "
        "what differs between these runs is noise",
    )
    add(
        "--check-untraced",
        action="store_true",
        help="run each cell once more with tracing off, and report a verdict that differs",
    )
    add(
        "--fail-on",
        metavar="|".join(FAIL_ON),
        action="append",
        default=[],
        help="findings that turn the exit status besides broken ones, and enosys: any ENOSYS that "
        "is not known; may be given several times",
    )
    add(
        "--update-known",
        action="store_true",
        help="add the findings to known.yaml in the first of scenario_dirs, to be reviewed",
    )
    add(
        "--compare-anyway",
        action="store_true",
        help="compare even what is not alike: another scenario text, another accelerator",
    )


def wanted(config: pytest.Config) -> Wanted:
    """Return what to compare.

    Raises:
        pytest.UsageError: an option has a value that does not exist.
    """
    baseline, repeat = config.getoption("baseline"), config.getoption("repeat")
    if repeat and not (repeat.isdecimal() and int(repeat) > 0):
        raise pytest.UsageError(f"--repeat={repeat}: give a number from 1 on")
    fail_on = [word.strip() for text in config.getoption("fail_on") for word in text.split(",")]
    for word in fail_on:
        if word not in FAIL_ON:
            raise pytest.UsageError(f"--fail-on={word}: give {', '.join(FAIL_ON)}")
    if baseline and config.getoption("compare_run"):
        raise pytest.UsageError(
            "--baseline and --compare-run ask for two comparisons: give one; "
            "`harness compare RUN RUN` compares runs at any time"
        )
    if config.getoption("update_known") and not baseline:
        raise pytest.UsageError("--update-known needs --baseline: nothing else has findings")
    return Wanted(
        baseline=baseline,
        compare_run=config.getoption("compare_run"),
        repeat=int(repeat or (2 if baseline else 1)),
        check_untraced=config.getoption("check_untraced"),
        fail_on=frozenset(fail_on),
        update_known=config.getoption("update_known"),
        anyway=config.getoption("compare_anyway"),
    )


def cell_name(scenario: str, image: str, kernel: str) -> str:
    """Return the name of a scenario's item; its node id is ``FILE::NAME``."""
    return f"{scenario}[{image}-{kernel}]"


def given(config: pytest.Config) -> bool:
    """Tell whether an option says that cells are wanted."""
    what = ("kernels", "kernel", "image", "seccomp", "cap_add", "cold_boot")
    names = (*what, "baseline", "compare_run", "repeat", "resume")
    return any(config.getoption(name) for name in names) or any(
        config.getoption(name) != "auto" for name in ("accel", "guests")
    )


def may_be_scenarios(path: Path, parent: pytest.Collector) -> bool:
    """Tell whether a YAML file is of the kind that is looked into at all."""
    if path.name.endswith((".scenario.yaml", ".scenario.yml")):
        return True
    if parent.session.isinitpath(path):
        return True
    config = parent.config
    return any(
        path.is_relative_to(config.rootpath / directory)
        for directory in config.getini("scenario_dirs")
    )


def ini_options(config: pytest.Config) -> Options:
    """Return what the ini file says.

    Raises:
        pytest.UsageError: a limit is none.
    """
    from harness.assembly import Options

    return Options(
        rootdir=config.rootpath,
        kernels_dir=config.rootpath / config.getini("kernels_dir"),
        images_dir=config.rootpath / config.getini("images_dir"),
        scenario_dirs=tuple(config.getini("scenario_dirs")),
        causes=tuple(config.getini("causes")),
        image_limits=_image_limits(config.getini("image_limits")),
    )


def options_of(config: pytest.Config) -> Options:
    """Return the session's options in plain values.

    Raises:
        pytest.UsageError: one has a value that does not exist.
    """
    from harness.scenarios.values import capability

    accelerator = config.getoption("accel")
    if accelerator not in ACCELERATORS:
        raise pytest.UsageError(f"--accel={accelerator}: give {', '.join(ACCELERATORS)}")
    guests = config.getoption("guests")
    if guests != "auto" and not (guests.isdecimal() and int(guests) > 0):
        raise pytest.UsageError(f"--guests={guests}: give auto, or a number from 1 on")
    try:
        cap_add = tuple(capability(name) for name in config.getoption("cap_add"))
    except ValueError as error:
        raise pytest.UsageError(f"--cap-add: {error}") from error
    return replace(
        ini_options(config),
        kernels=config.getoption("kernels"),
        adhoc=tuple(config.getoption("kernel")),
        accelerator=accelerator,
        seccomp=config.getoption("seccomp"),
        cap_add=cap_add,
        cold_boot=config.getoption("cold_boot"),
        guests=guests,
    )


def _image_limits(words: list[str]) -> Limits:
    from harness.errors import UsageError
    from harness.oci_limits import limits

    try:
        return limits(words)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def results_of(config: pytest.Config) -> Path:
    """Return the directory that runs are recorded in."""
    return results_below(config, config.getoption("results"))


def results_below(config: pytest.Config, given: str | None) -> Path:
    """Return the directory that ``--results`` means, also before options are parsed."""
    return config.invocation_params.dir / given if given else config.rootpath / "results"


def begun(config: pytest.Config) -> dict[str, Any]:
    """Return how a session was begun, in values that reach xdist's workers."""
    return {
        "command": ("pytest", *map(str, config.invocation_params.args)),
        "directory": str(config.invocation_params.dir),
        "rootdir": str(config.rootpath),
        "night": bool(config.getoption("night")),
    }
