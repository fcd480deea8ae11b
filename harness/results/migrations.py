"""The history's schema, version by version: ``PRAGMA user_version`` counts the steps taken.

A step that was released is never changed; what changes the schema is appended.
"""

from __future__ import annotations

# Runs are keyed by their ids, which sort by time: an older run may be taken in after a newer
# one, by an import for instance, and an index on (cell, run) is still in order of time.
_FIRST = (
    """
    CREATE TABLE runs (
        id TEXT NOT NULL PRIMARY KEY,
        started TEXT NOT NULL,
        finished TEXT NOT NULL,
        night INTEGER NOT NULL,        -- 1: a night that came to its end
        meta BLOB NOT NULL             -- run.json, zlib
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE cells (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,       -- pytest's node id: the same cell in every run
        file TEXT NOT NULL,
        scenario TEXT NOT NULL,
        image TEXT NOT NULL,
        kernel TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE builds (              -- what a cell ran on and of which text
        number INTEGER PRIMARY KEY,
        release TEXT NOT NULL,
        kernel_digest TEXT NOT NULL,
        image_digest TEXT NOT NULL,
        scenario_digest TEXT NOT NULL,
        UNIQUE (release, kernel_digest, image_digest, scenario_digest)
    )
    """,
    """
    CREATE TABLE outcomes (
        cell INTEGER NOT NULL REFERENCES cells,
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
        build INTEGER NOT NULL REFERENCES builds,
        state TEXT NOT NULL,           -- ok, broken, known, lost, unavailable or none
        kind TEXT NOT NULL,            -- the matrix's words, by which cells are counted
        enosys INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (cell, run)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX outcomes_by_run ON outcomes (run, state)",
    """
    CREATE TABLE observations (        -- the newest runs' only: see retention
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
        cell INTEGER NOT NULL REFERENCES cells,
        repeat INTEGER NOT NULL,       -- from 1 on: a further run
        data BLOB NOT NULL,            -- the cell's JSON, zlib
        PRIMARY KEY (run, cell, repeat)
    )
    """,
    """
    CREATE TABLE findings (
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
        cell INTEGER NOT NULL REFERENCES cells,
        against_run TEXT NOT NULL,
        against_kernel TEXT NOT NULL,
        kind TEXT NOT NULL,
        data BLOB NOT NULL,            -- the finding's JSON, zlib
        PRIMARY KEY (run, cell, against_run, against_kernel)
    ) WITHOUT ROWID
    """,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
