"""Examples in SQLite: what tenants have taught, seen by every process that opens the file.

Owns: the rows, an edition for every change of one, the marks that deletions leave, and vectors that are dear to make.
Refuses: to search by meaning, and to keep anything of what was deleted: its place is overwritten (`contents`), and
the log that may still hold it is folded into the file before `delete` returns.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from laneway.ports.examples import EVERY, PLAIN, Change, Example, Filter, Label, Setting
from laneway.stores.schema.teaching import FORGET_S, tidied
from laneway.stores.sqlite.contents import TEXT, VECTOR, blank, put, reclaim
from laneway.stores.sqlite.database import Database, Row

STEP_ROWS = 500

_OTHERS = "tag, setting, labels, task_id, batch, taught_by, at_s"
_COLUMNS = f"id, {TEXT}, {_OTHERS}"
_MEMORY = "SELECT id FROM memories WHERE tenant = ?"
_TAUGHT = "SELECT 1 FROM memories WHERE tenant = ? AND edition > 0"
_BEGIN = """
INSERT INTO memories (tenant, origin, edition, last_id, forgotten, moved)
VALUES (?, lower(hex(randomblob(8))), 0, 0, 0, 0) ON CONFLICT DO NOTHING
"""
_MOVE = """
UPDATE memories SET edition = edition + ?, last_id = last_id + ?,
    moved = (SELECT max(moved) + 1 FROM memories)
WHERE tenant = ? RETURNING id, edition, last_id
"""
_ADD = f"INSERT INTO examples (memory, edition, id, content, {_OTHERS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_KNOWN = f"SELECT {TEXT}, setting, content FROM examples WHERE memory = ({_MEMORY}) AND id = ?"  # noqa: S608
_CHANGE = """
UPDATE examples SET edition = ?, content = ?, tag = ?, setting = ?, labels = ?, task_id = ?, batch = ?, taught_by = ?,
    at_s = ?
WHERE memory = ? AND id = ?
"""
_DELETE = "DELETE FROM examples WHERE memory = ? AND id = ?"
_MARK = "INSERT INTO deleted_examples (memory, edition, id, at_s) VALUES (?, ?, ?, ?)"
_GET = f"SELECT {_COLUMNS} FROM examples WHERE memory = ({_MEMORY}) AND id = ?"  # noqa: S608
_CHANGED = f"""
SELECT edition, {_COLUMNS} FROM examples WHERE memory = ({_MEMORY}) AND edition > ? ORDER BY edition LIMIT ?
"""  # noqa: S608
_DELETED = f"""
SELECT edition, id FROM deleted_examples WHERE memory = ({_MEMORY}) AND edition > ? ORDER BY edition LIMIT ?
"""  # noqa: S608
_OLD = "SELECT memory, edition FROM deleted_examples WHERE at_s <= ? ORDER BY at_s LIMIT ?"
_FORGET = "UPDATE memories SET forgotten = max(forgotten, ?) WHERE id = ?"
_VECTOR = f"SELECT {VECTOR} FROM vectors WHERE memory = ({_MEMORY}) AND example = ? AND space = ?"  # noqa: S608
_KEEP = f"INSERT INTO vectors (memory, example, space, content) SELECT id, ?, ?, ? FROM ({_MEMORY})"  # noqa: S608
_OF = "DELETE FROM vectors WHERE memory = ? AND example = ? RETURNING content"
_SOME = """
DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors WHERE space = ? LIMIT ?) RETURNING content
"""
_SPACES = "SELECT DISTINCT space FROM vectors"

_labels = msgspec.json.Decoder(tuple[Label, ...]).decode
_setting = msgspec.json.Decoder(Setting).decode
_encode = msgspec.json.Encoder().encode


class SqliteExamples:
    """Examples by tenant and id, shared by all processes that open the same file."""

    def __init__(
        self, database: Database, *, forget_s: float = FORGET_S, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._forget_s = forget_s
        self._clock = clock
        database.add_chore(self.prune)
        database.add_chore(reclaim)

    async def add(self, tenant: str, examples: Sequence[Example], *, first: bool = False) -> Sequence[Example]:
        tidy = [tidied(example) for example in examples]
        return await self._database.write(partial(_add, tenant, tidy, first)) if tidy else []

    async def get(self, tenant: str, example_id: int) -> Example | None:
        row = await self._database.row(_GET, (tenant, example_id))
        return None if row is None else _example(row)

    async def list(self, tenant: str, *, where: Filter = EVERY, after: int = 0, limit: int = 100) -> Sequence[Example]:
        condition, parameters = _condition(where)
        sql = f"SELECT {_COLUMNS} FROM examples WHERE memory = ({_MEMORY}) AND id > ? {condition} ORDER BY id LIMIT ?"  # noqa: S608
        asked = (tenant, after, *parameters, limit)
        return await self._database.read(lambda db: [_example(row) for row in _folding(db).execute(sql, asked)])

    async def count(self, tenant: str, *, where: Filter = EVERY) -> int:
        condition, parameters = _condition(where)
        sql = f"SELECT count(*) FROM examples WHERE memory = ({_MEMORY}) {condition}"  # noqa: S608
        asked = (tenant, *parameters)
        return await self._database.read(lambda db: int(_folding(db).execute(sql, asked).fetchone()[0]))

    async def change(self, tenant: str, example: Example) -> bool:
        tidy = tidied(example)
        found, blanked = await self._database.write(partial(_change, tenant, tidy))
        if blanked:
            await self._database.fold()
        return found

    async def delete(self, tenant: str, ids: Sequence[int]) -> int:
        deleted = await self._database.write(partial(_delete, tenant, tuple(dict.fromkeys(ids)), self._clock()))
        if deleted:
            await self._database.fold()
        return deleted

    async def edition(self, tenant: str) -> int:
        row = await self._database.row("SELECT edition FROM memories WHERE tenant = ?", (tenant,))
        return 0 if row is None else int(row[0])

    async def origin(self, tenant: str) -> str:
        row = await self._database.row("SELECT origin FROM memories WHERE tenant = ?", (tenant,))
        return "" if row is None else str(row[0])

    async def since(self, tenant: str, edition: int, *, limit: int = 1000) -> Sequence[Change]:
        def read(db: sqlite3.Connection) -> list[Change]:
            asked = (tenant, edition, limit)
            # In one transaction, so that a row which is deleted meanwhile is missed by neither question.
            db.execute("BEGIN")
            changes = [Change(row[0], row[1], _example(row[1:])) for row in db.execute(_CHANGED, asked)]
            changes += [Change(at, example_id, None) for at, example_id in db.execute(_DELETED, asked)]
            db.execute("COMMIT")
            return sorted(changes, key=lambda change: change.edition)[:limit]

        return await self._database.read(read)

    async def forgotten(self, tenant: str) -> int:
        row = await self._database.row("SELECT forgotten FROM memories WHERE tenant = ?", (tenant,))
        return 0 if row is None else int(row[0])

    async def tenants(self) -> Sequence[str]:
        return await self._database.read(
            lambda db: [tenant for (tenant,) in db.execute("SELECT tenant FROM memories ORDER BY tenant")]
        )

    async def moved(self, mark: int) -> tuple[Sequence[str], int]:
        found = self._database.look("SELECT tenant, moved FROM memories WHERE moved > ? ORDER BY moved", (mark,))
        return [tenant for tenant, _ in found], found[-1][1] if found else mark

    async def vectors(self, tenant: str, space: str, ids: Sequence[int]) -> Mapping[int, bytes]:
        def read(db: sqlite3.Connection) -> dict[int, bytes]:
            found = {example_id: db.execute(_VECTOR, (tenant, example_id, space)).fetchone() for example_id in ids}
            return {example_id: row[0] for example_id, row in found.items() if row is not None}

        return await self._database.read(read)

    async def keep_vectors(self, tenant: str, space: str, vectors: Mapping[int, tuple[Example, bytes]]) -> None:
        await self._database.write(partial(_keep, tenant, space, vectors))

    async def drop_vectors(self, spaces: Sequence[str]) -> None:
        gone = await self._database.read(lambda db: [space for (space,) in db.execute(_SPACES) if space not in spaces])
        for space in gone:
            while await self._database.write(partial(_drop_some, space)):
                pass

    def prune(self, db: sqlite3.Connection, now_s: float) -> bool:
        """Forgets a few old deletions; True when there are more."""
        old = db.execute(_OLD, (now_s - self._forget_s, STEP_ROWS)).fetchall()
        db.executemany(_FORGET, [(edition, memory) for memory, edition in old])
        db.executemany("DELETE FROM deleted_examples WHERE memory = ? AND edition = ?", old)
        return len(old) == STEP_ROWS


def _add(tenant: str, examples: Sequence[Example], first: bool, db: sqlite3.Connection) -> Sequence[Example]:
    if first and db.execute(_TAUGHT, (tenant,)).fetchone() is not None:
        return []
    db.execute(_BEGIN, (tenant,))
    memory, edition, last_id = db.execute(_MOVE, (len(examples), len(examples), tenant)).fetchone()
    before = last_id - len(examples)
    added = [msgspec.structs.replace(example, id=before + at) for at, example in enumerate(examples, 1)]
    lowest = edition - len(examples) + 1
    for at, example in enumerate(added):
        db.execute(_ADD, (memory, lowest + at, example.id, put(db, example.text.encode()), *_values(example)))
    return added


def _change(tenant: str, example: Example, db: sqlite3.Connection) -> tuple[bool, bool]:
    """Whether there was one, and whether a text was overwritten."""
    before = db.execute(_KNOWN, (tenant, example.id)).fetchone()
    if before is None:
        return False, False
    text, setting, content = before
    memory, edition, _ = db.execute(_MOVE, (1, 0, tenant)).fetchone()
    rewritten = text != example.text
    if rewritten or setting != _said(example.setting):
        _drop_vectors(db, memory, example.id)
    if rewritten:
        blank(db, [content])
        content = put(db, example.text.encode())
    db.execute(_CHANGE, (edition, content, *_values(example), memory, example.id))
    return True, rewritten


def _delete(tenant: str, ids: Sequence[int], at_s: float, db: sqlite3.Connection) -> int:
    found = ((example_id, db.execute(_KNOWN, (tenant, example_id)).fetchone()) for example_id in ids)
    known = [(example_id, row[2]) for example_id, row in found if row is not None]
    if not known:
        return 0
    memory, edition, _ = db.execute(_MOVE, (len(known), 0, tenant)).fetchone()
    for at, (example_id, content) in enumerate(known, edition - len(known) + 1):
        blank(db, [content])
        _drop_vectors(db, memory, example_id)
        db.execute(_DELETE, (memory, example_id))
        db.execute(_MARK, (memory, at, example_id, at_s))
    return len(known)


def _keep(tenant: str, space: str, vectors: Mapping[int, tuple[Example, bytes]], db: sqlite3.Connection) -> None:
    for example_id, (example, vector) in vectors.items():
        now = db.execute(_KNOWN, (tenant, example_id)).fetchone()
        if now is None or now[:2] != (example.text, _said(example.setting)):
            continue
        kept = db.execute(_VECTOR, (tenant, example_id, space)).fetchone()
        if kept is None:
            db.execute(_KEEP, (example_id, space, put(db, vector), tenant))


def _drop_vectors(db: sqlite3.Connection, memory: int, example_id: int) -> None:
    blank(db, [content for (content,) in db.execute(_OF, (memory, example_id)).fetchall()])


def _drop_some(space: str, db: sqlite3.Connection) -> int:
    gone = [content for (content,) in db.execute(_SOME, (space, STEP_ROWS)).fetchall()]
    blank(db, gone)
    return len(gone)


def _values(example: Example) -> tuple[object, ...]:
    """What stands after the content."""
    labels = _encode(example.labels).decode()
    return (
        example.tag,
        _said(example.setting),
        labels,
        example.task_id,
        example.batch,
        example.taught_by,
        example.at_s,
    )


def _said(setting: Setting) -> str:
    return "" if setting == PLAIN else _encode(setting).decode()


def _example(row: Row) -> Example:
    example_id, text, tag, setting, labels, task_id, batch, taught_by, at_s = row
    return Example(
        id=example_id,
        text=text,
        tag=tag,
        setting=_setting(setting) if setting else PLAIN,
        labels=_labels(labels),
        task_id=task_id,
        batch=batch,
        taught_by=taught_by,
        at_s=at_s,
    )


def _condition(where: Filter) -> tuple[str, list[object]]:
    """The filter as SQL that goes on from a condition, and its parameters."""
    parts, parameters = [""], list[object]()
    for column, value in (("tag", where.tag), ("batch", where.batch), ("task_id", where.task_id)):
        if value is not None:
            parts.append(f"{column} = ?")
            parameters.append(value)
    # A label is written as [candidate, score, source].
    labels = [(at, value) for at, value in ((0, where.candidate), (2, where.source)) if value is not None]
    if labels:
        fits = " AND ".join(f"value ->> {at} = ?" for at, _ in labels)
        parts.append(f"EXISTS (SELECT 1 FROM json_each(labels) WHERE {fits})")  # noqa: S608 - our own names
        parameters += [value for _, value in labels]
    if where.text is not None:
        parts.append(f"instr(folded({TEXT}), ?) > 0")
        parameters.append(where.text.casefold())
    return " AND ".join(parts), parameters


def _folding(db: sqlite3.Connection) -> sqlite3.Connection:
    """SQLite by itself knows the case of ASCII letters only."""
    db.create_function("folded", 1, str.casefold, deterministic=True)
    return db
