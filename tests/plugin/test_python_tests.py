from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.model.scenarios import Service
from harness.scenarios.held import scenario_of


def made(**keys: object) -> object:
    return scenario_of(
        "test_it", "redis", keys, path=Path("/repo/test_x.py"), line=7, rootdir=Path("/repo")
    )


def test_a_containers_keywords_are_those_of_scenario_files() -> None:
    found = scenario_of(
        "test_it",
        "redis",
        {
            "user": 1000,
            "env": {"A": "1"},
            "memory": "64M",
            "cap_add": ("net_admin",),
            "mounts": [{"target": "/x", "tmpfs": True}],
            "service": True,
        },
        path=Path("/repo/test_x.py"),
        line=7,
        rootdir=Path("/repo"),
    )
    assert (found.name, found.images, found.steps) == ("test_it", ("redis",), ())
    assert found.container.user == "1000"
    assert found.container.memory == 64 << 20
    assert found.container.cap_add == ("CAP_NET_ADMIN",)
    assert found.container.mounts[0].tmpfs
    assert found.service == Service()


@pytest.mark.parametrize(
    ("given", "run"),
    [(["redis-server"], ("redis-server",)), ("exec x", ("sh", "-c", "exec x"))],
)
def test_a_service_may_be_a_command(given: object, run: tuple[str, ...]) -> None:
    found = scenario_of(
        "t", "redis", {"service": given}, path=Path("/r/t.py"), line=1, rootdir=Path("/r")
    )
    assert found.service is not None
    assert found.service.run == run


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"usr": "nobody"}, r"test_x\.py:7: .*usr.*user"),
        ({"memory": "much"}, r"test_x\.py:7: .*memory.*such as 64K"),
        ({"run": ["true"]}, r"test_x\.py:7: container\(\): 'run' is not the container's to say"),
    ],
)
def test_a_wrong_keyword_is_told_with_the_tests_line(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        made(**keys)


@pytest.mark.guest
def test_python_tests_are_cells_beside_scenarios(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makefile(
        ".scenario.yaml",
        uname="scenarios:\n  uname:\n    image: debian-trixie\n    run: [uname, -r]\n",
    )
    pytester.makepyfile(
        test_it="""
        import pytest

        pytestmark = pytest.mark.image("debian-trixie")

        def test_commands(container, kernel):
            box = container(user="nobody", env={"WORD": "hello"}, hostname="here")
            result = box.run("echo $WORD from $(hostname); id -un >&2; exit 3")
            assert (result.exit, result.signal) == (3, None)
            assert (result.stdout, result.stderr) == ("hello from here\\n", "nobody\\n")
            assert box.run(["cat"], stdin="fed").stdout == "fed"
            assert box.run("kill -9 $$").signal == "KILL"
            assert box.run(["uname", "-r"]).stdout.strip() == kernel.release
            assert box.run(["cat", "/nowhere"]).exit == 1
            seen = box.observation()
            assert [step.exit for step in seen.steps] == [3, 0, None, 0, 1]
            assert seen.steps[2].signal == "KILL"
            assert any(
                (f.name, f.errno, f.program) == ("openat", "ENOENT", "cat") for f in seen.failures
            )

        def test_that_fails(container):
            box = container()
            assert box.run(["false"]).exit == 0

        def test_a_bare_guest(guest, kernel):
            assert guest.run("uname -r").stdout.decode().strip() == kernel.release

        def test_absent(container):
            container().run(["no-such-program"])

        @pytest.mark.xfail(reason="too slow")
        def test_slow(container):
            container(service="sleep 1000").run(["sleep", "100"], timeout=0.5)
        """
    )
    result = pytester.runpytest_subprocess(
        *("-p", "harness.plugin", "--kernels=latest", "-rs", "-p", "no:cacheprovider"),
        *("--accel=tcg", "test_it.py", "uname.scenario.yaml"),
        timeout=580,
    )
    text = result.stdout.str()
    result.assert_outcomes(passed=3, failed=2, xfailed=1)
    assert text.count("kernels: accelerator: TCG") == 1
    assert "test_it.py:18: AssertionError" in text or "assert 1 == 0" in text
    assert "harness/scenarios/held.py" not in text
    assert "no-such-program" in text
    result.stdout.re_match_lines_random(
        [
            r".*test_commands +\S+ passed.*",
            r".*test_that_fails +\S+ failed.*",
            r"\(none\) +test_a_bare_guest +\S+ passed.*",
            r".*test_slow +\S+ .*known.*",
            r".*uname +\S+ passed.*",
        ]
    )
    assert len(list(pytester.path.glob("results/latest/cells/*.json"))) == 6
