from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness import yamlfile
from harness.errors import ConfigError
from harness.model.hosts import Engine
from harness.model.scenarios import Mount, Scenario
from harness.scenarios.imports.draft import Draft, to_yaml
from harness.scenarios.imports.from_inspect import from_inspect
from harness.scenarios.load import scenarios_of
from harness.scenarios.values import UNLIMITED

WHERE = Path("inspect.json")
ID = "3f4e1c9a7b2d" + "0" * 52
DOCKER: dict[str, Any] = {
    "Id": ID,
    "Path": "docker-entrypoint.sh",
    "Args": ["redis-server", "--appendonly", "yes"],
    "Name": "/cache",
    "Image": "sha256:" + "a" * 64,
    "HostConfig": {
        "Binds": ["/srv/redis.conf:/etc/redis.conf:ro"],
        "NetworkMode": "backend",
        "PortBindings": {"6379/tcp": [{"HostIp": "", "HostPort": "6379"}]},
        "CapAdd": ["SYS_PTRACE", "CAP_NET_ADMIN"],
        "CapDrop": ["ALL"],
        "IpcMode": "private",
        "PidMode": "",
        "Privileged": False,
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
        "Tmpfs": {"/run": "rw,noexec,size=65536k", "/tmp": "mode=1777"},
        "UsernsMode": "",
        "ShmSize": 67108864,
        "Sysctls": {"net.core.somaxconn": "1024"},
        "Runtime": "runc",
        "Memory": 268435456,
        "NanoCpus": 1500000000,
        "CpuQuota": 0,
        "Devices": [{"PathOnHost": "/dev/fuse"}],
        "DeviceRequests": None,
        "PidsLimit": 100,
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 4096}],
        "Mounts": [{"Type": "tmpfs", "Target": "/cache", "TmpfsOptions": {"SizeBytes": 1 << 20}}],
    },
    "Mounts": [
        {
            "Type": "bind",
            "Source": "/srv/redis.conf",
            "Destination": "/etc/redis.conf",
            "RW": False,
        },
        {"Type": "volume", "Name": "data", "Source": "/var/lib/x", "Destination": "/data"},
        {"Type": "tmpfs", "Source": "", "Destination": "/cache"},
    ],
    "Config": {
        "Hostname": ID[:12],
        "User": "999:999",
        "Tty": False,
        "Env": ["PATH=/usr/bin:/bin", "REDIS_VERSION=7.2", "REDIS_PASSWORD=hunter=2", "EMPTY="],
        "Cmd": ["redis-server", "--appendonly", "yes"],
        "Healthcheck": {
            "Test": ["CMD-SHELL", "redis-cli ping | grep PONG"],
            "StartPeriod": 30000000000,
        },
        "Image": "redis:7",
        "WorkingDir": "/data",
        "Entrypoint": ["docker-entrypoint.sh"],
        "ExposedPorts": {"6379/tcp": {}},
    },
}
PODMAN: dict[str, Any] = {
    "Id": ID,
    "Path": "/docker-entrypoint.sh",
    "Args": ["nginx", "-g", "daemon off;"],
    "ImageName": "quay.io/team/nginx:1.27",
    "Name": "web",
    "Mounts": [],
    "OCIRuntime": "crun",
    "Config": {
        "Hostname": ID[:12],
        "User": "",
        "Env": ["TERM=xterm", "container=podman", "NGINX_VERSION=1.27", f"HOSTNAME={ID[:12]}"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "Image": "quay.io/team/nginx:1.27",
        "Volumes": None,
        "WorkingDir": "/",
        "Entrypoint": "/docker-entrypoint.sh",
        "StopSignal": 3,
        "Healthcheck": {"Test": ["CMD", "curl", "-f", "http://127.0.0.1/"]},
    },
    "HostConfig": {
        "Binds": [],
        "NetworkMode": "slirp4netns",
        "PortBindings": {},
        "CapAdd": [],
        "CapDrop": ["CAP_AUDIT_WRITE", "CAP_MKNOD"],
        "IpcMode": "private",
        "PidMode": "private",
        "SecurityOpt": [],
        "Tmpfs": {},
        "UsernsMode": "private",
        "ShmSize": 65536000,
        "Runtime": "oci",
        "Memory": 0,
        "CpuPeriod": 100000,
        "CpuQuota": 50000,
        "PidsLimit": 2048,
        "Ulimits": [{"Name": "RLIMIT_CORE", "Soft": -1, "Hard": -1}],
    },
}


def taken(container: dict[str, Any], **options: str) -> Draft:
    return from_inspect(json.dumps([container]).encode(), WHERE, **options)


def loaded(draft: Draft) -> Scenario:
    document = yamlfile.parse(to_yaml(draft).encode(), Path("taken.scenario.yaml"))
    [scenario] = scenarios_of(document, Path.cwd())
    return scenario


def changed(container: dict[str, Any], part: str, **keys: object) -> dict[str, Any]:
    return {**container, part: {**container[part], **keys}}


def test_a_docker_container_is_taken_over_with_all_that_a_scenario_can_say() -> None:
    scenario = loaded(taken(DOCKER))
    spec, service = scenario.container, scenario.service
    assert (scenario.name, scenario.images) == ("cache", ("docker://docker.io/library/redis:7",))
    assert spec.engine is Engine.DOCKER
    assert spec.env == {
        "PATH": "/usr/bin:/bin",
        "REDIS_VERSION": "7.2",
        "REDIS_PASSWORD": "hunter=2",
        "EMPTY": "",
    }
    assert (spec.user, spec.workdir, spec.hostname) == ("999:999", "/data", "")
    assert (spec.memory, spec.cpus, spec.pids) == (256 << 20, 1.5, 100)
    assert spec.read_only
    assert spec.seccomp == "unconfined"
    assert spec.cap_add == ("CAP_SYS_PTRACE", "CAP_NET_ADMIN")
    assert spec.cap_drop == ("ALL",)
    assert spec.ulimits == {"nofile": (1024, 4096)}
    assert spec.sysctls == {"net.core.somaxconn": "1024"}
    assert spec.mounts == (
        Mount(target="/run", tmpfs=True, size=64 << 20, mode=0o1777),
        Mount(target="/tmp", tmpfs=True, mode=0o1777),
        Mount(target="/cache", tmpfs=True, size=1 << 20, mode=0o1777),
    )
    assert service is not None
    assert service.run == ("docker-entrypoint.sh", "redis-server", "--appendonly", "yes")
    assert service.ready == ("sh", "-c", "redis-cli ping | grep PONG")
    assert (service.timeout, service.watch) == (90.0, 5.0)
    assert scenario.steps == ()


def test_what_a_scenario_cannot_say_is_told_line_by_line() -> None:
    said = "\n".join(taken(DOCKER).left_out)
    for part in (
        "bind /srv/redis.conf at /etc/redis.conf",
        "volume data at /data",
        "security option no-new-privileges",
        "1 devices",
        "published ports 6379/tcp",
        "network backend",
    ):
        assert part in said
    assert "/cache" not in said


def test_secrets_are_copied_and_named() -> None:
    [remark] = taken(DOCKER).remarks
    assert remark == (
        "env: 4 variables are copied with the values as they stand; by their names these hold "
        "secrets: REDIS_PASSWORD"
    )


def test_a_podman_container_is_taken_over_without_what_podman_sets_itself() -> None:
    draft = taken(PODMAN)
    scenario = loaded(draft)
    spec, service = scenario.container, scenario.service
    assert scenario.images == ("docker://quay.io/team/nginx:1.27",)
    assert spec.engine is Engine.PODMAN
    assert spec.env == {"NGINX_VERSION": "1.27"}
    assert (spec.cpus, spec.pids, spec.shm_size) == (0.5, 2048, 65536000)
    assert spec.ulimits == {"core": (UNLIMITED, UNLIMITED)}
    assert spec.cap_drop == ("CAP_AUDIT_WRITE", "CAP_MKNOD")
    assert spec.userns
    assert scenario.requires == {"userns": "true"}
    assert service is not None
    assert service.run == ("/docker-entrypoint.sh", "nginx", "-g", "daemon off;")
    assert service.ready == ("curl", "-f", "http://127.0.0.1/")
    assert draft.left_out == []


def test_a_container_without_a_probe_is_watched_for_longer() -> None:
    service = loaded(taken(changed(DOCKER, "Config", Healthcheck={"Test": ["NONE"]}))).service
    assert service is not None
    assert (service.ready, service.watch) == ((), 10.0)


def test_privileges_and_namespaces_of_the_host_are_told() -> None:
    host = {"Privileged": True, "PidMode": "host", "UsernsMode": "keep-id", "NetworkMode": "host"}
    said = "\n".join(taken(changed(PODMAN, "HostConfig", **host)).left_out)
    for part in ("privileged", "pid host", "user namespace keep-id", "network host"):
        assert part in said


def test_a_capability_and_a_limit_that_no_kernel_has_are_told_not_written() -> None:
    host = {"CapAdd": ["TIME_TRAVEL"], "Ulimits": [{"Name": "nope", "Soft": 1, "Hard": 1}]}
    draft = taken(changed(DOCKER, "HostConfig", **host))
    assert loaded(draft).container.cap_add == ()
    assert any("TIME_TRAVEL" in line for line in draft.left_out)
    assert any("nope" in line for line in draft.left_out)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "inspect.json: not JSON: "),
        (b"[]", "inspect.json: holds 0 containers: inspect a single one"),
        (
            b'{"Id": "x"}',
            "not what docker or podman print of a container: 0.Config: Field required",
        ),
        (json.dumps([DOCKER, PODMAN]).encode(), "holds 2 containers"),
        (
            json.dumps([changed(DOCKER, "Config", Image="sha256:" + "a" * 64)]).encode(),
            "its image has no name any more: name one by --image",
        ),
    ],
)
def test_what_is_not_one_container_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_inspect(data, WHERE)
    assert said in str(caught.value)


def test_name_and_image_can_be_given() -> None:
    scenario = loaded(taken(DOCKER, name="mine", image="redis"))
    assert (scenario.name, scenario.images) == ("mine", ("redis",))


@settings(max_examples=60, deadline=None)
@example(env={"a": "\x85", "b": "two\nlines"}, words=["\u2028"])
@given(
    env=st.dictionaries(
        st.text(st.characters(exclude_characters="=\0", exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        max_size=4,
    ),
    words=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=3
    ),
)
def test_whatever_text_there_is_comes_back_as_it_was(env: dict[str, str], words: list[str]) -> None:
    config = {"Env": [f"{name}={value}" for name, value in env.items()]}
    container = {**changed(DOCKER, "Config", **config), "Path": "run", "Args": words}
    draft = taken(container)
    scenario = loaded(draft)
    assert scenario.container.env == env
    assert scenario.service is not None
    assert scenario.service.run == ("run", *words)
    assert to_yaml(draft) == to_yaml(taken(container))
