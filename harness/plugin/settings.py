"""Options and ini values: what they are called, and the plain values that they become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.assembly import Options

DEFAULT_DIRS = ("scenarios",)
ACCELERATORS = ("auto", "kvm", "tcg")
BENCH = pytest.StashKey[Any]()
"""Of an item: the guests of a Python test, while it has any."""
OPENED = pytest.StashKey[bool]()
"""Of the config: this process opened a run."""
PROBLEM = pytest.StashKey[str]()
"""Of the config: what is wrong with options or catalogs, found while files were collected."""


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
    parser.addini(
        "scenario_dirs",
        "directories whose YAML files with a key `scenarios:` are collected",
        type="args",
        default=list(DEFAULT_DIRS),
    )
    parser.addini("kernels_dir", "catalog, locks and mirrors of kernels", default="kernels")
    parser.addini("images_dir", "catalog and lock of images", default="images")


def given(config: pytest.Config) -> bool:
    """Tell whether an option says that cells are wanted."""
    names = ("kernels", "kernel", "image", "seccomp", "cap_add", "cold_boot")
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


def options_of(config: pytest.Config) -> Options:
    """Return the session's options in plain values.

    Raises:
        pytest.UsageError: one has a value that does not exist.
    """
    from harness.assembly import Options
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
    return Options(
        rootdir=config.rootpath,
        kernels=config.getoption("kernels"),
        adhoc=tuple(config.getoption("kernel")),
        kernels_dir=config.rootpath / config.getini("kernels_dir"),
        images_dir=config.rootpath / config.getini("images_dir"),
        accelerator=accelerator,
        seccomp=config.getoption("seccomp"),
        cap_add=cap_add,
        cold_boot=config.getoption("cold_boot"),
        guests=guests,
    )


def results_of(config: pytest.Config) -> Path:
    """Return the directory that runs are recorded in."""
    given = config.getoption("results")
    return config.invocation_params.dir / given if given else config.rootpath / "results"
