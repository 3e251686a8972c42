"""The steps after the first ones, in the order in which they were made.

Owns: the tables that came later. Refuses: to be edited once released: a new step follows at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from laneway.stores.schema import running
from laneway.stores.schema.registry import Steps

if TYPE_CHECKING:
    from sqlite3 import Connection

step = Steps()


@step
def create_sessions(db: Connection) -> None:
    """Of browsers: the digest of a token, and that of the key it stands for."""
    db.execute(
        """
        CREATE TABLE sessions (
            digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
            of BLOB NOT NULL CHECK (length(of) = 32),
            expires_s REAL NOT NULL
        ) STRICT, WITHOUT ROWID
        """
    )


@step
def create_shadow_rows(db: Connection) -> None:
    """The row is kept whole as JSON; beside it stand the facts that gates add up."""
    db.execute(
        """
        CREATE TABLE shadow_rows (
            id INTEGER PRIMARY KEY,
            at_s REAL NOT NULL,
            lane TEXT NOT NULL,
            executed INTEGER NOT NULL,
            compared INTEGER NOT NULL,
            agreed INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            paid INTEGER NOT NULL,
            latency_ms REAL,
            told TEXT NOT NULL
        ) STRICT
        """
    )
    # It holds all that gates add up, so that no row has to be looked at.
    facts = "executed, compared, agreed, failed, paid, latency_ms"
    db.execute(f"CREATE INDEX shadow_rows_by_lane ON shadow_rows (lane, at_s, {facts})")
    db.execute("CREATE INDEX shadow_rows_by_age ON shadow_rows (at_s)")


@step
def create_standings(db: Connection) -> None:
    db.execute(
        """
        CREATE TABLE standings (
            lane TEXT PRIMARY KEY,
            told TEXT NOT NULL,
            edition INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX standings_by_edition ON standings (edition)")


@step
def create_examples(db: Connection) -> None:
    """A deletion leaves its number, so that others can follow; texts and vectors are contents, to be overwritten."""
    for statement in (
        """
        CREATE TABLE memories (
            id INTEGER PRIMARY KEY,
            tenant TEXT NOT NULL UNIQUE,
            origin TEXT NOT NULL,
            edition INTEGER NOT NULL,
            last_id INTEGER NOT NULL,
            forgotten INTEGER NOT NULL,
            moved INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE INDEX memories_by_move ON memories (moved)",
        """
        CREATE TABLE examples (
            memory INTEGER NOT NULL,
            edition INTEGER NOT NULL,
            id INTEGER NOT NULL,
            content INTEGER NOT NULL,
            tag TEXT NOT NULL,
            setting TEXT NOT NULL,
            labels TEXT NOT NULL,
            task_id TEXT NOT NULL,
            batch TEXT NOT NULL,
            taught_by TEXT NOT NULL,
            at_s REAL NOT NULL,
            UNIQUE (memory, id)
        ) STRICT
        """,
        "CREATE UNIQUE INDEX examples_by_edition ON examples (memory, edition)",
        "CREATE INDEX examples_by_batch ON examples (memory, batch)",
        """
        CREATE TABLE deleted_examples (
            memory INTEGER NOT NULL,
            edition INTEGER NOT NULL,
            id INTEGER NOT NULL,
            at_s REAL NOT NULL,
            PRIMARY KEY (memory, edition)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX deleted_examples_by_age ON deleted_examples (at_s)",
        """
        CREATE TABLE vectors (
            memory INTEGER NOT NULL,
            example INTEGER NOT NULL,
            space TEXT NOT NULL,
            content INTEGER NOT NULL,
            UNIQUE (memory, example, space)
        ) STRICT
        """,
        "CREATE INDEX vectors_by_space ON vectors (space)",
        "CREATE TABLE contents (id INTEGER PRIMARY KEY, lives INTEGER NOT NULL, content BLOB NOT NULL) STRICT",
        "CREATE INDEX examples_by_content ON examples (content)",
        "CREATE INDEX vectors_by_content ON vectors (content)",
    ):
        db.execute(statement)


@step
def create_receipts(db: Connection) -> None:
    """The receipt is kept whole as JSON; `near` holds the ids of its neighbours, each between commas."""
    for statement in (
        """
        CREATE TABLE receipts (
            n INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            tenant TEXT NOT NULL,
            at_s REAL NOT NULL,
            pool TEXT NOT NULL,
            rule TEXT NOT NULL,
            served TEXT NOT NULL,
            declined TEXT NOT NULL,
            near TEXT NOT NULL,
            told TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX receipts_by_tenant ON receipts (tenant, n)",
        """
        CREATE TABLE dials (
            tenant TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            edition INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX dials_by_edition ON dials (edition)",
    ):
        db.execute(statement)


step(running.create_runs)


@step
def create_floors(db: Connection) -> None:
    """Beside the dials, whose editions they share; a floor that was taken back is NULL."""
    for statement in (
        """
        CREATE TABLE floors (
            tenant TEXT NOT NULL,
            pool TEXT NOT NULL,
            floor REAL,
            edition INTEGER NOT NULL,
            PRIMARY KEY (tenant, pool)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX floors_by_edition ON floors (edition)",
    ):
        db.execute(statement)


@step
def narrow_outcomes(db: Connection) -> None:
    """A row holds values alone, whose names its shape has; those without one hold both, as JSON, until they are
    forgotten. Blocks of 256 rows say what is in them: an index of every row cost more than the row."""
    for statement in (
        "CREATE TABLE outcome_shapes (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE) STRICT",
        "ALTER TABLE outcomes ADD COLUMN shape INTEGER",
        """
        CREATE TABLE outcome_blocks (
            block INTEGER PRIMARY KEY,
            first_s REAL NOT NULL,
            last_s REAL NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE outcome_values (
            block INTEGER NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (block, name, value)
        ) STRICT, WITHOUT ROWID
        """,
        # Each is read from the index that goes.
        "INSERT INTO outcome_blocks SELECT id / 256, min(at_s), max(at_s) FROM outcomes GROUP BY id / 256",
    ):
        db.execute(statement)
    for column in ("tenant", "lane", "status", "model"):
        db.execute(
            f"INSERT INTO outcome_values SELECT DISTINCT id / 256, '{column}', {column} FROM outcomes "  # noqa: S608
            f"WHERE {column} IS NOT NULL"
        )
    for column in ("at_s", "tenant", "lane", "status", "model"):
        db.execute(f"DROP INDEX outcomes_by_{column}")


@step
def shorten_receipts(_: Connection) -> None:
    """Receipts that are written from here on have values without names. No row changes, because both are read; but a
    laneway that is older could not read the new ones, and now knows so from the file."""


@step
def pack_neighbours(_: Connection) -> None:
    """The same again: receipts that are written from here on have the core's neighbours packed."""
