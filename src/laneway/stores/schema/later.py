"""The steps after the first ones, in the order in which they were made.

Owns: the tables that came later. Refuses: to be edited once released: a new step follows at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    db.execute("CREATE INDEX shadow_rows_by_lane ON shadow_rows (lane, at_s)")
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
