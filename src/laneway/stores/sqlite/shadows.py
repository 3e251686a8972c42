"""Shadow rows in SQLite, written behind the answers, and what they add up to.

Owns: the rows, the sums that gates ask for every few seconds, and forgetting: by age, and each lane's oldest.
Refuses: to make a request wait, to compare, and to hide a loss: what could not be kept is counted in `dropped`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from laneway.policy.shadows import added, place_of_95
from laneway.ports import Evidence, LaneFigures, ShadowRow
from laneway.stores.sqlite.behind import Behind
from laneway.stores.sqlite.database import Database

KEEP_ROWS = 100_000
"""Of each lane."""
STEP_ROWS = 500

_INSERT = (
    "INSERT INTO shadow_rows (at_s, lane, executed, compared, agreed, failed, paid, latency_ms, told) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SUMS = (
    "SELECT count(*) - coalesce(sum(executed), 0), coalesce(sum(compared), 0), coalesce(sum(agreed), 0), "
    "coalesce(sum(executed), 0), coalesce(sum(failed), 0), coalesce(sum(paid), 0), "
    "count(latency_ms) FROM shadow_rows WHERE lane = ? AND at_s >= ?"
)
_LATENCY = (
    "SELECT latency_ms FROM shadow_rows WHERE lane = ? AND at_s >= ? AND latency_ms IS NOT NULL "
    "ORDER BY latency_ms LIMIT 1 OFFSET ?"
)
_ROWS = "SELECT told FROM shadow_rows WHERE (? IS NULL OR lane = ?) AND at_s >= ?"
_RECENT = "SELECT told FROM shadow_rows WHERE ? IS NULL OR lane = ? ORDER BY id DESC LIMIT ?"
_FORGET_OLD = "DELETE FROM shadow_rows WHERE id IN (SELECT id FROM shadow_rows WHERE at_s <= ? ORDER BY at_s LIMIT ?)"
_LANES = "SELECT DISTINCT lane FROM shadow_rows"
_FORGET_CROWD = (
    "DELETE FROM shadow_rows WHERE id IN "
    "(SELECT id FROM shadow_rows WHERE lane = ? ORDER BY at_s DESC LIMIT ? OFFSET ?)"
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ShadowRow).decode


class SqliteShadows:
    """Rows shared by all processes that open the same file."""

    def __init__(self, database: Database, *, keep_days: float, keep_rows: int = KEEP_ROWS) -> None:
        self._database = database
        self._keep_s = keep_days * 86_400
        self._keep_rows = keep_rows
        self._behind: Behind[ShadowRow] = Behind(database, _insert)
        database.add_chore(self.prune)

    @property
    def dropped(self) -> int:
        return self._behind.dropped

    def keep(self, row: ShadowRow) -> None:
        self._behind.put(row)

    async def report(self, lane: str | None, since_s: float) -> Sequence[LaneFigures]:
        await self._behind.drain()
        return await self._database.read(
            lambda db: added(_decode(told) for (told,) in db.execute(_ROWS, (lane, lane, since_s)))
        )

    async def evidence(self, lane: str, since_s: float) -> Evidence:
        await self._behind.drain()
        return await self._database.read(lambda db: _evidence(db, lane, since_s))

    async def recent(self, limit: int, lane: str | None = None) -> Sequence[ShadowRow]:
        await self._behind.drain()
        return await self._database.read(
            lambda db: [_decode(told) for (told,) in db.execute(_RECENT, (lane, lane, limit))]
        )

    def prune(self, db: sqlite3.Connection, now_s: float) -> bool:
        """A step of forgetting: what is too old, and what is too much of one lane."""
        gone = db.execute(_FORGET_OLD, (now_s - self._keep_s, STEP_ROWS)).rowcount
        for (lane,) in db.execute(_LANES).fetchall():
            gone = max(gone, db.execute(_FORGET_CROWD, (lane, STEP_ROWS, self._keep_rows)).rowcount)
        return gone >= STEP_ROWS


def _insert(rows: Sequence[ShadowRow], db: sqlite3.Connection) -> None:
    db.executemany(_INSERT, [_values(row) for row in rows])


def _values(row: ShadowRow) -> tuple[object, ...]:
    well = row.executed and not row.failed and row.decided is not None
    return (
        *(row.at_s, row.lane, row.executed, row.compared, row.compared and not row.kinds, row.failed, row.paid),
        *(row.decided.latency_ms if well and row.decided is not None else None, _encode(row).decode()),
    )


def _evidence(db: sqlite3.Connection, lane: str, since_s: float) -> Evidence:
    decisions, compared, agreed, requests, failures, paid, timed = db.execute(_SUMS, (lane, since_s)).fetchone()
    found = db.execute(_LATENCY, (lane, since_s, place_of_95(timed))).fetchone() if timed else None
    return Evidence(decisions, compared, agreed, requests, failures, paid, found[0] if found is not None else None)
