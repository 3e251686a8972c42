"""Callers' keys in SQLite.

Owns: looking a key up by its digest as any process last left it, and creating, listing and revoking.
Refuses: caching (the auth room does), and knowing any key itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from laneway.route import Key
from laneway.stores.schema import StoreError
from laneway.stores.sqlite.database import Database, Row

_FIND = "SELECT id, tenant, name, last4, created_s, revoked_s FROM keys WHERE digest = ?"
_LIST = "SELECT id, tenant, name, last4, created_s, revoked_s FROM keys ORDER BY created_s, rowid"
_CREATE = "INSERT INTO keys (id, tenant, name, last4, created_s, revoked_s, digest) VALUES (?, ?, ?, ?, ?, ?, ?)"
_REVOKE = "UPDATE keys SET revoked_s = coalesce(revoked_s, ?) WHERE id = ?"


class SqliteKeys:
    """Keys by digest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, digest: bytes) -> Key | None:
        row = await self._database.row(_FIND, (digest,))
        return _key(row) if row is not None else None

    async def create(self, key: Key, digest: bytes) -> None:
        await self._database.write(partial(_create, key, digest))

    async def list(self) -> Sequence[Key]:
        return await self._database.read(lambda db: [_key(row) for row in db.execute(_LIST)])

    async def revoke(self, key_id: str, now_s: int) -> bool:
        return await self._database.write(partial(_revoke, key_id, now_s))


def _key(row: Row) -> Key:
    key_id, tenant, name, last4, created_s, revoked_s = row
    return Key(id=key_id, tenant=tenant, name=name, last4=last4, created_s=created_s, revoked_s=revoked_s)


def _create(key: Key, digest: bytes, db: sqlite3.Connection) -> None:
    row = (key.id, key.tenant, key.name, key.last4, key.created_s, key.revoked_s, digest)
    try:
        db.execute(_CREATE, row)
    except sqlite3.IntegrityError:
        raise StoreError(f"There is a key '{key.id}' already, or one with the same secret.") from None


def _revoke(key_id: str, now_s: int, db: sqlite3.Connection) -> bool:
    return db.execute(_REVOKE, (now_s, key_id)).rowcount > 0
