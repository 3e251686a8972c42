"""Money in SQLite: exact across processes, because every verb looks and acts inside one write transaction.

Owns: the condition under which a hold begins, what ends it, and forgetting what nobody can ask for any more. The sums
of a budget are kept by the tables' triggers.
Refuses: prices, periods and caps (they are arguments), and answering before the transaction is committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from functools import partial

from laneway.ports import Hold, Left
from laneway.stores.schema import HOLD_S, StoreError
from laneway.stores.sqlite.database import Database

SETTLED_S = 90 * 86_400.0
"""How long a settlement is known by its request: far longer than anybody repeats one. Sums are kept for good."""
STEP_ROWS = 500

_LEFT = """
SELECT spent_nanos,
    held_nanos - coalesce((SELECT sum(nanos) FROM holds WHERE budget = budgets.name AND expires_s <= ?), 0)
FROM budgets WHERE name = ?
"""
# Expired holds still count in `held_nanos` here, which errs on the safe side; only a refusal looks closer.
_HOLD = """
INSERT INTO holds (budget, request_id, nanos, expires_s) SELECT ?, ?, ?, ?
WHERE ? <= max(? - coalesce((SELECT spent_nanos + held_nanos FROM budgets WHERE name = ?), 0), 0)
ON CONFLICT DO NOTHING
"""
_EXPIRE = "DELETE FROM holds WHERE budget = ? AND expires_s <= ?"
_HELD = "SELECT nanos, expires_s FROM holds WHERE budget = ? AND request_id = ?"
_RELEASE = "DELETE FROM holds WHERE budget = ? AND request_id = ?"
_SETTLE = "INSERT INTO settlements (budget, request_id, nanos, at_s) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_FORGET = (
    "DELETE FROM settlements WHERE (budget, request_id) IN "
    "(SELECT budget, request_id FROM settlements WHERE at_s <= ? ORDER BY at_s LIMIT ?)"
)
_STALE = (
    "DELETE FROM holds WHERE (budget, request_id) IN "
    "(SELECT budget, request_id FROM holds WHERE expires_s <= ? LIMIT ?)"
)


class SqliteLedger:
    """Budgets shared by all processes that open the same file."""

    def __init__(self, database: Database, *, hold_s: float = HOLD_S) -> None:
        self._database = database
        self._hold_s = hold_s
        database.add_chore(prune)

    async def left(self, budget: str, cap_nanos: int, now_s: float) -> Left:
        row = await self._database.row(_LEFT, (now_s, budget))
        spent, held = row if row is not None else (0, 0)
        return Left(budget=budget, cap_nanos=cap_nanos, spent_nanos=spent, held_nanos=held)

    async def hold(self, request_id: str, budget: str, nanos: int, cap_nanos: int, now_s: float) -> Hold | Left:
        wanted = Hold(request_id=request_id, budget=budget, nanos=nanos, expires_s=now_s + self._hold_s)
        try:
            return await self._database.write(partial(_hold, wanted, cap_nanos, now_s))
        except asyncio.CancelledError:
            # Nobody will settle a hold whose caller left while it was queued: it would stand until it expires.
            with suppress(StoreError):
                self._database.submit(partial(_release, request_id, budget)).add_done_callback(_ignored)
            raise

    async def settle(self, request_id: str, budget: str, nanos: int, now_s: float) -> None:
        await self._database.write(partial(_settle, request_id, budget, nanos, now_s))

    async def release(self, request_id: str, budget: str, now_s: float) -> None:
        await self._database.write(partial(_release, request_id, budget))


def _hold(wanted: Hold, cap_nanos: int, now_s: float, db: sqlite3.Connection) -> Hold | Left:
    budget = wanted.budget
    name = (budget, wanted.request_id)
    inserting = (*name, wanted.nanos, wanted.expires_s, wanted.nanos, cap_nanos, budget)
    if db.execute(_HOLD, inserting).rowcount:
        return wanted
    db.execute(_EXPIRE, (budget, now_s))
    held = db.execute(_HELD, name).fetchone()
    if held is not None:
        return Hold(request_id=wanted.request_id, budget=budget, nanos=held[0], expires_s=held[1])
    if db.execute(_HOLD, inserting).rowcount:
        return wanted
    spent_nanos, held_nanos = db.execute(_LEFT, (now_s, budget)).fetchone() or (0, 0)
    return Left(budget=budget, cap_nanos=cap_nanos, spent_nanos=spent_nanos, held_nanos=held_nanos)


def _settle(request_id: str, budget: str, nanos: int, now_s: float, db: sqlite3.Connection) -> None:
    if not db.execute(_SETTLE, (budget, request_id, nanos, now_s)).rowcount:
        _release(request_id, budget, db)


def _release(request_id: str, budget: str, db: sqlite3.Connection) -> None:
    db.execute(_RELEASE, (budget, request_id))


def _ignored(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()


def prune(db: sqlite3.Connection, now_s: float) -> bool:
    """A step of forgetting: holds that expired in any budget, and settlements nobody repeats any more."""
    gone = db.execute(_STALE, (now_s, STEP_ROWS)).rowcount
    gone = max(gone, db.execute(_FORGET, (now_s - SETTLED_S, STEP_ROWS)).rowcount)
    return gone >= STEP_ROWS
