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
# From one lane to the next by the index: DISTINCT would look at every row.
_LANES = """
WITH RECURSIVE lanes (lane) AS (
    SELECT min(lane) FROM shadow_rows
    UNION ALL
    SELECT (SELECT min(lane) FROM shadow_rows WHERE lane > lanes.lane) FROM lanes WHERE lane IS NOT NULL
)
SELECT lane FROM lanes WHERE lane IS NOT NULL
"""
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
        self._lanes: list[str] = []
        """Whose rows have still to be looked at."""
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

    async def evidence(self, lane: str, since_s: float, *, timed: bool = True) -> Evidence:
        await self._behind.drain()
        return await self._database.read(lambda db: _evidence(db, lane, since_s, timed=timed))

    async def recent(self, limit: int, lane: str | None = None) -> Sequence[ShadowRow]:
        await self._behind.drain()
        return await self._database.read(
            lambda db: [_decode(told) for (told,) in db.execute(_RECENT, (lane, lane, limit))]
        )

    def prune(self, db: sqlite3.Connection, now_s: float) -> bool:
        """A step of forgetting: what is too old, and what is too much of one lane; the next step is another lane's."""
        gone = db.execute(_FORGET_OLD, (now_s - self._keep_s, STEP_ROWS)).rowcount
        if not self._lanes:
            self._lanes = [lane for (lane,) in db.execute(_LANES)]
        if self._lanes:
            more = db.execute(_FORGET_CROWD, (self._lanes[-1], STEP_ROWS, self._keep_rows)).rowcount >= STEP_ROWS
            if not more:
                del self._lanes[-1]
        return gone >= STEP_ROWS or bool(self._lanes)


def _insert(rows: Sequence[ShadowRow], db: sqlite3.Connection) -> None:
    db.executemany(_INSERT, [_values(row) for row in rows])


def _values(row: ShadowRow) -> tuple[object, ...]:
    well = row.executed and not row.failed and row.decided is not None
    return (
        *(row.at_s, row.lane, row.executed, row.compared, row.compared and not row.kinds, row.failed, row.paid),
        *(row.decided.latency_ms if well and row.decided is not None else None, _encode(row).decode()),
    )


def _evidence(db: sqlite3.Connection, lane: str, since_s: float, *, timed: bool) -> Evidence:
    *_, count = sums = db.execute(_SUMS, (lane, since_s)).fetchone()
    decisions, compared, agreed, requests, failures, paid = sums[:-1]
    found = db.execute(_LATENCY, (lane, since_s, place_of_95(count))).fetchone() if timed and count else None
    return Evidence(decisions, compared, agreed, requests, failures, paid, found[0] if found is not None else None)
