"""Kernels that lack what the harness would like to have: the run works and says what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.conftest import one_step
from guest.laboratories import ChangedHosts, laboratory, observe

from harness.assembly import Options
from harness.laboratory import Laboratory
from harness.model.observations import Origin, Verdict
from harness.report import matrix

pytestmark = pytest.mark.guest

KERNEL, IMAGE = "5.10", "debian-trixie"
MISSING_CALL = ("perl", "-e", "print syscall(452, -100, 0, 0, 0), qq(\n)")


@pytest.fixture(scope="module")
def without_symbols(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    options = Options(rootdir=tmp_path_factory.mktemp("rootdir"))
    with laboratory(ChangedHosts(options, without=("kallsyms", "modules"))) as made:
        yield made


@pytest.fixture(scope="module")
def without_tracer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    options = Options(rootdir=tmp_path_factory.mktemp("rootdir"))
    with laboratory(ChangedHosts(options, without=("tracefs", "debugfs"))) as made:
        yield made


def test_without_modules_and_kallsyms_the_raw_census_still_names_the_origin(
    without_symbols: Laboratory, tmp_path: Path
) -> None:
    entry = without_symbols.assembly.entry(KERNEL)
    census = without_symbols.ready(entry).survey.census
    assert census.ways["x86_64"] == "raw"
    assert "no /proc/kallsyms to read: the census is by raw probing alone" in census.notes
    script = "test ! -s /proc/kallsyms && cut -d' ' -f1 /proc/modules && exec \"$@\""
    seen = observe(
        without_symbols, entry, IMAGE, one_step("sh", "-c", script, "sh", *MISSING_CALL), tmp_path
    )
    assert seen.verdict is Verdict.PASSED, seen
    assert "overlay" not in seen.steps[0].stdout
    (met,) = [f for f in seen.failures if f.name == "fchmodat2"]
    assert (met.errno, met.origin) == ("ENOSYS", Origin.KERNEL)
    assert seen.environment is not None
    assert seen.environment.ways["census"] == "raw"


def test_without_a_tracer_the_cell_still_counts_and_says_once_what_it_lacks(
    without_tracer: Laboratory, tmp_path: Path
) -> None:
    entry = without_tracer.assembly.entry(KERNEL)
    cells = [
        observe(without_tracer, entry, IMAGE, one_step(*argv, name=name), tmp_path)
        for name, argv in (("good", ("true",)), ("bad", ("sh", "-c", "exit 3")))
    ]
    good, bad = cells
    assert good.verdict is Verdict.PASSED, good
    assert bad.verdict is Verdict.FAILED
    assert bad.steps[0].exit == 3
    assert not good.traced
    assert good.failures == ()
    assert good.notes == (
        "this kernel has no tracer (tracefs): failing system calls were not recorded",
    )
    (note,) = matrix.build(cells, kernels=(KERNEL,)).notes
    assert (note.topic, note.text, note.cells) == ("not recorded", good.notes[0], 2)
