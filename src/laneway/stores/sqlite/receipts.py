"""Receipts in SQLite, written behind the answers.

Owns: turning receipts into rows, finding them by id, by facts and by neighbour, and forgetting what is past its time.
Refuses: to make a request wait, and to hide a loss: what could not be kept is counted in `dropped`.
"""

from __future__ import annotations

import sqlite3
from base64 import b64decode
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TypeAlias

import msgspec
from msgspec.structs import astuple

from laneway._core import Shown
from laneway.ports import Receipt, Setting, Stood
from laneway.stores.sqlite.behind import Behind
from laneway.stores.sqlite.database import Database

AT_ONCE = 64
"""Receipts in one statement. While it runs the interpreter is free, so the loop never waits for more than these."""
STEP_ROWS = 500
FACTS = ("pool", "rule", "served", "declined")

_INSERT = "INSERT OR IGNORE INTO receipts (id, tenant, at_s, pool, rule, served, declined, near, told) VALUES "
_MARKS = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
_Row: TypeAlias = tuple[str, str, float, str, str, str, str, str, str]
# Numbers are given in the order of time, or nearly: who is old is among the first.
_FORGET_OLD = (
    "DELETE FROM receipts WHERE n IN (SELECT n FROM (SELECT n, at_s FROM receipts ORDER BY n LIMIT ?) WHERE at_s <= ?)"
)
_FORGET_CROWD = (
    "DELETE FROM receipts WHERE n IN "
    "(SELECT n FROM receipts WHERE n <= (SELECT max(n) FROM receipts) - ? ORDER BY n LIMIT ?)"
)

_FIELDS = Receipt.__struct_fields__
_SETTING = _FIELDS.index("setting")
_NEIGHBOURS = _FIELDS.index("neighbours")
_STANDINGS = _FIELDS.index("standings")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Receipt).decode


class SqliteReceipts:
    """`keep` is called on the loop that started the database."""

    def __init__(self, database: Database, *, keep_days: float, keep_rows: int) -> None:
        self._database = database
        self._behind: Behind[_Row] = Behind(database, _insert)
        self._unsayable = 0
        self._keep_s = keep_days * 86_400
        self._keep_rows = keep_rows
        database.add_chore(self.prune)

    @property
    def dropped(self) -> int:
        return self._behind.dropped + self._unsayable

    def keep(self, receipt: Receipt) -> None:
        # Put into words now, while all of it is at hand: a row of texts waits more cheaply than a hundred objects.
        try:
            row = _row(receipt)
        except (TypeError, ValueError):
            self._unsayable += 1
        else:
            self._behind.put(row)

    async def get(self, tenant: str, receipt_id: str) -> Receipt | None:
        found = await self._find(["tenant = ?", "id = ?"], [tenant, receipt_id], 1)
        return found[0] if found else None

    async def recent(
        self, tenant: str | None, *, limit: int = 100, where: Mapping[str, str] | None = None, after: str | None = None
    ) -> Sequence[Receipt]:
        conditions, values = ["true"], list[object]()
        if tenant is not None:
            conditions.append("tenant = ?")
            values.append(tenant)
        for name, value in (where or {}).items():
            conditions.append(f"{name} = ?" if name in FACTS else "false")
            values += [value] if name in FACTS else []
        if after is not None:
            # New ones are numbered above all that stand, so what is written meanwhile shifts no page.
            conditions.append("n < (SELECT n FROM receipts WHERE id = ?)")
            values.append(after)
        return await self._find(conditions, values, limit)

    async def influenced(self, tenant: str, example_id: int, *, limit: int = 100) -> Sequence[Receipt]:
        return await self._find(["tenant = ?", "instr(near, ?)"], [tenant, f",{example_id},"], limit)

    async def _find(self, conditions: list[str], values: list[object], limit: int) -> list[Receipt]:
        await self._behind.drain()
        sql = f"SELECT told FROM receipts WHERE {' AND '.join(conditions)} ORDER BY n DESC LIMIT ?"  # noqa: S608
        return await self._database.read(lambda db: [read(told) for (told,) in db.execute(sql, (*values, limit))])

    def prune(self, db: sqlite3.Connection, now_s: float) -> bool:
        """A step of forgetting: what is too old, and what is too much."""
        gone = db.execute(_FORGET_OLD, (STEP_ROWS, now_s - self._keep_s)).rowcount
        gone = max(gone, db.execute(_FORGET_CROWD, (self._keep_rows, STEP_ROWS)).rowcount)
        return gone >= STEP_ROWS


def written(receipt: Receipt) -> str:
    """Values without their names, in the order of the fields, and the core's neighbours as it packs them (in base64),
    beside the names of their columns: a third as long, so that three fit on a page of the file."""
    values = list(astuple(receipt))
    values[_SETTING] = astuple(receipt.setting)
    values[_STANDINGS] = tuple(map(astuple, receipt.standings))
    if type(near := receipt.neighbours) is Shown:
        values[_NEIGHBOURS] = near.packed, near.names
    return _encode(values).decode()


def read(told: str) -> Receipt:
    """A row as `written`, or with names, as rows were written before; what it does not have is as if nobody said it."""
    if told.startswith("{"):
        return _whole(_decode(told))
    named = dict(zip(_FIELDS, msgspec.json.decode(told), strict=False))
    named["setting"] = dict(zip(Setting.__struct_fields__, named.get("setting", ()), strict=False))
    named["standings"] = [
        dict(zip(Stood.__struct_fields__, stood, strict=False)) for stood in named.get("standings", ())
    ]
    packed = named.get("neighbours", ())
    if len(packed) == 2 and isinstance(packed[0], str):
        near, names = b64decode(packed[0]), packed[1]
        bare = msgspec.convert({**named, "neighbours": ()}, Receipt)
        return msgspec.structs.replace(bare, neighbours=Shown(near, names))
    return _whole(msgspec.convert(named, Receipt))


def _whole(receipt: Receipt) -> Receipt:
    return msgspec.structs.replace(receipt, neighbours=tuple(receipt.neighbours))


def _row(receipt: Receipt) -> _Row:
    near = receipt.neighbours
    return (
        receipt.id,
        receipt.tenant,
        receipt.at_s,
        receipt.pool,
        receipt.rule,
        receipt.served,
        receipt.declined or "",
        # Each between commas, as `influenced` looks for one.
        near.ids if type(near) is Shown else ",".join(["", *(str(id_) for id_, _, _ in near), ""]),
        written(receipt),
    )


def _insert(batch: Sequence[_Row], db: sqlite3.Connection) -> None:
    for start in range(0, len(batch), AT_ONCE):
        rows = batch[start : start + AT_ONCE]
        db.execute(_INSERT + ", ".join([_MARKS] * len(rows)), list(chain.from_iterable(rows)))
