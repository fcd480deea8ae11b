from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import GuestError, UsageError
from harness.guest import accelerator, emulator
from harness.guest.accelerator import Choice
from harness.guest.qemu import Keeper, Machine, Qemu
from harness.model.hosts import Accelerator, Cgroup, Engine, Host, Kernel
from harness.store import Store

BOOTS = "#!/bin/sh\necho 'harness: ready'\nexec sleep 1000\n"


class Counting(Keeper):
    """Counts the QEMUs that were started, which may write no note about it."""

    def __init__(self) -> None:
        super().__init__()
        self.started = 0

    @contextmanager
    def keeping(self, running: Qemu) -> Iterator[None]:
        self.started += 1
        with super().keeping(running):
            yield


@pytest.fixture
def tries() -> Counting:
    return Counting()


@pytest.fixture(autouse=True)
def refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A QEMU that ends at once, and says why when it was told to use KVM."""
    program = tmp_path / "bin" / emulator.PROGRAM
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\ncase \"$*\" in *'-accel kvm '*) echo no virtualisation >&2;; esac\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


@pytest.fixture
def device(tmp_path: Path) -> Path:
    (tmp_path / "kvm").touch()
    return tmp_path / "kvm"


@pytest.fixture
def boots(refuses: Path) -> None:
    """A QEMU whose guest comes up at once."""
    refuses.write_text(BOOTS)


class Chooser:
    """Chooses with everything but the word held fast."""

    def __init__(self, machine: Machine, store: Store, device: Path, keeper: Keeper) -> None:
        self._machine, self._store, self.device = machine, store, device
        self.keeper = keeper

    def __call__(self, wanted: str, version: str = "9.9") -> Choice:
        return accelerator.choose(
            wanted,
            self._machine,
            self.keeper,
            store=Store(self._store.root),
            qemu_version=version,
            device=self.device,
        )


@pytest.fixture
def choose(tmp_path: Path, store: Store, device: Path, tries: Counting) -> Chooser:
    for name in ("k", "initramfs"):
        (tmp_path / name).touch()
    host = Host(
        name="mine",
        kernel=Kernel(release="5.0", vmlinuz=tmp_path / "k", modules=None, digest="d", origin="o"),
        memory=512,
        cpus=1,
        cpu="Nehalem",
        cmdline="",
        cgroup=Cgroup.V2,
        engine=Engine.PODMAN,
        seccomp="",
        sysctl={},
    )
    machine = Machine(host=host, accelerator=Accelerator.TCG, initramfs=tmp_path / "initramfs")
    return Chooser(machine, store, device, tries)


def test_tcg_is_taken_without_a_look_at_kvm(choose: Chooser, tries: Counting) -> None:
    assert choose("tcg").accelerator is Accelerator.TCG
    assert tries.started == 0


def test_an_unknown_word_is_refused(choose: Chooser) -> None:
    with pytest.raises(UsageError, match=r"unknown accelerator 'fast': give auto, kvm or tcg"):
        choose("fast")


def test_a_missing_device_is_named(tmp_path: Path) -> None:
    assert accelerator.obstacle(tmp_path / "kvm").startswith(f"{tmp_path}/kvm does not exist")


@contextmanager
def without_rights() -> Iterator[None]:
    """Be somebody else to access(2), which asks for the real user, if this is root."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(65534, -1, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_device_without_permission_is_named_with_the_remedy(device: Path) -> None:
    device.chmod(0)
    with without_rights():
        assert accelerator.obstacle(device) == (
            f"no permission on {device}: add yourself to the group that owns it (kvm)"
        )


def test_a_device_that_opens_is_no_obstacle(device: Path) -> None:
    assert accelerator.obstacle(device) == ""


def test_without_a_device_auto_is_tcg_and_kvm_is_an_error(
    choose: Chooser, tries: Counting, device: Path
) -> None:
    device.unlink()
    found = choose("auto")
    assert found.accelerator is Accelerator.TCG
    assert "does not exist" in found.why
    with pytest.raises(UsageError, match=r"KVM was asked for but does not work: .*does not exist"):
        choose("kvm")
    assert tries.started == 0


def test_kvm_that_does_not_boot_is_not_tried_again_by_the_next_session(
    choose: Chooser, tries: Counting
) -> None:
    found = choose("auto")
    assert found.accelerator is Accelerator.TCG
    assert "no virtualisation" in found.why
    assert choose("auto") == found
    with pytest.raises(UsageError, match="does not work"):
        choose("kvm")
    assert tries.started == 1


def test_a_failed_trial_is_repeated_after_a_while_and_a_proof_is_kept(
    choose: Chooser, tries: Counting, refuses: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    failed = choose("auto")
    refuses.write_text(BOOTS)
    now = accelerator._uptime()
    monkeypatch.setattr(accelerator, "_uptime", lambda: now + accelerator.KEPT - 60)
    assert choose("auto") == failed
    monkeypatch.setattr(accelerator, "_uptime", lambda: now + accelerator.KEPT)
    assert accelerator.recalled(store, "9.9", "Nehalem", choose.device) == failed
    assert choose("auto") == Choice(Accelerator.KVM, "")
    monkeypatch.setattr(accelerator, "_uptime", lambda: now + 3 * accelerator.KEPT)
    assert choose("auto") == Choice(Accelerator.KVM, "")
    assert tries.started == 2


def test_a_trial_that_was_cut_off_says_nothing_of_kvm(
    choose: Chooser, refuses: Path, store: Store
) -> None:
    refuses.write_text("#!/bin/sh\necho 'the kernel begins'\nexec sleep 1000\n")
    ending = Keeper()
    choose.keeper = ending
    with ThreadPoolExecutor(1) as pool:
        trial = pool.submit(choose, "auto")
        while not ending.running():
            assert not trial.done()
            time.sleep(0.01)
        ending.end()
        with pytest.raises(GuestError, match="the guest died in a trial boot under KVM"):
            trial.result()
    with pytest.raises(GuestError, match="no guest is started any more"):
        choose("auto")
    assert accelerator.recalled(store, "9.9", "Nehalem", choose.device) is None
    refuses.write_text(BOOTS)
    choose.keeper = Keeper()
    assert choose("auto") == Choice(Accelerator.KVM, "")


def test_another_qemu_is_tried_anew(choose: Chooser, tries: Counting) -> None:
    choose("auto")
    choose("auto", "10.0")
    assert tries.started == 2


@pytest.mark.usefixtures("boots")
def test_kvm_whose_guest_comes_up_is_taken_and_remembered(choose: Chooser, tries: Counting) -> None:
    assert choose("auto") == Choice(Accelerator.KVM, "")
    assert choose("kvm") == Choice(Accelerator.KVM, "")
    assert tries.started == 1


@pytest.mark.usefixtures("boots")
def test_nothing_is_recalled_before_a_trial_and_its_verdict_after_it(
    choose: Chooser, tries: Counting, store: Store, device: Path
) -> None:
    assert accelerator.recalled(store, "9.9", "Nehalem", device) is None
    assert tries.started == 0
    proven = choose("auto")
    assert accelerator.recalled(store, "9.9", "Nehalem", device) == proven
    assert accelerator.recalled(store, "9.9", "Haswell", device) is None
