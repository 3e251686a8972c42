"""Pins in SQLite, so that a conversation keeps its target over restarts and in every worker.

Owns: the look-up, writing behind the answer, and forgetting the old and the too many.
Refuses: making a request wait or fail for a pin. Where the table cannot be asked, nothing was pinned.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial

from laneway.ports import Pin
from laneway.stores.schema import PIN_S, PINS_PER_TENANT, StoreError
from laneway.stores.sqlite.database import Database

MOST_UNWRITTEN = 1000
STEP_ROWS = 500

_GET = "SELECT target, at_s FROM pins WHERE tenant = ? AND trace = ?"
_PUT = """
INSERT INTO pins (tenant, trace, target, at_s) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET target = excluded.target, at_s = excluded.at_s
"""
_CROWDED = "SELECT tenant, count(*) - ? FROM pins GROUP BY tenant HAVING count(*) > ?"
_FORGET = (
    "DELETE FROM pins WHERE (tenant, trace) IN (SELECT tenant, trace FROM pins WHERE {which} ORDER BY at_s LIMIT ?)"
)
_FORGET_OLD = _FORGET.format(which="at_s <= ?")
_FORGET_CROWD = _FORGET.format(which="tenant = ?")


class SqlitePins:
    """Pins per tenant and trace."""

    def __init__(self, database: Database, *, ttl_s: float = PIN_S, most: int = PINS_PER_TENANT) -> None:
        self._database = database
        self._ttl_s = ttl_s
        self._most = most
        self._unwritten: dict[tuple[str, str], Pin] = {}
        database.add_chore(self.prune)

    async def get(self, tenant: str, trace: str, now_s: float) -> Pin | None:
        pin = self._unwritten.get((tenant, trace))
        if pin is None:
            try:
                row = await self._database.row(_GET, (tenant, trace))
            except StoreError:
                return None
            if row is None:
                return None
            pin = Pin(target=row[0], at_s=row[1])
        return pin if pin.at_s + self._ttl_s > now_s else None

    async def put(self, tenant: str, trace: str, pin: Pin) -> None:
        name = (tenant, trace)
        if len(self._unwritten) >= MOST_UNWRITTEN:
            return
        try:
            written = self._database.submit(partial(_put, tenant, trace, pin))
        except StoreError:
            return
        self._unwritten[name] = pin
        written.add_done_callback(partial(self._forget, name, pin))

    def _forget(self, name: tuple[str, str], pin: Pin, written: asyncio.Future[None]) -> None:
        if self._unwritten.get(name) is pin:
            del self._unwritten[name]
        if not written.cancelled():
            written.exception()  # looked at, so that nobody complains of a pin that may be lost

    def prune(self, db: sqlite3.Connection, now_s: float) -> bool:
        """A step of forgetting: pins past their time, and the oldest of a tenant that has too many."""
        gone = db.execute(_FORGET_OLD, (now_s - self._ttl_s, STEP_ROWS)).rowcount
        for tenant, excess in db.execute(_CROWDED, (self._most, self._most)).fetchall():
            gone = max(gone, db.execute(_FORGET_CROWD, (tenant, min(excess, STEP_ROWS))).rowcount)
        return gone >= STEP_ROWS


def _put(tenant: str, trace: str, pin: Pin, db: sqlite3.Connection) -> None:
    db.execute(_PUT, (tenant, trace, pin.target, pin.at_s))
