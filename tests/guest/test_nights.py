"""Nights on real guests: a host whose kernel is another build from one night to the next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.laboratory import Laboratory
from harness.nightly import Plan, run_night
from harness.progress import Silent

pytestmark = pytest.mark.guest

OLD, NEW = "5.10", "latest"

SCENARIOS = r"""
scenarios:
  insists:
    why: fchmodat2 came with 6.6; this program insists on it.
    image: debian-trixie
    run:
      - perl
      - -e
      - |
        my $file = "/etc/passwd";
        syscall(452, -100, $file, 0600, 0) == 0 or die "fchmodat2: $!\n";
  does-not-mind:
    image: debian-trixie
    run: echo the same on every kernel
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "all.scenario.yaml").write_text(SCENARIOS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def night(laboratory: Laboratory, root: Path, kernel: str) -> tuple[int, str]:
    """Let a night pass on a host that has this kernel, whatever it is called."""
    assembly = laboratory.assembly
    files = assembly.host(assembly.entry(kernel))[0].kernel
    words = ("-p", "no:cacheprovider", "--accel=tcg", "all.scenario.yaml", "--kernels=host")
    plan = Plan(
        results=root / "results",
        store=assembly.store,
        arguments=(*words, f"--kernel=host={files.vmlinuz},modules={files.modules}"),
    )
    return run_night(plan, Silent())


def test_an_update_of_a_hosts_kernel_that_breaks_an_image_is_told_the_next_night(
    laboratory: Laboratory, root: Path
) -> None:
    status, _ = night(laboratory, root, NEW)
    assert status == 0
    status, report = night(laboratory, root, OLD)
    assert status == 1
    told = json.loads((root / "results" / "latest" / "night.json").read_text())
    (change,) = told["changes"]
    assert change["standing"] == "new"
    assert change["cell"] == "all.scenario.yaml::insists[debian-trixie-host]"
    assert change["finding"]["cause"]["syscall"] == "fchmodat2"
    assert change["finding"]["cause"]["since"] == "6.6"
    assert told["differences"] == []
    (renewed,) = told["renewed"]
    assert renewed["name"] == "host"
    assert renewed["after"].startswith("5.10.")
    assert "cause, suspected: perl gets ENOSYS from kernel for fchmodat2" in report
