"""The history's file in the hands of killed, slow and other processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.results.database import opened, transaction
from harness.results.history import HISTORY, History
from harness.results.meta import RunMeta
from harness.results.migrations import MIGRATIONS

WRITER = """if True:
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from observations import observation
    from harness.intake import counted
    from harness.results.history import History
    from harness.results.meta import RunMeta

    def cells():
        for number in range(5000):
            yield counted(observation(scenario=f"s{number}"), False)
            if number == 4000:
                print("halfway", flush=True)
                sys.stdin.read()

    with History.open(Path(sys.argv[1])) as history:
        history.connection.execute("PRAGMA cache_size = 5")  # so that half of it is on the disk
        history.take_in(RunMeta(id="20261102T000000Z-0002", finished="x"), cells())
"""


@contextmanager
def halfway(results: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process stand in the middle of writing a run."""
    tests = str(Path(__file__).parents[1])
    words = [sys.executable, "-c", WRITER, str(results), tests]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as child:  # type: ignore[call-overload]
        try:
            assert child.stdout.readline() == b"halfway\n"
            yield child
        finally:
            child.kill()


def runs(results: Path) -> list[str]:
    with History.open(results, patience=0.1) as history:
        return [row.id for row in history.runs()]


def take_in(results: Path, id: str) -> None:
    with History.open(results, patience=0.1) as history:
        history.take_in(RunMeta(id=id, finished="x"), [])


def test_a_writer_that_is_killed_midway_leaves_what_was_there_before(tmp_path: Path) -> None:
    take_in(tmp_path, "20261101T000000Z-0001")
    with halfway(tmp_path) as child:
        assert (tmp_path / f"{HISTORY}-journal").stat().st_size > 0
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert (tmp_path / f"{HISTORY}-journal").exists()
        assert runs(tmp_path) == ["20261101T000000Z-0001"]
    with opened(tmp_path / HISTORY) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM outcomes").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM cells").fetchone() == (0,)


def test_a_history_that_is_locked_is_one_clear_error(tmp_path: Path) -> None:
    take_in(tmp_path, "20261101T000000Z-0001")
    words = r"is locked .* more than 0\.1 s: no run is lost"
    with halfway(tmp_path), pytest.raises(StoreError, match=words):
        take_in(tmp_path, "20261103T000000Z-0003")


def test_a_writer_waits_for_the_one_before_it(tmp_path: Path) -> None:
    take_in(tmp_path, "20261101T000000Z-0001")
    with halfway(tmp_path) as child, ThreadPoolExecutor(1) as pool:
        second = pool.submit(_patiently, tmp_path)
        assert child.stdin is not None
        child.stdin.close()
        assert second.result(60) is None
        child.wait(60)
    assert runs(tmp_path) == [
        "20261101T000000Z-0001",
        "20261102T000000Z-0002",
        "20261103T000000Z-0003",
    ]


def _patiently(results: Path) -> None:
    with History.open(results, patience=60) as history:
        history.take_in(RunMeta(id="20261103T000000Z-0003", finished="x"), [])


FIRST_OPENER = """if True:
    import sys
    from pathlib import Path
    from harness.results.history import History
    from harness.results.meta import RunMeta
    sys.stdin.read()
    with History.open(Path(sys.argv[1])) as history:
        history.take_in(RunMeta(id=sys.argv[2], finished="x"), [])
"""


def test_many_first_openers_make_one_history(tmp_path: Path) -> None:
    ids = [f"2026110{number}T000000Z-0000" for number in range(1, 5)]
    gate, opener = os.pipe()
    children = [
        subprocess.Popen([sys.executable, "-c", FIRST_OPENER, str(tmp_path), id], stdin=gate)
        for id in ids
    ]
    os.close(gate)
    os.close(opener)
    assert [child.wait(60) for child in children] == [0, 0, 0, 0]
    assert runs(tmp_path) == ids


def test_a_history_of_a_newer_harness_is_refused_by_name(tmp_path: Path) -> None:
    newer = (*MIGRATIONS, ("CREATE TABLE more (x)",))
    with opened(tmp_path / HISTORY, migrations=newer):
        pass
    before = (tmp_path / HISTORY).read_bytes()
    with pytest.raises(StoreError, match=r"newer harness \(schema 2, this one knows 1\): upgrade"):
        runs(tmp_path)
    assert (tmp_path / HISTORY).read_bytes() == before


def test_an_older_history_is_brought_up_to_date_and_loses_nothing(tmp_path: Path) -> None:
    take_in(tmp_path, "20261101T000000Z-0001")
    newer = (*MIGRATIONS, ("ALTER TABLE runs ADD COLUMN more TEXT", "CREATE TABLE extra (x)"))
    for _ in range(2):
        with opened(tmp_path / HISTORY, migrations=newer) as connection:
            rows = connection.execute("SELECT id, more FROM runs").fetchall()
            assert rows == [("20261101T000000Z-0001", None)]
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_migration_that_fails_leaves_the_older_history_whole(tmp_path: Path) -> None:
    take_in(tmp_path, "20261101T000000Z-0001")
    wrong = (*MIGRATIONS, ("CREATE TABLE extra (x)", "CREATE TABLE runs (x)"))
    with (
        pytest.raises(StoreError, match="already exists"),
        opened(tmp_path / HISTORY, migrations=wrong),
    ):
        raise AssertionError("it was opened")
    assert runs(tmp_path) == ["20261101T000000Z-0001"]


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be read as one" * 9])
def test_a_damaged_history_is_one_error_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / HISTORY).write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged \(.*\): move it away; `harness history`"):
        runs(tmp_path)
    assert (tmp_path / HISTORY).read_bytes() == content


def test_pages_that_are_overwritten_are_noticed(tmp_path: Path) -> None:
    take_in(tmp_path, "20261101T000000Z-0001")
    file = tmp_path / HISTORY
    first, size = file.read_bytes()[:4096], file.stat().st_size
    file.write_bytes(first + b"\xff" * (size - len(first)))
    with pytest.raises(StoreError, match="is damaged"):
        runs(tmp_path)


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / HISTORY) as foreign:
        foreign.execute("CREATE TABLE precious (x)")
    foreign.close()
    with pytest.raises(StoreError, match="a database of something else"):
        runs(tmp_path)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StoreError, match=f"{file}"):
        runs(file)


def test_nothing_is_written_where_a_transaction_is_left_by_an_exception(tmp_path: Path) -> None:
    with opened(tmp_path / HISTORY) as connection:
        with pytest.raises(KeyboardInterrupt), transaction(connection):
            connection.execute("INSERT INTO runs VALUES ('a', '', '', 0, x'')")
            raise KeyboardInterrupt
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        assert not connection.in_transaction
