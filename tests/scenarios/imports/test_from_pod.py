from __future__ import annotations

import textwrap
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import pytest

from harness import yamlfile
from harness.errors import ConfigError, UsageError
from harness.model.scenarios import Mount, Scenario
from harness.scenarios.imports.draft import Draft, to_yaml
from harness.scenarios.imports.from_pod import expanded, from_pod
from harness.scenarios.imports.quantities import quantity
from harness.scenarios.load import scenarios_of
from harness.yamlvalues import Key

WHERE = Path("pod.yaml")
DEPLOYMENT = """
    apiVersion: v1
    kind: Service
    metadata: {name: app}
    spec: {ports: [{port: 80}]}
    ---
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: app}
    spec:
      template:
        spec:
          hostname: box
          hostUsers: false
          securityContext:
            runAsUser: 1000
            fsGroup: 2000
            seccompProfile: {type: RuntimeDefault}
            sysctls: [{name: net.ipv4.ip_local_port_range, value: "1024 65535"}]
          initContainers:
            - {name: prepare, image: busybox}
          containers:
            - name: app
              image: ghcr.io/team/app:1.2
              command: [/app, --listen=$(HOST):$(PORT)]
              args: ["$(UNKNOWN)", "$$(PORT)"]
              workingDir: /srv
              env:
                - {name: HOST, value: 127.0.0.1}
                - {name: PORT, value: "8080"}
                - {name: BOTH, value: "$(HOST):$(PORT)"}
                - {name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}
              envFrom: [{configMapRef: {name: settings}}]
              resources:
                requests: {cpu: 10m}
                limits: {cpu: 250m, memory: 128Mi, ephemeral-storage: 1Gi}
              securityContext:
                runAsGroup: 3000
                readOnlyRootFilesystem: true
                allowPrivilegeEscalation: false
                capabilities: {add: [NET_BIND_SERVICE], drop: [ALL]}
              readinessProbe:
                exec: {command: [/app, --check]}
                initialDelaySeconds: 5
              startupProbe:
                httpGet: {path: /, port: 8080}
                periodSeconds: 2
                failureThreshold: 30
              ports: [{containerPort: 8080}]
              volumeMounts:
                - {name: scratch, mountPath: /tmp}
                - {name: settings, mountPath: /etc/app, readOnly: true}
            - {name: sidecar, image: envoy}
          volumes:
            - {name: scratch, emptyDir: {sizeLimit: 10Mi}}
            - {name: settings, configMap: {name: settings}}
"""


def taken(text: str, container: str, **options: str) -> Draft:
    return from_pod(textwrap.dedent(text).encode(), WHERE, container, **options)


def loaded(draft: Draft) -> Scenario:
    document = yamlfile.parse(to_yaml(draft).encode(), Path("taken.scenario.yaml"))
    [scenario] = scenarios_of(document, Path.cwd())
    return scenario


def test_a_container_of_a_workload_is_taken_over() -> None:
    scenario = loaded(taken(DEPLOYMENT, "app"))
    spec, service = scenario.container, scenario.service
    assert scenario.images == ("docker://ghcr.io/team/app:1.2",)
    assert spec.env == {"HOST": "127.0.0.1", "PORT": "8080", "BOTH": "127.0.0.1:8080"}
    assert spec.entrypoint == ("/app", "--listen=127.0.0.1:8080")
    assert (spec.user, spec.workdir, spec.hostname) == ("1000:3000", "/srv", "box")
    assert (spec.cpus, spec.memory) == (0.25, 128 << 20)
    assert (spec.cap_add, spec.cap_drop) == (("CAP_NET_BIND_SERVICE",), ("ALL",))
    assert spec.read_only
    assert spec.seccomp == ""
    assert spec.userns
    assert spec.sysctls == {"net.ipv4.ip_local_port_range": "1024 65535"}
    assert spec.mounts == (Mount(target="/tmp", tmpfs=True, size=10 << 20, mode=0o777),)
    assert service is not None
    assert service.args == ("$(UNKNOWN)", "$(PORT)")
    assert service.ready == ("/app", "--check")
    assert service.timeout == 120.0


def test_what_a_scenario_cannot_say_is_told_line_by_line() -> None:
    said = "\n".join(taken(DEPLOYMENT, "app").left_out)
    for part in (
        "env TOKEN",
        "envFrom",
        "volume settings at /etc/app",
        "allowPrivilegeEscalation: false",
        "fsGroup",
        "ports",
        "other containers",
        "init containers",
    ):
        assert part in said


@pytest.mark.parametrize(
    "text",
    [
        "kind: Pod\nspec: {containers: [{name: c, image: redis}]}\n",
        "kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: "
        "{containers: [{name: c, image: redis}]}}}}}\n",
        "kind: List\nitems:\n- kind: Service\n- {kind: Pod, spec: "
        "{containers: [{name: c, image: redis}]}}\n",
        '{"kind": "Pod", "spec": {"containers": [{"name": "c", "image": "redis"}]}}',
    ],
)
def test_pods_are_found_wherever_kubernetes_has_them(text: str) -> None:
    assert loaded(taken(text, "c")).images == ("docker://docker.io/library/redis",)


def test_without_a_profile_a_pod_runs_unconfined_and_that_is_said() -> None:
    draft = taken("spec: {containers: [{name: c, image: redis}]}", "c")
    assert loaded(draft).container.seccomp == "unconfined"
    assert any(line.startswith("seccomp: unconfined") for line in draft.remarks)


def test_a_probe_that_needs_a_network_is_told() -> None:
    text = DEPLOYMENT.replace("exec: {command: [/app, --check]}", "tcpSocket: {port: 8080}")
    draft = taken(text, "app")
    service = loaded(draft).service
    assert service is not None
    assert (service.ready, service.watch) == ((), 10.0)
    assert [line.partition(":")[0] for line in draft.left_out if "Probe" in line] == [
        "readinessProbe",
        "startupProbe",
    ]


def test_a_container_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError) as caught:
        taken(DEPLOYMENT, "web")
    assert str(caught.value) == (
        "pod.yaml has no container named 'web'; there are: prepare, app, sidecar"
    )


class Lines(dict[tuple[Key, ...], int]):
    """Lines of a file that are not gone through."""

    def __iter__(self) -> NoReturn:
        raise AssertionError

    items = keys = values = __iter__


def test_a_pod_that_is_right_does_not_take_the_time_of_the_whole_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pods = [{"spec": {"containers": [{"name": name, "image": "x"}]}} for name in "abc"]
    document = yamlfile.Document(WHERE, {"items": pods}, Lines({(): 1}))
    monkeypatch.setattr(yamlfile, "parse_all", lambda *_: iter([document]))
    assert from_pod(b"", WHERE, "b").name == "b"


def test_a_mistake_in_a_pod_of_a_list_has_its_line() -> None:
    text = "items:\n- spec: {containers: [{name: a}]}\n- spec:\n    containers:\n    - name: []\n"
    with pytest.raises(ConfigError, match=r"^pod\.yaml:5: containers\[0\]\.name: expected text"):
        from_pod(text.encode(), WHERE, "a")


def test_a_mistake_in_a_later_document_has_its_line() -> None:
    text = DEPLOYMENT.replace("memory: 128Mi", "memory: much")
    line = (
        textwrap.dedent(text)
        .splitlines()
        .index("            limits: {cpu: 250m, memory: much, ephemeral-storage: 1Gi}")
    )
    with pytest.raises(ConfigError) as caught:
        taken(text, "app")
    assert str(caught.value).startswith(f"pod.yaml:{line + 1}: containers[0].resources.limits")
    assert "expected a quantity such as 100m, 1.5 or 128Mi" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100m", "0.1"),
        ("1.5", "1.5"),
        ("128Mi", str(128 << 20)),
        ("1k", "1000"),
        ("2G", "2000000000"),
        ("1e3", "1000"),
        ("1E", "1000000000000000000"),
        (".5", "0.5"),
    ],
)
def test_quantities_are_read_as_kubernetes_does(text: str, number: str) -> None:
    assert quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["128MB", "1K", "m", "", "1e3Mi", "0x10"])
def test_what_kubernetes_would_not_take_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="expected a quantity"):
        quantity(text)


def test_references_are_expanded_once_and_only_where_known() -> None:
    env = {"A": "$(B)", "B": "b"}
    assert expanded("$(A) $(B) $(C) $$(B)", env) == "$(B) b $(C) $(B)"
