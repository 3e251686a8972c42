"""Dials in SQLite: where each tenant has put its own, and its floors, for every process that opens the file.

Owns: a row for each dial and each floor, the edition that grows with each change, and that no change is without its
line in the audit. Refuses: to know what a position or a floor does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial

from laneway.ports import Audited
from laneway.stores.sqlite.audit import note
from laneway.stores.sqlite.database import Database

_LIST = "SELECT tenant, position FROM dials"
_LIST_FLOORS = "SELECT tenant, pool, floor FROM floors WHERE floor IS NOT NULL"
_LAST = "SELECT max((SELECT coalesce(max(edition), 0) FROM dials), (SELECT coalesce(max(edition), 0) FROM floors))"
_PUT = """
INSERT INTO dials (edition, tenant, position) VALUES (?, ?, ?)
ON CONFLICT (tenant) DO UPDATE SET position = excluded.position, edition = excluded.edition
"""
# What was taken back stays as a row without a value, so that its edition stays.
_PUT_FLOOR = """
INSERT INTO floors (edition, tenant, pool, floor) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, pool) DO UPDATE SET floor = excluded.floor, edition = excluded.edition
"""


class SqliteDials:
    """Positions by tenant, floors by tenant and pool."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def positions(self) -> Mapping[str, int]:
        return await self._database.read(lambda db: dict(db.execute(_LIST).fetchall()))

    async def floors(self) -> Mapping[tuple[str, str], float]:
        return await self._database.read(
            lambda db: {(tenant, pool): floor for tenant, pool, floor in db.execute(_LIST_FLOORS)}
        )

    async def turn(self, tenant: str, position: int, entry: Audited) -> None:
        await self._database.write(partial(_put, _PUT, (tenant, position), entry))

    async def keep(self, tenant: str, pool: str, floor: float | None, entry: Audited) -> None:
        await self._database.write(partial(_put, _PUT_FLOOR, (tenant, pool, floor), entry))

    async def edition(self) -> int:
        row = await self._database.row(_LAST, ())
        return int(row[0]) if row is not None else 0


def _put(sql: str, values: tuple[object, ...], entry: Audited, db: sqlite3.Connection) -> None:
    (last,) = db.execute(_LAST).fetchone()
    db.execute(sql, (last + 1, *values))
    note(entry, db)
