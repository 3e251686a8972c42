"""Sessions of browsers in SQLite, so that a sign-in holds over restarts and in every worker.

Owns: which token stands for which key, and forgetting those past their time. Refuses: knowing a token or a key itself.
"""

from __future__ import annotations

import sqlite3
from functools import partial

from laneway.stores.sqlite.database import Database

STEP_ROWS = 500

_BEGIN = "INSERT OR REPLACE INTO sessions (digest, of, expires_s) VALUES (?, ?, ?)"
_FIND = "SELECT of FROM sessions WHERE digest = ? AND expires_s > ?"
_END = "DELETE FROM sessions WHERE digest = ?"
_FORGET = "DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE expires_s <= ? LIMIT ?)"


class SqliteSessions:
    """Sessions by digest."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.add_chore(_prune)

    async def begin(self, digest: bytes, of: bytes, expires_s: float) -> None:
        await self._database.write(partial(_write, _BEGIN, (digest, of, expires_s)))

    async def find(self, digest: bytes, now_s: float) -> bytes | None:
        row = await self._database.row(_FIND, (digest, now_s))
        return bytes(row[0]) if row is not None else None

    async def end(self, digest: bytes) -> None:
        await self._database.write(partial(_write, _END, (digest,)))


def _write(sql: str, values: tuple[object, ...], db: sqlite3.Connection) -> None:
    db.execute(sql, values)


def _prune(db: sqlite3.Connection, now_s: float) -> bool:
    return db.execute(_FORGET, (now_s, STEP_ROWS)).rowcount >= STEP_ROWS
