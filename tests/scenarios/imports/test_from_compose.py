from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from harness import yamlfile
from harness.errors import ConfigError, UsageError
from harness.model.scenarios import Mount, Scenario
from harness.scenarios.imports.draft import Draft, to_yaml
from harness.scenarios.imports.from_compose import from_compose
from harness.scenarios.load import scenarios_of

WHERE = Path("compose.yaml")
SHORT = """
    x-common: &common
      cap_drop: [ALL]
    services:
      db:
        <<: *common
        image: registry.example.org/team/postgres:17
        command: postgres -c 'shared_buffers=64MB'
        environment:
          - POSTGRES_PASSWORD=pa$$word
          - VERSION=5.10
          - FROM_THE_SHELL
        user: 70
        working_dir: /srv
        read_only: true
        tmpfs: /run:size=16m,uid=70
        volumes:
          - data:/var/lib/postgresql/data
          - ./init.sql:/docker-entrypoint-initdb.d/init.sql:ro
          - /scratch
        mem_limit: 1gb
        cpus: "0.50"
        pids_limit: 200
        shm_size: 128m
        ulimits: {nproc: 65535, nofile: {soft: 20000, hard: 40000}}
        cap_add: [CHOWN]
        security_opt: ["seccomp:unconfined", "label=disable"]
        sysctls: [net.core.somaxconn=1024]
        healthcheck:
          test: pg_isready -U postgres
          start_period: 1m30s
        ports: ["5432:5432"]
        depends_on: [cache]
        restart: always
      cache:
        image: redis
"""
LONG = """
    services:
      web:
        image: nginx
        entrypoint: []
        command: [nginx, -g, daemon off;]
        environment: {DEBUG: true, LEVEL: 3, NAME: null, EMPTY: ""}
        volumes:
          - {type: tmpfs, target: /cache, tmpfs: {size: 1048576, mode: 01770}}
          - {type: bind, source: /srv/www, target: /usr/share/nginx/html, read_only: true}
        deploy:
          resources:
            limits: {cpus: '0.25', memory: 1.5G, pids: 10}
        healthcheck: {test: [CMD, curl, -f, "http://127.0.0.1/"], interval: 5s}
        networks: {front: {}}
        devices: [{source: /dev/fuse, target: /dev/fuse}]
        privileged: true
"""


def taken(text: str, service: str, **options: str) -> Draft:
    document = yamlfile.parse(textwrap.dedent(text).encode(), WHERE)
    return from_compose(document, service, **options)


def loaded(draft: Draft) -> Scenario:
    document = yamlfile.parse(to_yaml(draft).encode(), Path("taken.scenario.yaml"))
    [scenario] = scenarios_of(document, Path.cwd())
    return scenario


def test_short_forms_are_taken_over() -> None:
    scenario = loaded(taken(SHORT, "db"))
    spec, service = scenario.container, scenario.service
    assert scenario.images == ("docker://registry.example.org/team/postgres:17",)
    assert spec.env == {"POSTGRES_PASSWORD": "pa$word", "VERSION": "5.10"}
    assert (spec.user, spec.workdir) == ("70", "/srv")
    assert (spec.memory, spec.cpus, spec.pids, spec.shm_size) == (1 << 30, 0.5, 200, 128 << 20)
    assert spec.ulimits == {"nproc": (65535, 65535), "nofile": (20000, 40000)}
    assert (spec.cap_add, spec.cap_drop) == (("CAP_CHOWN",), ("ALL",))
    assert spec.seccomp == "unconfined"
    assert spec.sysctls == {"net.core.somaxconn": "1024"}
    assert spec.mounts == (Mount(target="/run", tmpfs=True, size=16 << 20, mode=0o1777),)
    assert spec.read_only
    assert service is not None
    assert service.args == ("postgres", "-c", "shared_buffers=64MB")
    assert service.ready == ("sh", "-c", "pg_isready -U postgres")
    assert service.timeout == 150.0


def test_what_a_scenario_cannot_say_is_told_line_by_line() -> None:
    said = "\n".join(taken(SHORT, "db").left_out)
    for part in (
        "environment FROM_THE_SHELL",
        "option uid=70 of the tmpfs at /run",
        "volume data at /var/lib/postgresql/data",
        "bind ./init.sql at /docker-entrypoint-initdb.d/init.sql",
        "volume at /scratch",
        "security_opt label=disable",
        "ports: ",
        "depends_on: ",
    ):
        assert part in said
    said = "\n".join(taken(LONG, "web").left_out)
    for part in ("environment NAME", "networks: ", "devices: ", "privileged: ", "bind /srv/www"):
        assert part in said


def test_long_forms_are_taken_over() -> None:
    scenario = loaded(taken(LONG, "web"))
    spec, service = scenario.container, scenario.service
    assert spec.env == {"DEBUG": "true", "LEVEL": "3", "EMPTY": ""}
    assert (spec.cpus, spec.memory, spec.pids) == (0.25, 1536 << 20, 10)
    assert spec.entrypoint == ()
    assert spec.mounts == (Mount(target="/cache", tmpfs=True, size=1 << 20, mode=0o1770),)
    assert service is not None
    assert service.args == ("nginx", "-g", "daemon off;")
    assert service.ready == ("curl", "-f", "http://127.0.0.1/")


def test_a_health_check_that_is_switched_off_is_no_probe() -> None:
    text = LONG.replace("interval: 5s", "disable: true")
    service = loaded(taken(text, "web")).service
    assert service is not None
    assert (service.ready, service.watch) == ((), 10.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image: redis:${TAG:-7}", "compose.yaml:4: services.a.image: has the variable ${TAG:-7}"),
        ("image: redis\nenv_file: .env", "compose.yaml:5: services.a.env_file: is not followed"),
        ("extends: {service: b}", "compose.yaml:4: services.a.extends: is not followed"),
        ("build: .", "services.a: has no image, only a build"),
        ("image: redis\nmem_limit: lots", "compose.yaml:5: mem_limit: expected bytes, or a size"),
        ("image: redis\nhealthcheck: {start_period: soon}", "expected a time such as 30s"),
    ],
)
def test_what_only_compose_can_do_is_refused_with_its_line(text: str, said: str) -> None:
    service = textwrap.indent(text, "    ")
    with pytest.raises(ConfigError) as caught:
        taken(f"\nservices:\n  a:\n{service}\n", "a")
    assert said in str(caught.value)


def test_a_service_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"has no service 'webb'; did you mean 'web'\?"):
        taken(LONG, "webb")


def test_a_variable_of_another_service_is_no_matter() -> None:
    assert taken(SHORT + "      other: {image: 'x:${TAG}'}\n", "db").name == "db"
