"""Two hosts on one kernel: what breaks an image is the host, and the results say what of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.conftest import one_step
from guest.laboratories import laboratory, observe

from harness import defaults
from harness.assembly import Assembly, Options
from harness.kernels.lock import KERNELS_LOCK, read_locks, write_locks
from harness.laboratory import Laboratory
from harness.model.observations import Observation, Origin, Verdict
from harness.model.scenarios import Scenario
from harness.verdicts.unlike import Asked, unlike

pytestmark = pytest.mark.guest

CATALOG = """\
sources:
  bookworm: &bookworm {type: apt, bases: [http://deb.debian.org/debian], suite: bookworm}
kernels:
  groups-v1: {source: *bookworm, cgroup: v1}
  groups-v2: {source: *bookworm, cgroup: v2}
  then: {source: *bookworm, engine: docker, seccomp: docker-2021-derived}
  today: {source: *bookworm, engine: docker, seccomp: docker-trixie}
"""
LIMIT = 192 << 20
MEMORY = """\
import os
try:
    limit = int(open("/sys/fs/cgroup/memory/memory.limit_in_bytes").read())
except FileNotFoundError:
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
print("may use", limit, "bytes")
raise SystemExit(limit != 192 << 20)
"""
THREAD = "import threading; t = threading.Thread(target=print, args=['ran']); t.start(); t.join()"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A user's catalog: four hosts of Debian's 6.1, locked as the packaged one is.

    Not of a newer one: from 6.12 on Debian's kernels have no memory controller of version 1.
    """
    rootdir = tmp_path_factory.mktemp("rootdir")
    directory = rootdir / "kernels"
    directory.mkdir()
    (directory / "catalog.yaml").write_text(CATALOG)
    lock = read_locks([defaults.directory("kernels") / KERNELS_LOCK])["6.1"]
    names = ("groups-v1", "groups-v2", "then", "today")
    write_locks(directory / KERNELS_LOCK, dict.fromkeys(names, lock))
    with laboratory(Assembly(Options(rootdir=rootdir))) as made:
        yield made


def both(
    hosts: Laboratory, names: tuple[str, str], scenario: Scenario, directory: Path
) -> tuple[Observation, Observation]:
    """Observe a scenario on two hosts whose kernel is the same."""
    one, two = (
        observe(hosts, hosts.assembly.entry(name), "python", scenario, directory) for name in names
    )
    assert one.environment is not None
    assert two.environment is not None
    assert one.environment.kernel_digest == two.environment.kernel_digest
    return one, two


def test_a_program_that_knows_old_control_groups_alone_takes_all_memory_for_its_own(
    hosts: Laboratory, tmp_path: Path
) -> None:
    scenario = one_step("python3", "-c", MEMORY, memory=LIMIT)
    old, new = both(hosts, ("groups-v1", "groups-v2"), scenario, tmp_path)
    assert old.verdict is Verdict.PASSED, old
    assert old.steps[0].stdout == f"may use {LIMIT} bytes\n"
    assert new.verdict is Verdict.FAILED
    assert int(new.steps[0].stdout.split()[2]) > LIMIT
    assert unlike(old, new, Asked.KERNEL).sentences == ("control groups: v1 before, v2 after",)


def test_a_profile_of_2021_breaks_threads_where_todays_makes_libc_fall_back(
    hosts: Laboratory, tmp_path: Path
) -> None:
    scenario = one_step("python3", "-c", THREAD)
    then, today = both(hosts, ("then", "today"), scenario, tmp_path)
    assert today.verdict is Verdict.PASSED, today
    assert today.steps[0].stdout == "ran\n"
    assert then.verdict is Verdict.FAILED
    assert "can't start new thread" in then.steps[0].stderr
    for seen, errno in ((then, "EPERM"), (today, "ENOSYS")):
        (refused,) = [failure for failure in seen.failures if failure.name == "clone3"]
        assert (refused.errno, refused.origin) == (errno, Origin.SECCOMP)
        assert (refused.reached, refused.implemented) == (False, True)
    (said,) = unlike(then, today, Asked.KERNEL).sentences
    assert said.startswith("seccomp profile: Docker 20.10.4 to 20.10.9 (2021), derived before, ")
