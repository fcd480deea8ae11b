from __future__ import annotations

import os
import re
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from observations import observation, redis_broken

from harness.errors import StoreError, UsageError
from harness.findings import Finding, Kind, Side
from harness.model.observations import Observation
from harness.results.database import opened
from harness.results.exchange import export_history, import_history
from harness.results.history import Counted, History, State
from harness.results.meta import RunMeta
from harness.results.migrations import MIGRATIONS


def take_in(
    history: History, id: str, *cells: Observation, finished: str = "2026-11-01T03:00"
) -> None:
    meta = RunMeta(id=id, started=finished, finished=finished, night=True, exit_status=0)
    history.take_in(
        meta,
        [Counted(observation=each, state=State.OK, kind="passed", enosys=0) for each in cells],
    )


def everything(history: History) -> dict[str, list[tuple[object, ...]]]:
    """Return all that a history says, without the numbers that are its own."""
    queries = {
        "runs": "SELECT * FROM runs ORDER BY id",
        "outcomes": "SELECT id, run, state, kind, enosys, reason, release, kernel_digest,"
        " image_digest, scenario_digest FROM outcomes JOIN cells ON cells.number = cell"
        " JOIN builds ON builds.number = build ORDER BY run, id",
        "observations": "SELECT run, id, data FROM observations JOIN cells ON number = cell"
        " ORDER BY run, id",
        "findings": "SELECT run, id, kind, data FROM findings JOIN cells ON number = cell"
        " ORDER BY run, id",
    }
    return {name: history.connection.execute(query).fetchall() for name, query in queries.items()}


def finding(run: str) -> Finding:
    one = observation()
    side = Side(run=run, cell=one.id, kernel=one.kernel)
    return Finding(
        scenario=one.scenario,
        file=one.file,
        image=one.image,
        kind=Kind.CHANGED,
        before=side,
        after=side,
    )


def test_two_histories_are_merged_whatever_numbers_they_use(tmp_path: Path) -> None:
    with History.open(tmp_path / "a") as a, History.open(tmp_path / "b") as b:
        take_in(a, "20261101T000000Z-0001", observation("5.10"), observation("6.1"))
        take_in(b, "20261102T000000Z-0002", redis_broken("6.12"), observation("6.1"))
        take_in(b, "20261101T000000Z-0001", observation("5.10"), observation("6.1"))
        export_history(a, tmp_path / "file")
        merged = import_history(b, tmp_path / "file")
        assert (merged.new, merged.total) == (0, 1)
        export_history(b, tmp_path / "file")
        merged = import_history(a, tmp_path / "file")
        assert (merged.new, merged.total) == (1, 2)
        assert everything(a) == everything(b)
        assert a.connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_importing_twice_changes_nothing_and_the_file_is_only_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with History.open(tmp_path / "a") as a:
        take_in(a, "20261101T000000Z-0001", observation())
        export_history(a, file)
    file.chmod(0o444)
    before = file.read_bytes()
    with History.open(tmp_path / "b") as b:
        assert import_history(b, file).new == 1
        once = everything(b)
        assert import_history(b, file).new == 0
        assert everything(b) == once
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "file"]


def test_of_a_run_that_both_have_the_one_that_ended_later_stays(tmp_path: Path) -> None:
    id = "20261101T000000Z-0001"
    with History.open(tmp_path / "a") as a, History.open(tmp_path / "b") as b:
        take_in(a, id, observation("5.10"), observation("6.1"), finished="2026-11-01T09:00")
        take_in(b, id, observation("5.10"))
        export_history(b, tmp_path / "older")
        export_history(a, tmp_path / "later")
        assert import_history(a, tmp_path / "older").new == 0
        assert import_history(b, tmp_path / "later").new == 1
        assert len(everything(a)["outcomes"]) == 2
        assert everything(a) == everything(b)


def test_findings_that_came_later_arrive_for_runs_that_are_there(tmp_path: Path) -> None:
    id = "20261101T000000Z-0001"
    with History.open(tmp_path / "a") as a, History.open(tmp_path / "b") as b:
        for history in (a, b):
            take_in(history, id, observation())
        a.add_findings(id, [finding(id)])
        export_history(a, tmp_path / "file")
        assert import_history(b, tmp_path / "file").new == 0
        assert b.findings(id) == (finding(id),)


def test_a_file_of_a_newer_harness_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "artefact"
    with opened(file, migrations=(*MIGRATIONS, ("CREATE TABLE extra (x)",))):
        pass
    words = f"history {file} was written by a newer harness"
    with History.open(tmp_path / "a") as history, pytest.raises(StoreError, match=words):
        import_history(history, file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: it is no history"),
        (b"PK\x03\x04 something else entirely", "is damaged"),
    ],
)
def test_a_file_that_is_no_history_is_refused_by_its_name(
    tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "artefact"
    file.write_bytes(content)
    with (
        History.open(tmp_path / "a") as history,
        pytest.raises(StoreError, match=f"{file} {words}"),
    ):
        import_history(history, file)


def test_a_file_that_was_cut_short_brings_nothing(tmp_path: Path) -> None:
    file = tmp_path / "artefact"
    with History.open(tmp_path / "a") as a:
        for day in range(1, 9):
            take_in(a, f"2026110{day}T000000Z-0001", observation(), redis_broken())
        export_history(a, file)
    os.truncate(file, file.stat().st_size // 2)
    with History.open(tmp_path / "b") as b:
        with pytest.raises(StoreError, match=f"{file} is damaged"):
            import_history(b, file)
        assert b.runs() == ()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE outcomes SET state = 'strange'", "it knows a state 'strange' of cells"),
        ("UPDATE runs SET meta = 'text'", "a row of its table runs has a value of the wrong kind"),
        ("UPDATE cells SET image = x'00'", "a row of its table cells has a value"),
        ("UPDATE runs SET meta = x'6E6F206E6F'", "a damaged RunMeta: Error -3"),
        ("UPDATE observations SET data = x''", "a damaged Observation: cut short, or larger"),
        ("UPDATE findings SET data = ?", "not Finding's JSON: "),
        ("UPDATE findings SET run = '../elsewhere', data = x'00'", "a damaged Finding"),
        ("UPDATE runs SET id = '../elsewhere'", "it calls a run '../elsewhere'"),
        ("UPDATE runs SET id = '20261109T000000Z-0009'", "it calls a run '20261109T000000Z-0009'"),
        ("ALTER TABLE cells DROP COLUMN file", "cannot be used: no such column: file"),
        ("CREATE VIEW view AS SELECT 1", "it has a view in a table's place"),
    ],
)
def test_what_would_stop_who_reads_the_history_later_is_not_taken(
    tmp_path: Path, damage: str, words: str
) -> None:
    file, id = tmp_path / "artefact", "20261101T000000Z-0001"
    with History.open(tmp_path / "a") as a:
        take_in(a, id, observation())
        a.add_findings(id, [finding(id)])
        export_history(a, file)
    with closing(sqlite3.connect(file)) as theirs, theirs:
        theirs.execute(damage, (zlib.compress(b"{}"),) * damage.count("?"))
    with History.open(tmp_path / "b") as b:
        with pytest.raises(StoreError, match=re.escape(words)) as raised:
            import_history(b, file)
        assert str(file) in str(raised.value)
        assert b.runs() == ()


def test_an_output_that_is_larger_than_any_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.results.history._LARGEST", 100)
    id = "20261101T000000Z-0001"
    with History.open(tmp_path / "a") as a:
        take_in(a, id, observation())
        with pytest.raises(StoreError, match="larger than 0 MiB"):
            a.run(id)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with History.open(tmp_path / "a") as history:
        with pytest.raises(UsageError, match=r"nowhere: No such file or directory"):
            import_history(history, tmp_path / "nowhere")
        with pytest.raises(UsageError, match=r"there is no directory .*nowhere"):
            export_history(history, tmp_path / "nowhere" / "file")


def test_an_export_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"the last one")
    with History.open(tmp_path / "a") as history:
        take_in(history, "20261101T000000Z-0001", observation())
        export_history(history, file)
    with History.open(tmp_path / "b") as history:
        assert import_history(history, file).total == 1
    assert [path for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
