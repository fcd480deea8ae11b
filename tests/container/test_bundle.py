"""Bundles as the engines make them."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.container import bundle, process
from harness.container.bundle import Bundle, make_bundle
from harness.container.capabilities import NAMES, bounding
from harness.container.facts import Facts, parse
from harness.container.users import User
from harness.errors import ImageError, UsageError
from harness.model.hosts import Cgroup, Engine
from harness.model.images import ImageConfig
from harness.model.scenarios import ContainerSpec, Mount

FACTS = Facts(
    release="6.12.1",
    cgroup=Cgroup.V2,
    controllers=frozenset({"memory", "cpu", "pids"}),
    namespaces=frozenset({"cgroup", "user", "pid"}),
    filesystems=frozenset({"mqueue", "tmpfs"}),
    sysctls=frozenset({"net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start"}),
    capabilities=frozenset(NAMES),
    ambient=True,
    user_namespaces=True,
)
OLD = Facts(
    release="3.10.0",
    cgroup=Cgroup.V1,
    controllers=frozenset({"memory", "cpu"}),
    namespaces=frozenset({"pid"}),
    filesystems=frozenset({"tmpfs"}),
    sysctls=frozenset(),
    capabilities=frozenset(NAMES[:37]),
    ambient=False,
    user_namespaces=False,
)
IMAGE = ImageConfig(entrypoint=("/entry",), cmd=("serve",), env=("PATH=/opt/bin", "LANG=C"))
ROOT = User(uid=0, gid=0, home="/root")
APP = User(uid=1000, gid=1000, groups=(5,), home="/home/app")


def made(
    spec: ContainerSpec | None = None,
    *,
    engine: Engine = Engine.PODMAN,
    image: ImageConfig = IMAGE,
    user: User = ROOT,
    facts: Facts = FACTS,
    base: Path = Path(),
    sleeper: bool = False,
) -> Bundle:
    chosen = spec or ContainerSpec()
    return make_bundle(
        image=image,
        spec=chosen,
        shared=process.settings(engine, image, chosen, user, facts, "box"),
        argv=process.argv(image, chosen),
        facts=facts,
        filter=None,
        hostname="box",
        base=base,
        sleeper=sleeper,
    )


def mount(made_bundle: Bundle, target: str) -> dict[str, Any]:
    found = [each for each in made_bundle.config["mounts"] if each["destination"] == target]
    assert len(found) == 1
    return dict(found[0])


def namespaces(made_bundle: Bundle) -> set[str]:
    return {each["type"] for each in made_bundle.config["linux"]["namespaces"]}


def test_the_bundle_is_json_of_a_version_that_old_runtimes_take() -> None:
    assert json.loads(json.dumps(made().config))["ociVersion"] == "1.0.2"


def test_namespaces_are_the_engines_and_cgroups_where_the_kernel_has_them() -> None:
    assert namespaces(made()) == {"pid", "mount", "ipc", "uts", "network", "cgroup"}
    assert namespaces(made(facts=OLD)) == {"pid", "mount", "ipc", "uts", "network"}


def test_a_user_namespace_comes_with_its_mappings() -> None:
    container = made(ContainerSpec(userns=True))
    assert "user" in namespaces(container)
    assert container.config["linux"]["uidMappings"] == [
        {"containerID": 0, "hostID": 0, "size": 65536}
    ]


def test_engines_differ_in_capabilities() -> None:
    podman = made().config["process"]["capabilities"]["bounding"]
    docker = made(engine=Engine.DOCKER).config["process"]["capabilities"]["bounding"]
    assert set(docker) - set(podman) == {"CAP_MKNOD", "CAP_NET_RAW", "CAP_AUDIT_WRITE"}
    assert len(podman) == 11


def test_another_user_starts_without_capabilities() -> None:
    sets = made(user=APP).config["process"]["capabilities"]
    assert sets["effective"] == sets["permitted"] == sets["ambient"] == []
    assert sets["bounding"]


def test_podman_hands_added_capabilities_to_another_user_where_the_kernel_can() -> None:
    spec = ContainerSpec(cap_add=("net_admin",))
    assert made(spec, user=APP).config["process"]["capabilities"]["ambient"] == ["CAP_NET_ADMIN"]
    assert made(spec, user=APP, facts=OLD).config["process"]["capabilities"]["ambient"] == []
    docker = made(spec, user=APP, engine=Engine.DOCKER).config["process"]["capabilities"]
    assert docker["ambient"] == docker["effective"] == []


def test_capabilities_are_dropped_then_added() -> None:
    assert bounding(Engine.DOCKER, ("CHOWN",), ("ALL",), NAMES) == ("CAP_CHOWN",)
    assert bounding(Engine.DOCKER, ("chown",), ("cap_chown",), NAMES)[0] == "CAP_CHOWN"
    everything = bounding(Engine.PODMAN, ("ALL",), ("SYS_ADMIN",), NAMES)
    assert set(NAMES) - set(everything) == {"CAP_SYS_ADMIN"}
    assert len(bounding(Engine.PODMAN, ("ALL",), (), OLD.capabilities)) == 37


def test_an_unknown_capability_is_named() -> None:
    with pytest.raises(UsageError, match="'SYS_ADMIM'"):
        bounding(Engine.PODMAN, ("SYS_ADMIM",), (), NAMES)


def test_the_environment_is_the_engines_then_the_images_then_the_scenarios() -> None:
    env = made(ContainerSpec(env={"LANG": "de"})).config["process"]["env"]
    assert env == [
        "PATH=/opt/bin",
        "HOSTNAME=box",
        "container=podman",
        "HOME=/root",
        "LANG=de",
    ]


def test_sysctls_of_the_engine_are_left_out_where_the_kernel_lacks_them() -> None:
    assert made(facts=OLD).config["linux"]["sysctl"] == {}
    docker = made(engine=Engine.DOCKER).config["linux"]["sysctl"]
    assert docker["net.ipv4.ip_unprivileged_port_start"] == "0"
    assert made().config["linux"]["sysctl"] == {"net.ipv4.ping_group_range": "0 0"}


def test_limits_become_resources() -> None:
    resources = made(ContainerSpec(memory=64 << 20, cpus=0.5, pids=99)).config["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20}
    assert resources["cpu"] == {"quota": 50000, "period": 100000}
    assert resources["pids"] == {"limit": 99}


def test_a_limit_without_its_controller_is_said_and_a_default_one_is_not() -> None:
    assert made(facts=OLD).notes == ("no /dev/mqueue: the kernel has no POSIX message queues",)
    asked = made(ContainerSpec(pids=5), facts=OLD)
    assert "no limit: this host has no pids controller" in asked.notes
    assert "pids" not in asked.config["linux"]["resources"]


def test_etc_files_are_mounted_from_the_bundle() -> None:
    container = made()
    source = mount(container, "/etc/hosts")["source"]
    assert b"127.0.0.1\tbox" in container.files[source].content


def test_podman_mounts_a_passwd_for_an_unknown_uid_and_docker_does_not() -> None:
    stranger = User(uid=4242, gid=0, named=False)
    assert mount(made(user=stranger), "/etc/passwd")
    targets = [
        each["destination"] for each in made(user=stranger, engine=Engine.DOCKER).config["mounts"]
    ]
    assert "/etc/passwd" not in targets


def test_a_read_only_container_keeps_podmans_tmpfs_and_the_images_volumes_writable() -> None:
    image = ImageConfig(cmd=("x",), volumes=("/data/", "/", "../up"))
    container = made(ContainerSpec(read_only=True), image=image)
    assert container.config["root"]["readonly"]
    assert mount(container, "/tmp")["type"] == "tmpfs"
    assert container.volumes == ("/data", "/up")
    assert mount(container, "/data")["source"] == f"{bundle.ROOTFS}/data"


def test_mounts_are_copied_in_with_their_modes(tmp_path: Path) -> None:
    (tmp_path / "conf" / "d").mkdir(parents=True)
    (tmp_path / "conf" / "d" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "conf" / "d" / "run").chmod(0o750)
    container = made(
        ContainerSpec(
            mounts=(
                Mount(target="/etc/app/x", content="hi", mode=0o600, read_only=True),
                Mount(target="/etc/app", source=Path("conf")),
                Mount(target="/scratch", tmpfs=True, size=4096),
            )
        ),
        base=tmp_path,
    )
    order = [each["destination"] for each in container.config["mounts"]][-3:]
    assert order == ["/scratch", "/etc/app", "/etc/app/x"]
    inline = container.files[mount(container, "/etc/app/x")["source"]]
    assert (inline.content, inline.mode) == (b"hi", 0o600)
    copied = container.files[mount(container, "/etc/app")["source"] + "/d/run"]
    assert copied.mode == 0o754
    assert "size=4096" in mount(container, "/scratch")["options"]


def test_a_mount_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone: No such file"):
        made(ContainerSpec(mounts=(Mount(target="/x", source=Path("gone")),)), base=tmp_path)
    with pytest.raises(UsageError, match="'x' is not an absolute path"):
        made(ContainerSpec(mounts=(Mount(target="x", content=""),)))


def test_the_sleeper_is_mounted_read_only() -> None:
    assert "ro" in mount(made(sleeper=True), bundle.SLEEPER)["options"]
    assert bundle.sleeper_argv()[0] == bundle.SLEEPER


def test_limits_of_the_scenario_come_over_the_engines() -> None:
    limits = made(ContainerSpec(ulimits={"nofile": (10, 20)})).config["process"]["rlimits"]
    assert {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20} in limits
    with pytest.raises(UsageError, match="'files'"):
        made(ContainerSpec(ulimits={"files": (1, 1)}))


@pytest.mark.parametrize(
    ("entrypoint", "run", "args", "expected"),
    [
        (None, None, None, ("/entry", "serve")),
        (None, ("sh", "-c", "x"), None, ("sh", "-c", "x")),
        (None, None, ("one",), ("/entry", "one")),
        (None, None, (), ("/entry",)),
        (("/other",), None, None, ("/other",)),
        (("/other",), None, ("one",), ("/other", "one")),
        ((), None, ("one",), ("one",)),
    ],
)
def test_run_stands_alone_and_args_follow_the_entrypoint(
    entrypoint: tuple[str, ...] | None,
    run: tuple[str, ...] | None,
    args: tuple[str, ...] | None,
    expected: tuple[str, ...],
) -> None:
    assert process.argv(IMAGE, ContainerSpec(entrypoint=entrypoint), run, args) == expected


def test_an_image_without_a_command_needs_one() -> None:
    with pytest.raises(ImageError, match="neither Entrypoint nor Cmd"):
        process.argv(ImageConfig(), ContainerSpec())


def test_facts_are_read_from_what_the_guest_prints() -> None:
    found = parse(
        "release 3.10.0-1160\ncgroup v1\ncontrollers memory cpu\nnamespaces user pid\n"
        "filesystems tmpfs\nambient \nbounding 0000001fffffffff\nuser_namespaces 0\n"
        "sysctl net.ipv4.ping_group_range\n"
    )
    assert found.cgroup is Cgroup.V1
    assert not found.ambient
    assert not found.user_namespaces
    assert len(found.capabilities) == 37
    assert found.sysctls == {"net.ipv4.ping_group_range"}
