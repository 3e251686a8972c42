"""One SQLite file as its ports use it: written by a thread, looked up on the loop, read at length in other threads.

Owns: the lifetime of the file's connections, how many writes may be under way, and which thread a question goes to.
Refuses: the SQL of any port, and blocking the loop: what might wait for a lock or for the disk runs in a thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from laneway.stores.schema import StoreError
from laneway.stores.sqlite.beat import Beat
from laneway.stores.sqlite.opening import connect, failed, open_file
from laneway.stores.sqlite.writer import Answer, Chore, Op, Writer

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

BUSY_S = 5.0
"""How long a write waits for another process's transaction."""
MOST_WAITING = 10_000
"""Writes under way before those who want another must wait for room."""


class Database:
    """A file that is opened by `start()`, on the loop that uses it, and drained by `close()`."""

    def __init__(self, path: Path, *, busy_s: float = BUSY_S, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.beat = Beat()
        self._busy_s = busy_s
        self._clock = clock
        self._chores: list[Chore] = []
        self._begins: list[Callable[[], Awaitable[None]]] = []
        self._ends: list[Callable[[], Awaitable[None]]] = []
        self._waiting = 0
        self._wanting: deque[asyncio.Future[None]] = deque()
        self._writer: Writer | None = None
        self._reader: sqlite3.Connection | None = None

    @property
    def is_open(self) -> bool:
        return self._writer is not None

    def add_chore(self, chore: Chore) -> None:
        """Before `start()`: something the writing thread does now and then."""
        self._chores.append(chore)

    def add_life(self, begin: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]]) -> None:
        """Before `start()`: what is done once the file is open, and before it is closed."""
        self._begins.append(begin)
        self._ends.append(end)

    async def start(self) -> None:
        """Opens the file. Raises StoreError with a sentence saying what is in the way."""
        if self._writer is not None:
            return
        writer, self._reader = await asyncio.to_thread(open_file, self.path, self._busy_s)
        loop = asyncio.get_running_loop()
        self._writer = Writer(writer, self._chores, loop=loop, answer=self._answer, clock=self._clock)
        for begin in self._begins:
            await begin()

    async def close(self) -> None:
        """Does what was asked before, then closes the file. Whoever asks afterwards gets a StoreError."""
        for end in self._ends if self._writer is not None else ():
            await end()
        self.beat.stop()
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        # The reader goes first: the last connection to close is the one that can fold the log into the file.
        if reader is not None:
            reader.close()
        if writer is not None:
            await writer.close()

    async def write(self, op: Op[T]) -> T:
        """Its value, once committed. It is carried out even if the caller is cancelled meanwhile."""
        while self._waiting >= MOST_WAITING:
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._wanting.append(room)
            await room
        return await self.submit(op)

    def submit(self, op: Op[T]) -> asyncio.Future[T]:
        """Like `write`, but without waiting for room: for those who bound what they have under way themselves."""
        if self._writer is None:
            raise StoreError("The gateway's store is not open.")
        self._waiting += 1
        return self._writer.put(op)

    def _answer(self, answers: Sequence[Answer]) -> None:
        self._waiting -= len(answers)
        for done, value, error in answers:
            if done.done():
                continue  # its caller was cancelled; what it asked for is done all the same
            if error is None:
                done.set_result(value)
            else:
                done.set_exception(error)
        free = MOST_WAITING - self._waiting
        while self._wanting and free > 0:
            room = self._wanting.popleft()
            if not room.done():
                room.set_result(None)
                free -= 1

    async def row(self, sql: str, parameters: Sequence[object]) -> Row | None:
        """One row by its key, in microseconds, as the last committed transaction of any process left it."""
        try:
            return next(iter(self.look(sql, parameters)), None)
        except StoreError:
            # A lock stands in the way, as when another process recovers the file after a crash.
            return await self.read(lambda db: db.execute(sql, parameters).fetchone())

    def look(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        """A few rows in microseconds, on the loop. Raises StoreError where another process's lock stands in the way."""
        if self._reader is None:
            raise StoreError("The gateway's store is not open.")
        try:
            return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            raise failed(error) from None

    async def read(self, op: Op[T]) -> T:
        """A long read, in a thread, on a connection of its own."""
        if self._reader is None:
            raise StoreError("The gateway's store is not open.")
        try:
            return await asyncio.to_thread(self._read, op)
        except sqlite3.Error as error:
            raise failed(error) from None

    async def fold(self) -> None:
        """Folds the log into the file and empties it, so that nothing which was overwritten is left in it.

        A reader that holds an old state of the file up may prevent it; the next one makes good for that.
        """
        try:
            await asyncio.to_thread(self._fold)
        except sqlite3.Error as error:
            raise failed(error) from None

    def _fold(self) -> None:
        db = connect(self.path, "rw", self._busy_s)
        try:
            # The pages are moved while others write; what remains for the lock is an instant.
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            db.close()

    def _read(self, op: Op[T]) -> T:
        db = connect(self.path, "ro", self._busy_s)
        try:
            return op(db)
        finally:
            db.close()
