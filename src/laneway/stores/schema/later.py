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
