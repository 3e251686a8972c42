"""The audit in SQLite: what operators did, kept for good and seen by every process.

Owns: appending and reading. Refuses: changing or forgetting an entry.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from laneway.ports import Audited
from laneway.stores.sqlite.database import Database, Row

_NOTE = "INSERT INTO audit (at_s, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)"
_RECENT = (
    "SELECT at_s, actor, action, subject, detail FROM audit "
    "WHERE (?1 IS NULL OR action = ?1) AND (?2 IS NULL OR subject = ?2) ORDER BY id DESC LIMIT ?3"
)
_LATEST = (
    "SELECT at_s, actor, action, subject, detail FROM audit "
    "WHERE id IN (SELECT max(id) FROM audit WHERE action = ? GROUP BY subject)"
)

_detail = msgspec.json.Decoder(dict[str, str | float | bool | None]).decode


class SqliteAudit:
    """Entries in the order in which they were written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, entry: Audited) -> None:
        await self._database.write(partial(note, entry))

    async def recent(self, limit: int, action: str | None = None, subject: str | None = None) -> Sequence[Audited]:
        return await self._database.read(
            lambda db: [_entry(row) for row in db.execute(_RECENT, (action, subject, limit))]
        )

    async def latest(self, action: str) -> Sequence[Audited]:
        return await self._database.read(lambda db: [_entry(row) for row in db.execute(_LATEST, (action,))])


def note(entry: Audited, db: sqlite3.Connection) -> None:
    """As part of a transaction that makes what it tells of."""
    detail = msgspec.json.encode(entry.detail).decode()
    db.execute(_NOTE, (entry.at_s, entry.actor, entry.action, entry.subject, detail))


def _entry(row: Row) -> Audited:
    at_s, actor, action, subject, detail = row
    return Audited(at_s=at_s, actor=actor, action=action, subject=subject, detail=_detail(detail))
