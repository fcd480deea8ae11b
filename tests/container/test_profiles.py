"""The catalogue of profiles, and what is derived from them."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from harness import defaults
from harness.container import seccomp
from harness.container.choice import CANDIDATES
from harness.container.profiles import Catalogue, Chosen, derive
from harness.errors import ConfigError, UsageError
from harness.model.hosts import Engine

BASE = json.dumps(
    {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "syscalls": [
            {
                "names": ["read", "clone", "clone3", "statx", "faccessat2"],
                "action": "SCMP_ACT_ALLOW",
            },
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": "X"}]},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        ],
    }
)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(defaults.directory("kernels") / "seccomp.yaml")


def choose(catalogue: Catalogue, wanted: str, base: Path = Path()) -> Chosen:
    return catalogue.choose(wanted, Engine.PODMAN, lambda *_: BASE, base)


def names(profile: seccomp.Profile | None) -> list[set[str]]:
    assert profile is not None
    return [set(rule.names) for rule in profile.syscalls]


def test_every_runtime_that_may_be_chosen_is_described(catalogue: Catalogue) -> None:
    for candidates in CANDIDATES.values():
        for name in candidates:
            assert catalogue.traits(name).newest > 440


def test_each_engine_has_a_newest_profile(catalogue: Catalogue) -> None:
    assert catalogue.default(Engine.PODMAN) == "podman-trixie"
    assert catalogue.default(Engine.DOCKER) == "docker-trixie"


def test_what_is_derived_says_so_in_its_name_and_title(catalogue: Catalogue) -> None:
    for name, entry in catalogue.entries.items():
        assert entry.derived is name.endswith("-derived")
        assert entry.derived is entry.title.endswith("derived")


def test_every_call_left_out_has_the_change_that_added_it(catalogue: Catalogue) -> None:
    derived = [entry for entry in catalogue.entries.values() if entry.derived]
    assert len(derived) == 6
    for entry in derived:
        assert entry.without
        for change in (*entry.without, *entry.also):
            repository, number = change.change.split()
            assert repository in ("moby/moby", "containers/common")
            assert number.isdigit()
            assert change.calls


def test_no_derived_profile_is_older_and_lists_more(catalogue: Catalogue) -> None:
    def missing(name: str) -> set[str]:
        return {call for change in catalogue.entries[name].without for call in change.calls}

    days = [missing(f"docker-{year}-derived") for year in (2021, 2020, 2019, 2017)]
    assert all(newer < older for newer, older in pairwise(days))
    assert missing("podman-2021-derived") < missing("podman-2020-derived")


def test_a_derived_profile_lacks_its_calls_in_every_rule(catalogue: Catalogue) -> None:
    chosen = choose(catalogue, "docker-2017-derived")
    assert chosen.derived
    assert not chosen.stubs_of_day
    assert names(chosen.profile) == [{"syslog"}, {"read", "clone"}, {"clone"}]


def test_a_limited_call_keeps_its_conditions_alone(catalogue: Catalogue) -> None:
    chosen = choose(catalogue, "podman-2020-derived")
    assert chosen.profile is not None
    assert names(chosen.profile) == [{"vmsplice"}, {"read", "statx"}, {"clone"}]
    assert chosen.profile.default_errno_ret == 1


def test_deriving_leaves_the_base_as_it_was(catalogue: Catalogue) -> None:
    base = seccomp.parse(BASE, "base")
    derive(base, catalogue.entries["docker-2019-derived"])
    assert base == seccomp.parse(BASE, "base")


def test_a_users_file_is_taken_by_its_path(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    chosen = choose(catalogue, "mine.json", tmp_path)
    assert chosen.profile is not None
    assert chosen.profile.default_action == "SCMP_ACT_ALLOW"


def test_unconfined_is_no_profile(catalogue: Catalogue) -> None:
    assert choose(catalogue, "unconfined").profile is None


def test_an_unknown_name_says_what_was_probably_meant(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError, match="did you mean 'docker-trixie'"):
        choose(catalogue, "docker-trixi")


def test_a_file_that_is_not_there_is_named(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the seccomp profile .*no\.json: No such"):
        choose(catalogue, "no.json", tmp_path)


def test_a_base_that_does_not_exist_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "seccomp.yaml"
    file.write_text("profiles:\n  mine:\n    engine: podman\n    title: x\n    base: none\n")
    with pytest.raises(ConfigError, match=r"seccomp\.yaml:5: .*'none' is no packaged profile"):
        Catalogue(file)
