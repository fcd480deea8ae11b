from __future__ import annotations

from pathlib import Path

import pytest

from harness import defaults
from harness.errors import ConfigError
from harness.kernels.catalog import load_catalog
from harness.model.cases import Case, Effect
from harness.scenarios import causes
from harness.scenarios.case_schema import KINDS
from harness.scenarios.corpus import DIRECTORY, load_case, load_corpus
from harness.scenarios.load import KNOWN
from harness.score import plan

ROOT = Path(__file__).parents[2]
HOSTS = """\
    - {on: old, effect: breaks, cause: no-clone3, syscall: clone3, errno: ENOSYS}
    - {on: [new, newer], effect: works}
"""


def case_file(directory: Path, *, hosts: str = HOSTS, more: str = "", name: str = "some") -> Path:
    path = directory / f"{name}.yaml"
    path.write_text(
        f"case:\n  kind: profile\n  reference: moby/moby#42680\n  hosts:\n{hosts}{more}"
        "scenarios:\n  some: {image: own, run: 'true'}\n"
    )
    return path


@pytest.fixture(scope="module")
def corpus() -> tuple[Case, ...]:
    return load_corpus(ROOT / DIRECTORY, ROOT)[0]


def test_a_case_has_its_scenario_hosts_and_image(tmp_path: Path) -> None:
    images = "images:\n  own: {debian: {suite: trixie}}\n"
    loaded = load_case(case_file(tmp_path, more=images), tmp_path)
    case = loaded.case
    assert (case.name, case.kind, case.references) == ("some", "profile", ("moby/moby#42680",))
    assert [(each.hosts, each.effect) for each in case.expected] == [
        (("old",), Effect.BREAKS),
        (("new", "newer"), Effect.WORKS),
    ]
    assert case.expected[0].sign.errno == "ENOSYS"
    assert case.scenario.tags == (KNOWN,)
    assert list(loaded.images) == ["own"]


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ("    - {on: a, effect: works}\n", "needs hosts where it shows, and hosts where it works"),
        (HOSTS + "    - {on: new, effect: works}\n", "names the host new twice"),
        ("    - {on: a, effect: breaks, errno: EPERM}\n", "needs a cause"),
        ("    - {on: a, effect: breaks, cause: x}\n", "needs one of syscall, errno, origin"),
        ("    - {on: a, effect: works, cause: x}\n", "where it works there is no cause"),
        ("    - {on: a, effect: burns}\n", "effect"),
    ],
)
def test_a_wrong_case_is_one_error_with_its_line(tmp_path: Path, hosts: str, said: str) -> None:
    path = case_file(tmp_path, hosts=hosts)
    with pytest.raises(ConfigError, match=said) as raised:
        load_case(path, tmp_path)
    assert str(raised.value).startswith(f"{path}:")
    assert "\n" not in str(raised.value)


def test_images_without_a_case_belong_into_the_catalog(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "images:\n  own: {debian: {suite: trixie}}\nscenarios:\n  s: {image: own, run: 'true'}\n"
    )
    with pytest.raises(ConfigError, match="'images' go with 'case' only"):
        load_case(path, tmp_path)


def test_two_cases_cannot_mean_different_images_by_one_name(tmp_path: Path) -> None:
    for name, suite in (("one", "trixie"), ("two", "bookworm")):
        images = f"images:\n  own: {{debian: {{suite: {suite}}}}}\n"
        case_file(tmp_path, more=images, name=name)
    with pytest.raises(ConfigError, match=r"two\.yaml:\d+: images\.own: another image"):
        load_corpus(tmp_path, tmp_path)


def test_a_case_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    case_file(tmp_path)
    with pytest.raises(ConfigError, match="no case is called 'other'; known: some"):
        load_corpus(tmp_path, tmp_path, ["other"])


def test_the_corpus_has_every_kind_and_every_case_says_why(corpus: tuple[Case, ...]) -> None:
    assert len(corpus) >= 20
    assert {case.kind for case in corpus} == set(KINDS)
    assert [case.name for case in corpus if not case.scenario.why] == []


def test_the_corpus_names_hosts_and_causes_that_there_are(corpus: tuple[Case, ...]) -> None:
    entries = load_catalog([defaults.directory("kernels") / "catalog.yaml"])
    tries = plan(corpus, entries, causes.load_for(ROOT))
    assert len(tries) == sum(len(each.hosts) for case in corpus for each in case.expected)
    assert len({one.cell.id for one in tries}) == len(tries)


def test_an_unknown_host_or_cause_is_an_error_at_its_line(tmp_path: Path) -> None:
    case = load_case(case_file(tmp_path), tmp_path).case
    with pytest.raises(ConfigError, match=r"some\.yaml:5: there is no cause 'no-clone3'"):
        plan([case], [], [])
