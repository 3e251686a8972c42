"""Kills in SQLite: rows that outlive every process, behind a mark that every process sees in the next instruction.

Owns: writing a kill so that no call begins after it was answered, and reading the rows again only when they changed.
Refuses: to let a paid call through because the rows cannot be read: then everything is stopped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from laneway.ports import Kill
from laneway.stores.schema import StoreError
from laneway.stores.sqlite.board import Board, is_settled
from laneway.stores.sqlite.database import Database

T = TypeVar("T")

_ALL = "SELECT scope, reason, at_s FROM kills ORDER BY at_s, scope"
_KILL = "INSERT INTO kills (scope, reason, at_s) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_UNKILL = "DELETE FROM kills WHERE scope = ?"
UNREADABLE = {"all": Kill("all", "the gateway's store cannot be read", 0.0)}


class Kills:
    """The kills of one store, as a process sees them."""

    def __init__(self, database: Database, board: Callable[[], Board]) -> None:
        self._database = database
        self._board = board
        self._mark = b""
        self._seen: Mapping[str, Kill] = {}

    def now(self) -> Mapping[str, Kill]:
        try:
            mark = self._board().kills()
            if mark != self._mark:
                # The mark was read first: what changes meanwhile changes it again. One that is not settled is none.
                self._seen = {scope: Kill(scope, reason, at_s) for scope, reason, at_s in self._database.look(_ALL, ())}
                self._mark = mark if is_settled(mark) else b""
        except StoreError:
            return UNREADABLE
        return self._seen

    async def add(self, scope: str, reason: str, now_s: float) -> None:
        await self._change(partial(_changed, _KILL, (scope, reason, now_s)))

    async def take_back(self, scope: str) -> bool:
        return await self._change(partial(_changed, _UNKILL, (scope,))) > 0

    async def _change(self, op: Callable[[sqlite3.Connection], T]) -> T:
        board = self._board()

        def marked(db: sqlite3.Connection) -> T:
            board.change_kills(done=False)
            return op(db)

        writing = self._database.submit(marked)
        # Also when whoever asked is gone meanwhile.
        writing.add_done_callback(lambda _: board.change_kills(done=True))
        return await writing


def _changed(sql: str, parameters: tuple[object, ...], db: sqlite3.Connection) -> int:
    return db.execute(sql, parameters).rowcount
