from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from harness.errors import ConfigError
from harness.model.hosts import Engine
from harness.model.scenarios import Scenario
from harness.scenarios.load import load_file
from harness.scenarios.schema import ScenarioKeys, StepKeys
from harness.scenarios.values import UNLIMITED

Load = Callable[[str], list[Scenario]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    folder = tmp_path / "root" / "scenarios"
    folder.mkdir(parents=True)

    def write_and_load(text: str) -> list[Scenario]:
        file = folder / "test.yaml"
        file.write_text(text)
        return load_file(file, tmp_path / "root")

    return write_and_load


@pytest.fixture
def one(load: Load) -> Callable[[str], Scenario]:
    """Load one scenario of the given keys, written without indentation."""

    def load_one(keys: str) -> Scenario:
        (scenario,) = load("scenarios:\n  it:\n" + indented(keys))
        return scenario

    return load_one


@pytest.fixture
def refused(load: Load) -> Callable[[str], str]:
    """Return what is said of one scenario, its line counted from its own first key."""

    def refuse(keys: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load("scenarios:\n  it:\n" + indented(keys))
        where, said = str(caught.value).split(": ", 1)
        return f"{int(where.rsplit(':', 1)[1]) - 2}: {said}"

    return refuse


def indented(keys: str) -> str:
    return "".join(f"    {line}\n" for line in keys.splitlines())


def test_a_short_scenario_has_one_step_and_the_engines_defaults(load: Load) -> None:
    (scenario,) = load("# about\nscenarios:\n  hello:\n    image: a\n    run: echo hello\n")
    assert (scenario.name, scenario.file, scenario.line) == ("hello", "scenarios/test.yaml", 3)
    assert scenario.images == ("a",)
    (step,) = scenario.steps
    assert (step.name, step.run, step.args) == ("step 1", ("sh", "-c", "echo hello"), None)
    assert (step.timeout, step.expect.exit, step.expect.signal) == (60, 0, None)
    assert scenario.container.shm_size == 64 << 20
    assert scenario.container.engine is None
    assert scenario.timeout == 300


def test_every_key_reaches_the_model(load: Load) -> None:
    (scenario,) = load(EVERYTHING)
    spec = scenario.container
    assert scenario.images == ("a", "docker://example.org/b:1")
    assert scenario.tags == ("slow",)
    assert scenario.kernels == "5.10+"
    assert scenario.requires == {"userns": "true", "cgroup": "v2"}
    assert spec.env == {"A": "1", "VERSION": "5.10", "EMPTY": ""}
    assert (spec.user, spec.workdir, spec.hostname) == ("1000:1000", "/srv", "box")
    assert spec.memory == 256 << 20
    assert spec.shm_size == 1 << 30
    assert (spec.cpus, spec.pids) == (1.5, 50)
    assert spec.ulimits == {"nofile": (1024, 4096), "core": (0, 0), "stack": (8192, UNLIMITED)}
    assert spec.cap_add == ("CAP_SYS_ADMIN", "CAP_NET_RAW")
    assert spec.cap_drop == ("ALL",)
    assert spec.userns
    assert spec.read_only
    assert spec.sysctls == {"net.ipv4.ip_unprivileged_port_start": "0"}
    assert spec.entrypoint == ("/entry",)
    assert spec.engine is Engine.DOCKER
    assert spec.seccomp == "unconfined"
    assert [mount.mode for mount in spec.mounts] == [0o1777, 0o755]
    assert spec.mounts[0].size == 8 << 20
    assert spec.mounts[1].content == "text\n"
    assert scenario.service is not None
    assert scenario.service.run == ("serve", "--port", "80")
    assert scenario.service.ready == ("sh", "-c", "test -e /up")
    assert scenario.service.timeout == 90
    first, second = scenario.steps
    assert (first.name, first.args, first.stdin, first.timeout) == ("ask", ("a",), "x", 0.5)
    assert (first.expect.exit, first.expect.signal) == (None, "SEGV")
    assert first.expect.stdout.contains == ("hello",)
    assert first.expect.stderr.equals == ""
    assert second.name == "step 2"
    assert (second.expect.exit, second.expect.signal) == (None, None)
    assert second.expect.stdout.contains == ("one", "two")
    assert second.expect.stdout.matches == ("^x+$",)
    assert scenario.known[0].kernels == "5.10,6.1"
    assert scenario.known[0].syscall == "fchmodat2"
    assert scenario.normalise == ((r"id=\d+", "id=N"),)
    assert scenario.timeout == 120
    assert scenario.why == "Because."


EVERYTHING = r"""
x-shared: &shared {tags: slow}
scenarios:
  all.of-it_1:
    <<: *shared
    images: [a, "docker://example.org/b:1"]
    why: Because.
    kernels: 5.10+
    requires: [userns, {cgroup: v2}]
    env: {A: 1, VERSION: 5.10, EMPTY: ""}
    user: 1000:1000
    workdir: /srv
    hostname: box
    memory: 256M
    shm_size: 1GiB
    cpus: 1.5
    pids: 50
    ulimits: {nofile: "1024:4096", RLIMIT_CORE: 0, stack: "8192:unlimited"}
    cap_add: [SYS_ADMIN, cap_net_raw]
    cap_drop: all
    userns: true
    read_only: true
    sysctls: {net.ipv4.ip_unprivileged_port_start: 0}
    entrypoint: /entry
    engine: docker
    seccomp: unconfined
    mounts:
      - {target: /data, tmpfs: true, size: 8m}
      - {target: /run.sh, mode: 0755, content: "text\n"}
    service:
      run: [serve, --port, 80]
      ready: test -e /up
      timeout: 1.5m
    steps:
      - name: ask
        args: [a]
        stdin: x
        timeout: 500ms
        expect: {signal: SIGSEGV, stdout: hello, stderr: {equals: ""}}
      - run: [b]
        expect: {exit: any, stdout: {contains: [one, two], matches: ^x+$}}
    known:
      - {kernels: [5.10, 6.1], syscall: fchmodat2, reason: It copes.}
    normalise:
      - {pattern: 'id=\d+', replacement: id=N}
    timeout: 120
"""


def test_a_scenario_is_plain_data_that_crosses_machines(load: Load) -> None:
    (scenario,) = load(EVERYTHING)
    adapter = TypeAdapter(Scenario)
    assert adapter.validate_json(adapter.dump_json(scenario)) == scenario


def test_scenarios_keep_the_files_order(load: Load) -> None:
    text = "scenarios:\n  b: {image: x}\n  a: {image: x}\n  5.10: {image: x}\n"
    assert [scenario.name for scenario in load(text)] == ["b", "a", "5.10"]


def test_without_run_and_args_the_step_is_the_images_own_command(
    one: Callable[[str], Scenario],
) -> None:
    (step,) = one("image: a").steps
    assert (step.run, step.args) == (None, None)


def test_the_timeout_of_a_short_scenario_is_its_steps(one: Callable[[str], Scenario]) -> None:
    scenario = one("image: a\nrun: x\ntimeout: 10m")
    assert (scenario.steps[0].timeout, scenario.timeout) == (600, 600)


def test_a_source_is_found_beside_the_scenario_file(
    one: Callable[[str], Scenario], tmp_path: Path
) -> None:
    script = tmp_path / "root" / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o750)
    mount = one("image: a\nmounts: [{target: /x, source: ../script}]").container.mounts[0]
    assert mount.source == script
    assert mount.mode == 0o750


def test_a_seccomp_file_is_found_beside_the_scenario_file(
    one: Callable[[str], Scenario], tmp_path: Path
) -> None:
    profile = tmp_path / "root" / "scenarios" / "mine.json"
    profile.write_text("{}")
    assert one("image: a\nseccomp: mine.json").container.seccomp == str(profile)
    assert one("image: a\nseccomp: trixie").container.seccomp == "trixie"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("image: a\nrnu: x", "2: scenarios.it.rnu: unknown key; did you mean 'run'?"),
        (
            "image: a\nsteps:\n- {run: x, expcet: {}}",
            "3: scenarios.it.steps[0].expcet: unknown key; did you mean 'expect'?",
        ),
        (
            "image: a\nexpect: {stdout: {equal: x}}",
            "2: scenarios.it.expect.stdout.equal: unknown key; did you mean 'equals'?",
        ),
        ("image: [a]", "1: scenarios.it.image: expected text, got a list"),
        ("image: a\nmemory: much", "2: scenarios.it.memory: expected bytes, or a size"),
        ("image: a\nread_only: 1", "2: scenarios.it.read_only: expected true or false, got"),
        ("image: a\npids: 0", "2: scenarios.it.pids: expected more than 0, got the number 0"),
        ("image: a\nenv: [A=1]", "2: scenarios.it.env: expected a mapping (key: value), got a l"),
        ("image: a\nenv: {A: true}", "2: scenarios.it.env.A: expected text, got true"),
        ("image: a\nrun: 5", "2: scenarios.it.run: expected a command: a list of words, or"),
        ("image: a\nrun: ''", "2: scenarios.it.run: expected a command, got ''"),
        ("image: a\nrun: []", "2: scenarios.it.run: expected a command: a list of words"),
        ("image: a\nrun: [a, [b]]", "2: scenarios.it.run[1]: expected text, got a list"),
        ("image: a\nargs: x y", "2: scenarios.it.args: expected a list of words, got 'x y'"),
        ("image: a\nrun: x\nargs: [y]", "0: scenarios.it: takes one of run and args, not both"),
        (
            "image: a\nsteps:\n- run: x\n  args: [y]",
            "3: scenarios.it.steps[0]: takes one of run and args, not both",
        ),
        ("image: a\nservice:\n  run: x\n  args: [y]", "2: scenarios.it.service: takes one of"),
        ("image: a\nsteps: []", "2: scenarios.it.steps: expected at least 1 entry"),
        ("image: a\nsteps: [{run: a}]\nrun: x", "0: scenarios.it: run belongs into a step"),
        ("image: a\nservice: {}", "0: scenarios.it: beside a service each step needs run or args"),
        ("run: x", "0: scenarios.it: needs exactly one of image and images"),
        ("image: a\nimages: [b]", "0: scenarios.it: needs exactly one of image and images"),
        ("images: []", "1: scenarios.it.images: expected text or a list of texts, got an em"),
        ("images: [a, a]", "1: scenarios.it.images: names an image twice"),
        (
            "image: a\nrequires: [usrens]",
            "2: scenarios.it.requires: unknown requirement 'usrens'; did you mean 'userns'?",
        ),
        ("image: a\nrequires: {cgroup: v3}", "2: scenarios.it.requires: cgroup takes v1 or v2, n"),
        ("image: a\nrequires: [cgroup]", "2: scenarios.it.requires: cgroup takes v1 or v2, not"),
        ("image: a\nrequires: [[x]]", "2: scenarios.it.requires: unknown requirement"),
        ("image: a\ntimeout: soon", "2: scenarios.it.timeout: expected seconds, or a time"),
        ("image: a\ntimeout: 0", "2: scenarios.it.timeout: expected a time above 0 and up to 24h"),
        ("image: a\ntimeout: -3s", "2: scenarios.it.timeout: expected seconds, or a time"),
        ("image: a\ntimeout: [3]", "2: scenarios.it.timeout: expected seconds, or a time"),
        (
            "image: a\nexpect:\n  stdout: {matches: '(x'}",
            "3: scenarios.it.expect.stdout.matches: not a regular expression: missing )",
        ),
        ("image: a\nexpect: {stdout: {}}", "2: scenarios.it.expect.stdout: needs one of equals"),
        ("image: a\nexpect: {stdout: ''}", "2: scenarios.it.expect.stdout: an empty text is in"),
        ("image: a\nexpect: {exit: 256}", "2: scenarios.it.expect.exit: expected at most 255"),
        ("image: a\nexpect: {exit: some}", "2: scenarios.it.expect.exit: expected a whole number"),
        ("image: a\nexpect: {exit: 1, signal: TERM}", "2: scenarios.it.expect: takes one of exit"),
        (
            "image: a\nexpect: {signal: SIGKIL}",
            "2: scenarios.it.expect.signal: unknown signal 'SIGKIL'; did you mean 'KILL'?",
        ),
        ("image: a\nnormalise: [{pattern: '[', replacement: ''}]", "2: scenarios.it.normalise[0]"),
        ("image: a\nknown: [{kernels: x}]", "2: scenarios.it.known[0].reason: is required"),
        ("image: a\nengine: rkt", "2: scenarios.it.engine: expected 'podman' or 'docker'"),
        ("image: a\ncap_add: SYS_ADMNI", "2: scenarios.it.cap_add: unknown capability"),
        ("image: a\nulimits: {nofiles: 1}", "2: scenarios.it.ulimits.nofiles: unknown limit"),
        ("image: a\nulimits: {nofile: '9:1'}", "2: scenarios.it.ulimits.nofile: expected a soft"),
        ("image: a\nulimits: {nofile: few}", "2: scenarios.it.ulimits.nofile: expected a number"),
        ("image: a\nmounts: [{target: /x}]", "2: scenarios.it.mounts[0]: needs exactly one of tmp"),
        (
            "image: a\nmounts:\n- {target: /x, tmpfs: true}\n- {target: x, content: a}",
            "4: scenarios.it.mounts[1].target: expected an absolute path",
        ),
        ("image: a\nmounts: [{target: /a/../.., content: a}]", "2: scenarios.it.mounts[0].target"),
        ("image: a\nmounts: [{target: /, tmpfs: true}]", "2: scenarios.it.mounts[0].target: expec"),
        ("image: a\nmounts: [{target: /x, content: a, size: 1M}]", "2: scenarios.it.mounts[0]: si"),
        ("image: a\nmounts: [{target: /x, content: a, mode: 0999}]", "2: scenarios.it.mounts[0].m"),
        ("image: a\nmounts: [{target: /x, source: none}]", "2: scenarios.it.mounts[0].source: /"),
        (
            "image: a\nmounts: [{target: /x, source: /etc/passwd}]",
            "2: scenarios.it.mounts[0].source: /etc/passwd leads out of /",
        ),
        (
            "image: a\nmounts: [{target: /x, source: ../../secret}]",
            "2: scenarios.it.mounts[0].source: ../../secret leads out of /",
        ),
        ("image: a\nmounts: [{target: /x, source: \"a\\0b\"}]", "2: scenarios.it.mounts[0].source"),
        ("image: a\nseccomp: ./none.json", "2: scenarios.it.seccomp: /"),
        ("image: a\nsteps:\n- {name: x}\n- {name: x}", "4: scenarios.it.steps[1].name: duplicate"),
        ("image: a\nimage: b", "2: duplicate key 'image': it is already on line 3"),
        ("image: a\nrun: [x", "3: not valid YAML: "),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line_with_line_and_key(
    refused: Callable[[str], str], keys: str, said: str
) -> None:
    message = refused(keys)
    assert message.startswith(said)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scenarios: {}\n", "test.yaml:1: scenarios: expected at least 1 entry"),
        ("scenarios:\n", "test.yaml:1: scenarios: expected a mapping (key: value), got nothing"),
        ("scenarios:\n- name: x\n", "test.yaml:1: scenarios: expected a mapping (key: value), got"),
        ("scenarios:\n  a:\n", "test.yaml:2: scenarios.a: expected a mapping (key: value), got no"),
        (
            "scenarios:\n  a b: {image: x}\n",
            "test.yaml:2: scenarios.a b: a scenario's name is made",
        ),
        ("scenarios:\n  a: {image: x}\n  a: {image: x}\n", "test.yaml:3: duplicate key 'a'"),
        ("scenarios:\n  a: {image: x}\nother: 1\n", "test.yaml:3: other: unknown key"),
        ("scenario:\n  a: {image: x}\n", "test.yaml:1: no key 'scenarios' at the top level"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_line(load: Load, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert said in str(caught.value)


def test_a_link_that_leads_out_of_the_repository_is_refused(
    refused: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root" / "scenarios" / "link").symlink_to(tmp_path / "secret")
    assert "link leads out of" in refused("image: a\nmounts: [{target: /x, source: link}]")


def test_a_link_loop_is_refused(refused: Callable[[str], str], tmp_path: Path) -> None:
    loop = tmp_path / "root" / "scenarios" / "loop"
    loop.symlink_to(loop)
    said = refused("image: a\nmounts: [{target: /x, source: loop}]")
    assert "not a usable path" in said or "does not exist" in said


def test_a_file_outside_the_rootdir_is_named_by_its_full_path(tmp_path: Path) -> None:
    file = tmp_path / "lone.yaml"
    file.write_text("scenarios:\n  a: {image: x}\n")
    (tmp_path / "root").mkdir()
    (scenario,) = load_file(file, tmp_path / "root")
    assert scenario.file == os.fspath(file)


_KEYS = st.sampled_from(
    [*ScenarioKeys.model_fields, *StepKeys.model_fields, "exit", "signal", "stdout", "equals",
     "contains", "matches", "target", "content", "source", "size", "mode", "tmpfs", "ready",
     "userns", "cgroup", "nofile", "pattern", "replacement", "reason"]
)  # fmt: skip
_WORDS = st.sampled_from(["", "a", "/a", "../x", "30s", "1M", "any", "v2", "true", "(", "all", "0"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=10,
)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_any_keys_are_loaded_or_refused_as_a_config_error(
    load: Load, keys: dict[str, object]
) -> None:
    try:
        loaded = load(json.dumps({"scenarios": {"it": {"image": "a", **keys}}}))
    except ConfigError as error:
        assert "test.yaml:1: " in str(error)
    else:
        assert loaded[0].steps
