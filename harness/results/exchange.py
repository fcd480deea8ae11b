"""The history on its way between machines: one file, compact, merged where it arrives."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StoreError, UsageError
from harness.results.database import opened, transaction
from harness.results.database import translated as translated_sqlite
from harness.results.files import TEMPORARY, translated
from harness.results.history import History, State
from harness.results.runs import RUN_ID

_KINDS: Mapping[str, type] = {"TEXT": str, "INTEGER": int, "BLOB": bytes}
_ARRIVING = """
CREATE TEMP TABLE arriving AS
SELECT id FROM theirs.runs AS their
WHERE NOT EXISTS (
    SELECT 1 FROM main.runs AS our WHERE our.id = their.id AND our.finished >= their.finished
)
"""
_MERGE = (
    "DELETE FROM main.runs WHERE id IN (SELECT id FROM arriving)",
    "INSERT INTO main.runs SELECT * FROM theirs.runs WHERE id IN (SELECT id FROM arriving)",
    "INSERT OR IGNORE INTO main.cells (id, file, scenario, image, kernel)"
    " SELECT id, file, scenario, image, kernel FROM theirs.cells",
    "INSERT OR IGNORE INTO main.builds (release, kernel_digest, image_digest, scenario_digest)"
    " SELECT release, kernel_digest, image_digest, scenario_digest FROM theirs.builds",
    # Cells and builds have numbers of their own in each file.
    "CREATE TEMP TABLE cell_numbers AS SELECT their.number AS theirs, our.number AS ours"
    " FROM theirs.cells AS their JOIN main.cells AS our USING (id)",
    "CREATE TEMP TABLE build_numbers AS SELECT their.number AS theirs, our.number AS ours"
    " FROM theirs.builds AS their"
    " JOIN main.builds AS our USING (release, kernel_digest, image_digest, scenario_digest)",
    "INSERT INTO main.outcomes SELECT c.ours, run, b.ours, state, kind, enosys, reason"
    " FROM theirs.outcomes"
    " JOIN cell_numbers AS c ON c.theirs = cell JOIN build_numbers AS b ON b.theirs = build"
    " WHERE run IN (SELECT id FROM arriving)",
    "INSERT INTO main.observations SELECT run, c.ours, repeat, data FROM theirs.observations"
    " JOIN cell_numbers AS c ON c.theirs = cell WHERE run IN (SELECT id FROM arriving)",
    # Also of runs that are here: findings may come after the run.
    "INSERT OR IGNORE INTO main.findings"
    " SELECT run, c.ours, against_run, against_kernel, kind, data"
    " FROM theirs.findings JOIN cell_numbers AS c ON c.theirs = cell"
    " WHERE run IN (SELECT id FROM main.runs)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What an import brought: runs that were not there, of so many."""

    new: int
    total: int


def export_history(history: History, file: Path) -> None:
    """Write the whole history to ``file``, without unused room, in place of what is there.

    Raises:
        UsageError: its directory does not exist.
        StoreError: it cannot be written; nothing is left behind.
    """
    if not file.parent.is_dir():
        raise UsageError(f"{file}: there is no directory {file.parent}")
    part = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with translated_sqlite(part):
            history.connection.execute("VACUUM INTO ?", (str(part),))
        with translated(file):
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def import_history(history: History, file: Path) -> Merged:
    """Merge what :func:`export_history` wrote; the second time it changes nothing.

    Of a run that both have, the one that ended later stays: it was resumed. The file itself is
    only read.

    Raises:
        UsageError: there is no such file.
        StoreError: it is damaged, no history, or of a newer harness; nothing was taken.
    """
    with tempfile.TemporaryDirectory(prefix="history-") as directory:
        copy = Path(directory) / "arriving"
        try:
            shutil.copyfile(file, copy)
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}") from error
        if not copy.stat().st_size:
            raise StoreError(f"{file} is empty: it is no history")
        with opened(copy, called=file) as theirs:
            (found,) = theirs.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise StoreError(f"{file} is damaged ({found}): nothing of it was taken")
            try:
                _examine(History(theirs), _columns(history))
            except StoreError as error:
                raise StoreError(f"{file}: {error}: nothing of it was taken") from error
        return _merged(history, copy)


def _columns(history: History) -> dict[str, dict[str, type]]:
    """Return what Python has for each column of each of a history's tables."""
    tables = history.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {
        table: {
            name: _KINDS[kind]
            for name, kind in history.connection.execute(
                "SELECT name, type FROM pragma_table_info(?)", (table,)
            )
        }
        for (table,) in tables.fetchall()
    }


def _examine(theirs: History, tables: Mapping[str, Mapping[str, type]]) -> None:
    """Read all that a history holds: SQLite takes any value in any column.

    Raises:
        StoreError: something is not what this harness writes, and would stop who reads it later.
    """
    connection = theirs.connection
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'view'").fetchone():
        raise StoreError("it has a view in a table's place")
    for table, columns in tables.items():
        kinds = tuple(columns.values())
        for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}"):  # noqa: S608
            if tuple(map(type, row)) != kinds:
                raise StoreError(f"a row of its table {table} has a value of the wrong kind")
    for (state,) in connection.execute("SELECT DISTINCT state FROM outcomes").fetchall():
        if state not in {each.value for each in State}:
            raise StoreError(f"it knows a state {state!r} of cells")
    for (id,) in connection.execute("SELECT id FROM runs").fetchall():
        run = theirs.run(id)
        if run is None or run.meta.id != id or not RUN_ID.fullmatch(id):
            raise StoreError(f"it calls a run {id!r}")
    for (id,) in connection.execute("SELECT DISTINCT run FROM findings").fetchall():
        theirs.findings(id)


def _merged(history: History, copy: Path) -> Merged:
    connection = history.connection
    connection.execute("ATTACH ? AS theirs", (str(copy),))
    try:
        with transaction(connection):
            connection.execute(_ARRIVING)
            for statement in _MERGE:
                connection.execute(statement)
            (new,) = connection.execute("SELECT count(*) FROM arriving").fetchone()
            (total,) = connection.execute("SELECT count(*) FROM theirs.runs").fetchone()
            for table in ("arriving", "cell_numbers", "build_numbers"):
                connection.execute(f"DROP TABLE temp.{table}")
    finally:
        connection.execute("DETACH theirs")
    return Merged(new=int(new), total=int(total))
