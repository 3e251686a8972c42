"""Dials in SQLite: where each tenant has put its own, for every process that opens the file.

Owns: one row a tenant, the edition that grows with each turn, and that no turn is without its line in the audit.
Refuses: to know what a position does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial

from laneway.ports import Audited
from laneway.stores.sqlite.audit import note
from laneway.stores.sqlite.database import Database

_LIST = "SELECT tenant, position FROM dials"
_PUT = """
INSERT INTO dials (tenant, position, edition) VALUES (?, ?, (SELECT coalesce(max(edition), 0) + 1 FROM dials))
ON CONFLICT (tenant) DO UPDATE SET position = excluded.position, edition = excluded.edition
"""
_EDITION = "SELECT coalesce(max(edition), 0) FROM dials"


class SqliteDials:
    """Positions by tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def positions(self) -> Mapping[str, int]:
        return await self._database.read(lambda db: dict(db.execute(_LIST).fetchall()))

    async def turn(self, tenant: str, position: int, entry: Audited) -> None:
        await self._database.write(partial(_turn, tenant, position, entry))

    async def edition(self) -> int:
        row = await self._database.row(_EDITION, ())
        return int(row[0]) if row is not None else 0


def _turn(tenant: str, position: int, entry: Audited, db: sqlite3.Connection) -> None:
    db.execute(_PUT, (tenant, position))
    note(entry, db)
