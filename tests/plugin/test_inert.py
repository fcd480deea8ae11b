from __future__ import annotations

from pathlib import Path

import pytest

LOOK = """
import sys

def pytest_unconfigure(config):
    found = sorted(name for name in sys.modules if name.split(".")[0] == "harness")
    config.get_terminal_writer().line("LOADED " + " ".join(found))
"""


def test_a_session_without_a_cell_loads_nothing_and_shows_nothing(
    pytester: pytest.Pytester, own_store: Path
) -> None:
    # As the entry point loads it, beside whatever else is installed.
    pytester.makeconftest(LOOK)
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(params=["theirs"])
        def kernel(request):
            return request.param

        @pytest.fixture
        def container(kernel):
            return kernel

        def test_with_fixtures_of_the_same_names(kernel, container):
            assert (kernel, container) == ("theirs", "theirs")

        @pytest.mark.parametrize("kernel", [1, 2])
        def test_with_parameters_of_the_same_name(kernel):
            assert kernel in (1, 2)
        """
    )
    pytester.path.joinpath("docker-compose.yml").write_text("scenarios: not ours\n\t- [")
    pytester.path.joinpath("scenarios").mkdir()
    pytester.path.joinpath("scenarios", "theirs.yaml").write_text("what: [ever\n")
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-n", "0")
    result.assert_outcomes(passed=3)
    [loaded] = [line for line in result.outlines if line.startswith("LOADED")]
    assert loaded.split()[1:] == [
        "harness",
        "harness.plugin",
        "harness.plugin.settings",
        "harness.scenarios",
        "harness.scenarios.detect",
    ]
    assert "kernels:" not in result.stdout.str()
    assert not own_store.exists()
    assert not pytester.path.joinpath("results").exists()


def test_without_yaml_even_the_detection_is_not_loaded(
    pytester: pytest.Pytester, own_store: Path
) -> None:
    pytester.makeconftest(LOOK)
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-n", "1")
    [loaded] = [line for line in result.outlines if line.startswith("LOADED")]
    assert loaded.split()[1:] == ["harness", "harness.plugin", "harness.plugin.settings"]
    assert not own_store.exists()
