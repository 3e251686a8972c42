"""Outcomes in SQLite, written behind the answers.

Owns: turning outcomes into rows a few at a time, reports over them, and forgetting what is past its time.
Refuses: to make a request wait, and to hide a loss: what could not be kept is counted in `dropped`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import TypeAlias

import msgspec

from laneway.policy.usage import Sums, dearest_nanos
from laneway.ports import Found, Question, Search, Tally
from laneway.record import PREFIX, names_of, row_of
from laneway.route import Outcome
from laneway.stores.sqlite import blocks
from laneway.stores.sqlite.behind import MOST_UNWRITTEN, Behind
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.records import records_of
from laneway.stores.sqlite.shapes import shape_of
from laneway.stores.sqlite.usage import KEEP_USAGE_DAYS, add_usage, prune_usage, usage_of

AT_ONCE = 64
"""Outcomes in one statement. While it runs the interpreter is free, so the loop never waits for more than these."""
STEP_ROWS = 500

_INSERT = "INSERT INTO outcomes (at_s, tenant, lane, status, model, shape, record) VALUES "
_ROW = "(?, ?, ?, ?, ?, %d, ?)"
_MARKS = _ROW.count("?")
_SEEN = ("tenant", "lane", "status", "model")
_Seen: TypeAlias = tuple[str, str | None, int, str]
_encode = msgspec.json.Encoder().encode
_FORGET_OLD = (
    "DELETE FROM outcomes WHERE id IN "  # noqa: S608 - our own words
    f"(SELECT id FROM {blocks.ROWS} WHERE first_s <= ?1 AND at_s <= ?1 ORDER BY block, id LIMIT ?2)"
)
# Numbers are given in order, so the newest one says how many there can be; nobody counts a million rows a minute.
_FORGET_CROWD = (
    "DELETE FROM outcomes WHERE id IN "
    "(SELECT id FROM outcomes WHERE id <= (SELECT max(id) FROM outcomes) - ? ORDER BY id LIMIT ?)"
)


class SqliteJournal:
    """The record of requests; `record` is called on the loop that started the database.

    Records older than `keep_days` and all but the newest `keep_rows` are forgotten, a few at a time.
    """

    def __init__(
        self,
        database: Database,
        *,
        keep_days: float,
        keep_rows: int,
        keep_usage_days: float = KEEP_USAGE_DAYS,
        prefix: str = PREFIX,
        most: int = MOST_UNWRITTEN,
    ) -> None:
        self._database = database
        self._keep_s = keep_days * 86_400
        self._keep_rows = keep_rows
        self._prefix = prefix
        # In the order of the table.
        self._columns = {
            "tenant": "tenant",
            f"{prefix}.lane": "lane",
            "status": "status",
            "gen_ai.request.model": "model",
        }
        self._behind: Behind[Outcome] = Behind(database, self._insert, most=most)
        database.add_chore(self.prune)
        database.add_chore(partial(prune_usage, keep_days=keep_usage_days))

    @property
    def dropped(self) -> int:
        return self._behind.dropped

    def record(self, outcome: Outcome) -> None:
        self._behind.put(outcome)

    async def recent(self, limit: int, filters: Mapping[str, str]) -> Sequence[Mapping[str, object]]:
        found = await self.search(Search(limit, filters))
        decode = msgspec.json.Decoder(dict[str, object]).decode
        return [decode(text) for _, text in found]

    async def search(self, wanted: Search) -> Sequence[Found]:
        await self.drain()
        return await self._database.read(partial(records_of, wanted, self._columns))

    async def usage(self, question: Question) -> Sequence[Tally]:
        await self.drain()
        return await self._database.read(partial(usage_of, question))

    async def correct(self, tally: Tally) -> None:
        await self._database.write(partial(add_usage, tallies=(tally,)))

    async def drain(self) -> None:
        """Returns when everything recorded before is written, or counted as dropped."""
        await self._behind.drain()

    def _insert(self, batch: Sequence[Outcome], db: sqlite3.Connection) -> int:
        """In the writing thread; answers how many outcomes could not be put into words."""
        sums, seen, times = Sums(), set[_Seen](), list[float]()
        shape = shape_of(names_of(self._prefix), db)
        last = 0
        for start in range(0, len(batch), AT_ONCE):
            values: list[object] = []
            for outcome in batch[start : start + AT_ONCE]:
                try:
                    dearest = dearest_nanos(outcome)
                    text = _encode(row_of(outcome, dearest)).decode()
                except (TypeError, ValueError):  # it must not take its neighbours along
                    continue
                sums.count(outcome, dearest)
                told = outcome.tenant, outcome.lane, outcome.status, outcome.model
                seen.add(told)
                times.append(outcome.at_s)
                values += (outcome.at_s, *told, text)
            if values:
                last = db.execute(_inserting(len(values) // _MARKS, shape), values).lastrowid or 0
        if times:
            # Numbers are given in order while the transaction lasts.
            ids = range(last - len(times) + 1, last + 1)
            blocks.note(db, ids, blocks.Facts(min(times), max(times), _columns_of(seen)))
            add_usage(db, sums.lines())
        return len(batch) - len(times)

    def prune(self, db: sqlite3.Connection, now_s: float) -> bool:
        """A step of forgetting: what is too old, and what is too much."""
        gone = db.execute(_FORGET_OLD, (now_s - self._keep_s, STEP_ROWS)).rowcount
        gone = max(gone, db.execute(_FORGET_CROWD, (self._keep_rows, STEP_ROWS)).rowcount)
        return blocks.forget(db, STEP_ROWS) or gone >= STEP_ROWS


@lru_cache(maxsize=AT_ONCE)
def _inserting(rows: int, shape: int) -> str:
    return _INSERT + ", ".join([_ROW % shape] * rows)


def _columns_of(seen: Collection[_Seen]) -> set[tuple[str, str]]:
    columns = zip(_SEEN, zip(*seen, strict=True), strict=True)
    return {(name, str(value)) for name, column in columns for value in column if value is not None}
