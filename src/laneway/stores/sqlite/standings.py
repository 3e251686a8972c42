"""Standings in SQLite: how far each lane's traffic is let in, for every process that opens the file.

Owns: one row a lane, the edition that grows with each change, and that no change is without its line in the audit.
Refuses: to know which change is wise.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from laneway.ports import Standing
from laneway.stores.sqlite.audit import note
from laneway.stores.sqlite.database import Database

_LIST = "SELECT told, edition FROM standings ORDER BY lane"
_KNOWN = "SELECT edition FROM standings WHERE lane = ?"
_PUT = """
INSERT INTO standings (lane, told, edition) VALUES (?, ?, (SELECT coalesce(max(edition), 0) + 1 FROM standings))
ON CONFLICT (lane) DO UPDATE SET told = excluded.told, edition = excluded.edition
"""
_EDITION = "SELECT coalesce(max(edition), 0) FROM standings"

_decode = msgspec.json.Decoder(Standing).decode


class SqliteStandings:
    """Standings by lane."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> Sequence[Standing]:
        return await self._database.read(
            lambda db: [
                msgspec.structs.replace(_decode(told), edition=edition)
                for told, edition in db.execute(_LIST).fetchall()
            ]
        )

    async def put(self, standing: Standing, *, after: int) -> bool:
        return await self._database.write(partial(_put, standing, after))

    async def edition(self) -> int:
        row = await self._database.row(_EDITION, ())
        return int(row[0]) if row is not None else 0


def _put(standing: Standing, after: int, db: sqlite3.Connection) -> bool:
    known = db.execute(_KNOWN, (standing.lane,)).fetchone()
    if (known[0] if known is not None else 0) != after:
        return False
    db.execute(_PUT, (standing.lane, msgspec.json.encode(standing).decode()))
    note(standing.entry(), db)
    return True
