"""Runs in SQLite: accepted once, given to one process at a time, and ended in one transaction with their result.

Owns: the rows of runs, of their texts and of their steps. Refuses: to say what may follow on what: the change that it
is handed does, seeing the row inside the transaction that writes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from laneway.ports.runs import Change, Fact, Run, Step, Texts, Wanted
from laneway.stores.schema import StoreError
from laneway.stores.sqlite.database import Database, Row

_FOUND = "tenant, same, lane, state, owner, lease_s, ended_s, hook_state, hook_due_s, run"
_MARKS = ", ".join("?" * 11)
_ADD = f"INSERT INTO run_state (id, {_FOUND}) VALUES ({_MARKS})"  # noqa: S608 - our own names, here and below
_SET = f"UPDATE run_state SET ({_FOUND}) = ({_MARKS[3:]}) WHERE seq = ?"  # noqa: S608
_TEXTS = "INSERT INTO run_texts VALUES (?, ?, ?, ?, NULL)"
_STEP = "INSERT INTO step_journal SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4 FROM step_journal WHERE run = ?1"
_FIND = "SELECT seq, run FROM run_state WHERE id = ? AND tenant = coalesce(?, tenant)"
_SAME = "SELECT seq, run FROM run_state WHERE tenant = ? AND same = ?"
_WAITING = "SELECT count(*) FROM run_state WHERE state = 'accepted' AND tenant = ?"
_HELD = "SELECT seq, run FROM run_state WHERE state = 'running' AND owner = ?"
_RENEW = (
    "UPDATE run_state SET lease_s = ?1, run = json_set(run, '$.lease_s', ?1) "
    "WHERE state = 'running' AND owner = ?2 AND id = ?3"
)
_LOST = "SELECT seq, run FROM run_state WHERE state = 'running' AND lease_s <= ? ORDER BY lease_s LIMIT 1"
_ANY = "SELECT 1 FROM run_state WHERE state = 'accepted' LIMIT 1"
# The first of each tenant; of these, that of the tenant with the fewest under way.
_NEXT = (
    "SELECT seq, (SELECT run FROM run_state AS own WHERE own.seq = first.seq) "
    "FROM (SELECT tenant, min(seq) AS seq FROM run_state WHERE state = 'accepted' GROUP BY tenant) AS first "
    "ORDER BY (SELECT count(*) FROM run_state AS busy WHERE busy.state = 'running' AND busy.tenant = first.tenant), "
    "seq LIMIT 1"
)
_STEPS = (
    "SELECT number, at_s, kind, facts FROM step_journal "
    "WHERE run = (SELECT seq FROM run_state WHERE id = ?) AND number > ? ORDER BY number"
)
_READ = "SELECT headers, secret, body FROM run_texts WHERE run = (SELECT seq FROM run_state WHERE id = ?)"
_RESULT = "SELECT result FROM run_texts WHERE run = (SELECT seq FROM run_state WHERE id = ?)"
_DUE = "SELECT seq, run FROM run_state WHERE hook_state = 'waiting' AND hook_due_s <= ? ORDER BY hook_due_s LIMIT 1"
_OVER = "SELECT seq FROM run_state WHERE id = ? AND ended_s IS NOT NULL"
_OLD = "SELECT seq FROM run_state WHERE ended_s <= ? ORDER BY ended_s LIMIT ?"

_run = msgspec.json.Decoder(Run).decode
_facts = msgspec.json.Decoder(dict[str, Fact]).decode
_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode
_encode = msgspec.json.Encoder().encode


class SqliteRuns:
    """Runs shared by all processes that open the same file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, run: Run, texts: Texts, steps: Sequence[Step], most: int) -> Run | None:
        return await self._database.write(partial(_accept, run, texts, steps, most))

    async def find(self, run_id: str, tenant: str | None = None) -> Run | None:
        return _one(await self._look(_FIND, (run_id, tenant)))

    async def same(self, tenant: str, key: str) -> Run | None:
        return _one(await self._look(_SAME, (tenant, key)))

    async def texts(self, run_id: str) -> Texts | None:
        row = await self._database.read(lambda db: db.execute(_READ, (run_id,)).fetchone())
        return Texts(headers=_headers(row[0]), secret=row[1], body=row[2]) if row is not None else None

    async def result(self, run_id: str) -> bytes | None:
        row = await self._database.read(lambda db: db.execute(_RESULT, (run_id,)).fetchone())
        return row[0] if row is not None else None

    async def steps(self, run_id: str, after: int = 0) -> Sequence[Step]:
        rows = await self._look(_STEPS, (run_id, after))
        return [Step(number=number, at_s=at_s, kind=kind, facts=_facts(facts)) for number, at_s, kind, facts in rows]

    async def list(self, wanted: Wanted, limit: int) -> Sequence[Run]:
        conditions, parameters = ["true"], list[object]()
        for column, value in (("tenant", wanted.tenant), ("state", wanted.state), ("lane", wanted.lane)):
            if value is not None:
                conditions.append(f"{column} = ?")
                parameters.append(str(value))
        if wanted.after is not None:
            conditions.append("seq < (SELECT seq FROM run_state WHERE id = ?)")
            parameters.append(wanted.after)
        sql = f"SELECT seq, run FROM run_state WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
        return await self._database.read(lambda db: [_run(row[1]) for row in db.execute(sql, (*parameters, limit))])

    async def take(self, now_s: float, change: Change) -> Run | None:
        # Looked up first, so that an idle gateway never asks for the lock.
        if not (await self._look(_LOST, (now_s,)) or await self._look(_ANY, ())):
            return None
        return await self._database.write(partial(_take, now_s, change))

    async def change(self, run_id: str, change: Change, tenant: str | None = None) -> Run | None:
        return await self._database.write(partial(_changed, _FIND, (run_id, tenant), change))

    async def held(self, owner: str) -> Sequence[Run]:
        return [_run(row[1]) for row in await self._look(_HELD, (owner,))]

    async def renew(self, owner: str, run_ids: Sequence[str], until_s: float) -> None:
        rows = [(until_s, owner, run_id) for run_id in run_ids]
        await self._database.write(lambda db: db.executemany(_RENEW, rows).rowcount)

    async def take_hook(self, now_s: float, until_s: float) -> Run | None:
        if not await self._look(_DUE, (now_s,)):
            return None
        return await self._database.write(partial(_take_hook, now_s, until_s))

    async def forget(self, run_id: str) -> bool:
        return await self._database.write(partial(_forget, _OVER, (run_id,))) > 0

    async def prune(self, before_s: float, most: int) -> int:
        if not await self._look(_OLD, (before_s, 1)):
            return 0
        return await self._database.write(partial(_forget, _OLD, (before_s, most)))

    async def _look(self, sql: str, parameters: Sequence[object]) -> Sequence[Row]:
        try:
            return self._database.look(sql, parameters)
        except StoreError:
            # A lock stands in the way, as when another process recovers the file after a crash.
            return await self._database.read(lambda db: db.execute(sql, parameters).fetchall())


def _one(rows: Sequence[Row]) -> Run | None:
    return _run(rows[0][1]) if rows else None


def _values(run: Run) -> tuple[object, ...]:
    return (
        *(run.tenant, run.same, run.lane, run.state.value, run.owner, run.lease_s, run.ended_s),
        *(run.hook_state, run.hook_due_s, _encode(run).decode()),
    )


def _accept(run: Run, texts: Texts, steps: Sequence[Step], most: int, db: sqlite3.Connection) -> Run | None:
    there = _one(db.execute(_SAME, (run.tenant, run.same)).fetchall())
    if there is not None:
        return there
    if db.execute(_WAITING, (run.tenant,)).fetchone()[0] >= most:
        return None
    seq = db.execute(_ADD, (run.id, *_values(run))).lastrowid
    db.execute(_TEXTS, (seq, _encode(texts.headers).decode(), texts.secret, texts.body))
    _note(db, seq, steps)
    return run


def _note(db: sqlite3.Connection, seq: int | None, steps: Sequence[Step]) -> None:
    for step in steps:
        db.execute(_STEP, (seq, step.at_s, step.kind, _encode(dict(step.facts)).decode()))


def _take(now_s: float, change: Change, db: sqlite3.Connection) -> Run | None:
    return _changed(_LOST, (now_s,), change, db) or _changed(_NEXT, (), change, db)


def _changed(sql: str, parameters: Sequence[object], change: Change, db: sqlite3.Connection) -> Run | None:
    row = db.execute(sql, parameters).fetchone()
    if row is None:
        return None
    seq, run = row[0], _run(row[1])
    move = change(run)
    if move is None:
        return run
    if move.run != run:
        db.execute(_SET, (*_values(move.run), seq))
    if move.result is not None:
        db.execute("UPDATE run_texts SET result = ? WHERE run = ?", (move.result, seq))
    _note(db, seq, move.steps)
    return move.run


def _take_hook(now_s: float, until_s: float, db: sqlite3.Connection) -> Run | None:
    row = db.execute(_DUE, (now_s,)).fetchone()
    if row is None:
        return None
    run = _run(row[1])
    taken = replace(run, hook_tries=run.hook_tries + 1, hook_due_s=until_s)
    db.execute(_SET, (*_values(taken), row[0]))
    return taken


def _forget(sql: str, parameters: Sequence[object], db: sqlite3.Connection) -> int:
    old = db.execute(sql, parameters).fetchall()
    for table, column in (("step_journal", "run"), ("run_texts", "run"), ("run_state", "seq")):
        db.executemany(f"DELETE FROM {table} WHERE {column} = ?", old)  # noqa: S608
    return len(old)
