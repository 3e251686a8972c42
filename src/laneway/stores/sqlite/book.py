"""The book in SQLite: budgets made while a gateway ran, seen by every process that opens the file.

Owns: the rows, and the edition that grows with each change. Refuses: to know what a budget is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from laneway.ports import BookEntry
from laneway.stores.sqlite.database import Database

_LIST = "SELECT name, budget, changed_s FROM book WHERE budget IS NOT NULL ORDER BY name"
_KNOWN = "SELECT 1 FROM book WHERE name = ? AND budget IS NOT NULL"
_PUT = """
INSERT INTO book (name, budget, changed_s, edition)
VALUES (?, ?, ?, (SELECT coalesce(max(edition), 0) + 1 FROM book))
ON CONFLICT (name) DO UPDATE SET budget = excluded.budget, changed_s = excluded.changed_s, edition = excluded.edition
"""
_REMOVE = """
UPDATE book SET budget = NULL, edition = (SELECT max(edition) + 1 FROM book) WHERE name = ? AND budget IS NOT NULL
"""
_EDITION = "SELECT coalesce(max(edition), 0) FROM book"


class SqliteBook:
    """Entries by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> Sequence[BookEntry]:
        return await self._database.read(
            lambda db: [
                BookEntry(name=name, table=table, changed_s=changed_s) for name, table, changed_s in db.execute(_LIST)
            ]
        )

    async def put(self, entry: BookEntry, *, new: bool) -> bool:
        return await self._database.write(partial(_put, entry, new))

    async def remove(self, name: str) -> bool:
        return await self._database.write(partial(_remove, name))

    async def edition(self) -> int:
        row = await self._database.row(_EDITION, ())
        return int(row[0]) if row is not None else 0


def _put(entry: BookEntry, new: bool, db: sqlite3.Connection) -> bool:
    if (db.execute(_KNOWN, (entry.name,)).fetchone() is not None) is new:
        return False
    db.execute(_PUT, (entry.name, entry.table, entry.changed_s))
    return True


def _remove(name: str, db: sqlite3.Connection) -> bool:
    return db.execute(_REMOVE, (name,)).rowcount > 0
