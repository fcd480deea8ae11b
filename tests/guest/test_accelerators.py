from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest import accelerator
from harness.laboratory import Laboratory
from harness.model.hosts import Accelerator
from harness.store import Store

pytestmark = pytest.mark.guest


@pytest.mark.skipif(bool(accelerator.obstacle()), reason="there is no /dev/kvm to try")
def test_auto_proves_kvm_by_a_boot_or_falls_back_within_20_seconds_and_remembers(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    machine = laboratory.ready(laboratory.assembly.entry("latest")).machine
    apparatus = laboratory.assembly.apparatus
    trial = replace(machine, disks=())
    store = Store(tmp_path / "store")

    def choose() -> accelerator.Choice:
        return accelerator.choose(
            "auto", trial, apparatus.keeper, store=store, qemu_version=apparatus.qemu_version
        )

    begin = time.monotonic()
    first = choose()
    seconds = time.monotonic() - begin
    assert seconds < 20
    assert (first.accelerator is Accelerator.KVM) == (first.why == "")
    begin = time.monotonic()
    assert choose() == first
    assert time.monotonic() - begin < 1
