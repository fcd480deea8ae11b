"""Containers run by the real runtimes in real guests, on a root of the guest's busybox alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.assembly import Assembly, Options
from harness.container import bundle, choice, facts, process, runtime, users
from harness.container.process import Settings, to_oci
from harness.container.runtime import Container, Runtime, RuntimeFailure
from harness.container.scripts import DIRECTORY
from harness.guest.guest import Guest
from harness.guest.qemu import Machine
from harness.model.hosts import Cgroup, Engine
from harness.model.images import ImageConfig
from harness.model.scenarios import ContainerSpec, Mount

pytestmark = pytest.mark.guest

BUSYBOX = "/bin/busybox"
LIMIT = 120.0


class Bench:
    """A guest and a runtime in it, ready for one container after another."""

    def __init__(self, guest: Guest, used: Runtime, engine: Engine) -> None:
        self.guest = guest
        self.runtime = used
        self.engine = engine
        self.facts = facts.probe(guest)

    def settings(self, spec: ContainerSpec) -> Settings:
        user = users.resolve(spec.user, "", "", seed="test")
        return process.settings(self.engine, ImageConfig(), spec, user, self.facts, "box")

    @contextmanager
    def container(
        self, *argv: str, spec: ContainerSpec | None = None, sleeper: bool = False, keep: int = 4096
    ) -> Iterator[Container]:
        chosen = spec or ContainerSpec()
        runtime.mount_image(self.guest, "busybox")
        made = bundle.make_bundle(
            image=ImageConfig(),
            spec=chosen,
            shared=self.settings(chosen),
            argv=bundle.sleeper_argv() if sleeper else argv,
            facts=self.facts,
            filter=None,
            hostname="box",
            sleeper=sleeper,
        )
        with runtime.container(self.guest, self.runtime, made, keep=keep) as box:
            yield box

    def once(self, script: str, *, spec: ContainerSpec | None = None) -> bytes:
        with self.container(BUSYBOX, "sh", "-c", script, spec=spec) as box:
            done = box.run(limit=LIMIT)
        assert done.status == 0, done
        return done.stdout


@pytest.fixture(
    scope="module",
    params=[
        ("5.10", "crun-1.21", Cgroup.V2),
        ("5.10", "runc-1.1.15", Cgroup.V1),
        ("latest", "crun-1.21", Cgroup.V2),
    ],
    ids=lambda each: "-".join(each),
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    kernel, name, cgroup = request.param
    engine = Engine.PODMAN if name.startswith("crun") else Engine.DOCKER
    assembly = Assembly(Options(rootdir=tmp_path_factory.mktemp("root"), accelerator="tcg"))
    try:
        host, _ = assembly.host(assembly.entry(kernel))
        host = replace(host, cgroup=cgroup, engine=engine)
        machine = Machine(
            host=host,
            accelerator=assembly.choice(host).accelerator,
            initramfs=assembly.apparatus.initramfs(host, name),
        )
        with assembly.apparatus.booted(machine) as guest:
            program = guest.run(f"which {name.partition('-')[0]}").stdout.decode().strip()
            used = Runtime(name=name, program=program, version=runtime.version(guest, program))
            yield Bench(guest, used, engine)
    finally:
        assembly.close()


def test_the_runtime_says_its_version(bench: Bench) -> None:
    name, _, number = bench.runtime.name.partition("-")
    assert bench.runtime.version.startswith(f"{name} version {number}")


def test_a_runtime_does_not_copy_itself_at_each_start(bench: Bench) -> None:
    tracing = "/sys/kernel/tracing"
    switch = f"{tracing}/events/syscalls/sys_enter_memfd_create/enable"

    def calls() -> int:
        said = bench.guest.run(f"grep -c sys_memfd_create {tracing}/trace", check=False)
        return int(said.stdout)

    bench.guest.run(f"echo >{tracing}/trace; echo 1 >{switch}; echo 1 >{tracing}/tracing_on")
    bench.once("true")
    assert calls() == 0
    bench.guest.run("perl -e 'my $name = q(x); syscall 319, $name, 0'")
    assert calls() == 1
    bench.guest.run(f"echo 0 >{switch}; echo 0 >{tracing}/tracing_on")


def test_status_output_and_pid_are_the_programs(bench: Bench) -> None:
    with bench.container(BUSYBOX, "sh", "-c", "cat; echo err >&2; exit 3") as box:
        done = box.run(limit=LIMIT, stdin=b"in\n")
    assert (done.status, done.stdout, done.stderr) == (3, b"in\n", b"err\n")
    assert done.pid is not None
    assert not (done.failure or done.timed_out or done.held)
    assert 0 < done.seconds < LIMIT


def test_a_flood_is_cut_and_counted_and_holds_nobody(bench: Bench) -> None:
    flood = "busybox dd if=/dev/zero bs=1M count=200 2>/dev/null; echo end >&2; exit 5"
    with bench.container(BUSYBOX, "sh", "-c", f'busybox() {{ {BUSYBOX} "$@"; }}; {flood}') as box:
        done = box.run(limit=LIMIT)
    assert done.status == 5
    assert len(done.stdout) == 4096
    assert done.stdout_dropped == (200 << 20) - 4096
    assert (done.stderr, done.stderr_dropped) == (b"end\n", 0)


def test_a_step_that_takes_too_long_is_killed_with_what_it_said(bench: Bench) -> None:
    with bench.container(BUSYBOX, "sh", "-c", f"echo said; {BUSYBOX} sleep 300") as box:
        done = box.run(limit=15.0)
    assert done.timed_out
    assert done.status == 137
    assert done.stdout == b"said\n"
    assert done.seconds < 60


def test_a_program_that_is_not_there_is_the_runtimes_failure(bench: Bench) -> None:
    with bench.container("/nonesuch") as box:
        done = box.run(limit=LIMIT)
    assert "nonesuch" in done.failure
    assert done.stdout == b""
    with bench.container("/nonesuch") as box, pytest.raises(RuntimeFailure, match="nonesuch"):
        box.start(limit=LIMIT)


def test_processes_run_beside_a_sleeper_which_reaps_orphans(bench: Bench) -> None:
    shared = bench.settings(ContainerSpec())
    with bench.container(sleeper=True) as box:
        first = box.start(limit=LIMIT)
        orphan = f"({BUSYBOX} true &) ; {BUSYBOX} sleep 1; echo $$; exit 7"
        done = box.execute(to_oci(shared, [BUSYBOX, "sh", "-c", orphan]), limit=LIMIT)
        count = f"{BUSYBOX} grep -l '^State:.Z' /proc/[0-9]*/status | {BUSYBOX} wc -l"
        zombies = box.execute(to_oci(shared, [BUSYBOX, "sh", "-c", count]), limit=LIMIT)
        assert box.service_outcome() is None
    assert done.status == 7
    assert done.pid not in (None, first)
    assert zombies.stdout.strip() == b"0"


def test_a_child_in_the_background_does_not_hold_its_step(bench: Bench) -> None:
    shared = bench.settings(ContainerSpec())
    script = f"{BUSYBOX} sleep 300 & echo done; exit 6"
    with bench.container(sleeper=True) as box:
        box.start(limit=LIMIT)
        done = box.execute(to_oci(shared, [BUSYBOX, "sh", "-c", script]), limit=LIMIT)
    assert done.stdout == b"done\n"
    assert not done.timed_out
    assert done.seconds < 60
    # runc goes only with who holds its pipes, and takes the status along.
    assert done.status_known is (bench.engine is Engine.PODMAN)
    assert done.status == 6 or not done.status_known


def test_a_service_is_ready_when_its_probe_is_and_its_end_is_kept(bench: Bench) -> None:
    shared = bench.settings(ContainerSpec())
    waits = f"while ! {BUSYBOX} test -e /end; do {BUSYBOX} sleep 0.2; done"
    script = f"echo up; {BUSYBOX} touch /ready; {waits}; exit 9"
    with bench.container(BUSYBOX, "sh", "-c", script) as box:
        pid = box.start(limit=LIMIT)
        ready = to_oci(shared, [BUSYBOX, "test", "-e", "/ready"])
        verdict, probes, _ = box.wait_ready(ready, limit=LIMIT)
        assert verdict == "ready"
        assert probes
        assert pid not in probes
        assert box.service_output() == (b"up\n", b"")
        ends = f"{BUSYBOX} touch /end; {BUSYBOX} false"
        never, _, _ = box.wait_ready(to_oci(shared, [BUSYBOX, "sh", "-c", ends]), limit=LIMIT)
        assert never == "ended"
        ended = box.service_outcome()
    assert ended is not None
    assert ended.status == 9


def test_a_services_report_is_there_once_it_is_whole(bench: Bench) -> None:
    flood = f"{BUSYBOX} sleep 1; {BUSYBOX} dd if=/dev/zero bs=1M count=8 2>/dev/null"
    file = f"{DIRECTORY}/steps/service/report"
    sizes = f"1 while !-s q({file}); $first = -s _; sleep 2; print $first, q( ), -s q({file})"
    with bench.container(BUSYBOX, "sh", "-c", flood, keep=8 << 20) as box:
        box.start(limit=LIMIT)
        first, last = bench.guest.run(f"perl -e '{sizes}'").stdout.split()
        ended = box.service_outcome()
    assert first == last
    assert ended is not None
    assert (len(ended.stdout), ended.stdout_dropped) == (8 << 20, 0)


def test_capabilities_user_and_environment_are_the_engines(bench: Bench) -> None:
    script = f"{BUSYBOX} env; {BUSYBOX} grep -E '^(Cap|Uid|NoNewPrivs)' /proc/self/status"
    text = bench.once(script, spec=ContainerSpec(user="4242")).decode()
    lines = dict(line.replace(":\t", "=", 1).split("=", 1) for line in text.splitlines())
    assert lines["HOSTNAME"] == "box"
    assert lines["Uid"].split()[0] == "4242"
    assert int(lines["CapEff"], 16) == 0
    number = {Engine.PODMAN: 11, Engine.DOCKER: 14}[bench.engine]
    assert int(lines["CapBnd"], 16).bit_count() == number
    assert lines.get("NoNewPrivs", "0") == "0"


def test_read_only_root_and_mounts_are_as_asked(bench: Bench) -> None:
    spec = ContainerSpec(
        read_only=True,
        mounts=(
            Mount(target="/etc/app/conf", content="text\n", mode=0o640),
            Mount(target="/scratch", tmpfs=True, size=1 << 20),
        ),
    )
    script = (
        f"{BUSYBOX} touch /x 2>/dev/null || echo refused; {BUSYBOX} cat /etc/app/conf; "
        f"{BUSYBOX} stat -c %a /etc/app/conf; {BUSYBOX} touch /scratch/y && echo written"
    )
    assert bench.once(script, spec=spec) == b"refused\ntext\n640\nwritten\n"


def test_a_memory_limit_holds_and_the_peak_says_how_it_was_measured(bench: Bench) -> None:
    spec = ContainerSpec(memory=32 << 20)
    script = f"{BUSYBOX} dd if=/dev/zero of=/dev/null bs=100M count=1"
    with bench.container(BUSYBOX, "sh", "-c", script, spec=spec) as box:
        done = box.run(limit=LIMIT)
    assert done.status != 0
    assert done.peak_memory is not None
    assert done.peak_memory_way in ("memory.peak", "max_usage", "rusage")
    if done.peak_memory_way != "rusage":
        assert done.peak_memory <= 40 << 20


def test_a_user_namespace_maps_the_same_ids(bench: Bench) -> None:
    spec = ContainerSpec(userns=True)
    mapped = bench.once(f"{BUSYBOX} cat /proc/self/uid_map", spec=spec).split()
    assert mapped == [b"0", b"0", b"65536"]


def test_nothing_of_a_container_is_left_behind(bench: Bench) -> None:
    bench.once("exit 0")
    left = bench.guest.run("grep -c /run/harness/container/rootfs /proc/mounts", check=False)
    assert left.stdout.strip() == b"0"
    processes = bench.guest.run("ps -o args").stdout.decode()
    assert "--pid-file" not in processes
    assert not bench.guest.run("ls -d /sys/fs/cgroup/harness", check=False).stdout


def test_the_choice_takes_the_first_runtime_that_starts(tmp_path: Path) -> None:
    assembly = Assembly(Options(rootdir=tmp_path, accelerator="tcg"))
    try:
        host, _ = assembly.host(assembly.entry("5.10"))
        disk = assembly.apparatus.tools_disk("crun-1.21", "crun-0.17", "base")
        machine = Machine(
            host=host,
            accelerator=assembly.choice(host).accelerator,
            initramfs=assembly.apparatus.initramfs(host),
            disks=(disk,),
        )
        with assembly.apparatus.booted(machine) as guest:
            # A set without a runtime stands for one that cannot start.
            sets = ("runc-0", "crun-0.17", "crun-1.21")
            chosen = choice.choose(guest, sets, facts.probe(guest))
    finally:
        assembly.close()
    assert chosen.set == "crun-0.17"
    assert chosen.version == "crun version 0.17"
    assert "runc-0 does not start" in chosen.why
    json.dumps([chosen.set, chosen.version, chosen.why])
