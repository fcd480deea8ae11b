"""The history's file: opened, brought to today's schema, written in transactions.

The journal is SQLite's default, a rollback journal beside the file, and not WAL: a run is one
short transaction, so readers and writers hardly meet, and between transactions the history is
one file that can be copied, cached or put on a network file system as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from harness.errors import StoreError
from harness.results.migrations import MIGRATIONS

PATIENCE = 10.0
"""Seconds to wait for another process that writes."""
APPLICATION = 0x70796B68
"""``application_id`` of the file's header (sqlite.org/fileformat2.html): ``pykh``."""


@contextmanager
def opened(
    path: Path,
    *,
    patience: float = PATIENCE,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
    called: Path | None = None,
) -> Iterator[sqlite3.Connection]:
    """Open a history of today's schema; its directory must exist, the file need not.

    What a killed writer left half-done is undone by SQLite when the file is next opened.
    ``called`` is the file's name in messages, where the user knows it by another.

    Raises:
        StoreError: it is locked, damaged, no history, of a newer harness, or cannot be written;
            also from within the block.
    """
    with translated(called or path, patience):
        uri = f"{path.absolute().as_uri()}?mode=rwc"
        connection = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)
        with closing(connection):
            connection.execute("PRAGMA foreign_keys = ON")
            # Histories come from elsewhere, too: nothing in a file's schema is run.
            connection.execute("PRAGMA trusted_schema = OFF")
            _migrate(connection, called or path, migrations)
            yield connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all that the block writes, or nothing of it; one writer at a time."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def translated(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Turn SQLite's errors at ``path`` into a StoreError of one line that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_explanation(path, error, patience)) from error


def _explanation(path: Path, error: sqlite3.Error, patience: float) -> str:
    # The low byte is the primary result code (sqlite.org/rescode.html).
    match (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return (
                f"the history {path} is locked by another process for more than {patience:g} s: "
                "no run is lost, `harness history` takes in later what is missing"
            )
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return (
                f"the history {path} is damaged ({error}): move it away; `harness history` makes "
                "it anew from the runs beside it, `harness history import` from an export"
            )
        case sqlite3.SQLITE_FULL:
            return f"no space left for the history {path}: free some room"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"the history {path} cannot be opened for writing: {error}"
    return f"the history {path} cannot be used: {error}"


def _migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]]
) -> None:
    if _version(connection, path, len(migrations)) == len(migrations):
        return
    with transaction(connection):
        # Again: another process may have been quicker.
        version = _version(connection, path, len(migrations))
        for step in migrations[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """Return a history's schema version; 0: the file is empty."""
    # One statement, so that another process cannot migrate between two answers.
    application, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application != APPLICATION and (tables or application or version):
        raise StoreError(f"{path} is a database of something else, not a history: move it away")
    if version > newest:
        raise StoreError(
            f"the history {path} was written by a newer harness (schema {version}, this one "
            f"knows {newest}): upgrade pytest-kernels to use it"
        )
    return int(version)
