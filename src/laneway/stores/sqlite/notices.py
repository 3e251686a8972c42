"""Notices in SQLite: each is sent by one process, also when that one ends before it could.

Owns: the row that is unique before anything is sent, lending it for a try, and how it ended.
Refuses: to say when a failed one is due again (policy does), and to forget what was told for as long as its period can
be asked about: what still holds after ninety days, as a kill does, is told once more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from laneway.ports import Notice
from laneway.stores.sqlite.database import Database, Row

_COLUMNS = "id, channel, kind, subject, period, facts, at_s, tries, state, reason"
_PUT = (
    f"INSERT INTO notices ({_COLUMNS}, due_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608 - our own names
    "ON CONFLICT DO NOTHING"
)
_DUE = "SELECT id FROM notices WHERE state = 'waiting' AND channel = ? AND due_s <= ? ORDER BY due_s LIMIT 1"
_TAKE = f"UPDATE notices SET tries = tries + 1, due_s = ? WHERE id = ({_DUE}) RETURNING {_COLUMNS}"  # noqa: S608
_END = "UPDATE notices SET state = ?, reason = ?, ended_s = ? WHERE id = ?"
_FAIL = "UPDATE notices SET reason = ?, due_s = ? WHERE id = ? AND state = 'waiting'"
_RECENT = f"SELECT {_COLUMNS} FROM notices ORDER BY at_s DESC, rowid DESC LIMIT ?"  # noqa: S608

# They stand in the order in which they came, so that the oldest tell whether there is anything to do.
_FORGET = (
    "DELETE FROM notices WHERE rowid IN (SELECT rowid FROM notices ORDER BY rowid LIMIT ?) "
    "AND at_s <= ? AND state <> 'waiting'"
)
TOLD_S = 90 * 86_400.0
STEP_ROWS = 500

_facts = msgspec.json.Decoder(dict[str, str]).decode


class SqliteNotices:
    """Notices shared by all processes that open the same file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.add_chore(prune)

    async def put(self, notices: Sequence[Notice]) -> int:
        return await self._database.write(partial(_put, notices))

    async def take(self, channel: str, now_s: float, until_s: float) -> Notice | None:
        # Looked up first, so that an idle gateway never asks for the lock.
        if await self._database.row(_DUE, (channel, now_s)) is None:
            return None
        return await self._database.write(partial(_take, channel, now_s, until_s))

    async def ended(self, notice_id: str, now_s: float, *, reason: str = "") -> None:
        state = "given up" if reason else "sent"
        await self._database.write(lambda db: db.execute(_END, (state, reason, now_s, notice_id)).rowcount)

    async def failed(self, notice_id: str, reason: str, again_s: float) -> None:
        await self._database.write(lambda db: db.execute(_FAIL, (reason, again_s, notice_id)).rowcount)

    async def recent(self, limit: int) -> Sequence[Notice]:
        return await self._database.read(lambda db: [_notice(row) for row in db.execute(_RECENT, (limit,))])


def prune(db: sqlite3.Connection, now_s: float) -> bool:
    """A step of forgetting what was told long ago."""
    return db.execute(_FORGET, (STEP_ROWS, now_s - TOLD_S)).rowcount >= STEP_ROWS


def _put(notices: Sequence[Notice], db: sqlite3.Connection) -> int:
    return sum(db.execute(_PUT, _values(notice)).rowcount for notice in notices)


def _values(notice: Notice) -> tuple[object, ...]:
    facts = msgspec.json.encode(dict(notice.facts)).decode()
    return (
        *(notice.id, notice.channel, notice.kind, notice.subject, notice.period, facts),
        *(notice.at_s, notice.tries, notice.state, notice.reason, notice.at_s),
    )


def _take(channel: str, now_s: float, until_s: float, db: sqlite3.Connection) -> Notice | None:
    row = db.execute(_TAKE, (until_s, channel, now_s)).fetchone()
    return _notice(row) if row is not None else None


def _notice(row: Row) -> Notice:
    *head, facts, at_s, tries, state, reason = row
    notice_id, channel, kind, subject, period = head
    return Notice(
        id=notice_id,
        channel=channel,
        kind=kind,
        subject=subject,
        period=period,
        facts=_facts(facts),
        at_s=at_s,
        tries=tries,
        state=state,
        reason=reason,
    )
