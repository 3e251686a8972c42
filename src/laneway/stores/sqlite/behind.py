"""Rows written behind what they are about: a bounded queue between the loop and the writing thread.

Owns: how long a row waits for others to be written with, how many are under way, keeping rows that a full disk or
somebody's lock does not let in until there is room, and counting what was lost.
Refuses: to make anybody wait who puts a row in, and to know what a row is.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from laneway.stores.schema import StoreError
from laneway.stores.sqlite.beat import Due
from laneway.stores.sqlite.database import Database

T = TypeVar("T")
log = logging.getLogger("laneway")

DELAY_S = 0.05
"""How long a row may wait for others to be written with."""
RETRY_S = 1.0
"""How long rows wait that could not be written."""
MOST_UNWRITTEN = 10_000
BATCH = 256
"""Rows in one job: a hold queued behind it waits for no more than these."""


class Behind(Generic[T]):
    """`put` on the loop that started the database; `write` is called in the writing thread, inside a transaction, and
    may answer how many of its rows could not be put into words."""

    def __init__(
        self,
        database: Database,
        write: Callable[[Sequence[T], sqlite3.Connection], int | None],
        *,
        most: int = MOST_UNWRITTEN,
    ) -> None:
        self.dropped = 0
        self._database = database
        self._insert = write
        self._most = most
        self._queue: deque[T] = deque()
        self._put = 0
        self._written = 0
        self._timer: asyncio.TimerHandle | Due | None = None
        self._writing: asyncio.Future[int | None] | None = None
        self._stuck = False
        database.add_life(_begun, self._close)

    def put(self, row: T) -> None:
        if self._put - self._written >= self._most:
            self.dropped += 1
            return
        self._put += 1
        self._queue.append(row)
        if self._timer is None and self._writing is None:
            # Without a running loop it waits for the next row, or for `drain`.
            with suppress(RuntimeError):
                self._soon()

    def _soon(self) -> None:
        self._timer = self._database.beat.join(self._write, DELAY_S)

    async def drain(self) -> None:
        """Returns when everything put before is written, or counted as dropped, or cannot be written now."""
        goal = self._put
        self._stuck = False
        while self._written < goal and not self._stuck:
            if self._writing is None:
                self._write()
            else:
                await asyncio.wait([self._writing])

    async def _close(self) -> None:
        await self.drain()
        if self._queue:
            log.warning("the store could not be written at the end: %d rows are lost", len(self._queue))
            self._drop()
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop(self) -> None:
        self._queue.clear()
        self.dropped += self._put - self._written
        self._written = self._put

    def _write(self) -> None:
        self._stop_waiting()
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        try:
            self._writing = self._database.submit(partial(self._insert, batch))
        except StoreError:
            self._drop()
        else:
            self._writing.add_done_callback(partial(self._ended, batch))

    def _ended(self, batch: Sequence[T], written: asyncio.Future[int | None]) -> None:
        self._writing = None
        error = None if written.cancelled() else written.exception()
        if isinstance(error, StoreError) and error.passes:
            if not self._stuck:
                self._stuck = True
                log.warning("rows wait, because the store could not be written: %s", error.failure.message)
            self._queue.extendleft(reversed(batch))
            self._timer = asyncio.get_running_loop().call_later(RETRY_S, self._write)
            return
        self._stuck = False
        self._written += len(batch)
        lost = written.cancelled() or error is not None
        self.dropped += len(batch) if lost else written.result() or 0
        if len(self._queue) >= BATCH:
            self._write()
        elif self._queue:
            self._soon()


async def _begun() -> None:
    pass
