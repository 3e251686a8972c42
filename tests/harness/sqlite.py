"""A SQLite store from both sides: opened as the gateway does, and looked at as another program would.

Owns: starting and closing around a scene, keeping the writing thread busy, and waiting for what comes by itself.
Refuses: to know what the rows mean.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from laneway.store import Store, open_store
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.ledger import SqliteLedger

NOW = 1_700_000_000.0
"""What the clock says where a test does not say otherwise: nothing is forgotten behind its back."""


@asynccontextmanager
async def started(
    where: Path | str, *, keep_days: float = 30.0, clock: Callable[[], float] = lambda: NOW
) -> AsyncIterator[Store]:
    """Opened by the path of its file, or by a URL, which may be another store's."""
    url = where if isinstance(where, str) else f"sqlite:///{where}"
    store = open_store(url, keep_days=keep_days, clock=clock)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def database(path: Path, *, busy_s: float = 5.0) -> AsyncIterator[Database]:
    opened = Database(path, busy_s=busy_s, clock=lambda: NOW)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.close()


def plain(path: Path) -> closing[sqlite3.Connection]:
    """The file as another program sees it."""
    return closing(sqlite3.connect(path, isolation_level=None))


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with plain(path) as db:
        return db.execute(sql).fetchall()


def held_up(db: Database) -> tuple[threading.Event, asyncio.Future[object]]:
    """Keeps the writing thread busy until the event is set."""
    go = threading.Event()
    return go, db.submit(lambda _: go.wait(20.0))


async def until(condition: Callable[[], bool]) -> None:
    """Returns when something that happens by itself has happened; the test's own time limit ends the patience."""
    while not condition():  # noqa: ASYNC110 - what is waited for is another program's view, which sets no event
        await asyncio.sleep(0.01)


async def crashed(database: Database, ledger: SqliteLedger) -> None:
    """Ends a ledger as a kill does: what it had leased and not reported stays as it is, and its lock is let go of."""
    if ledger._timer is not None:
        ledger._timer.cancel()
    if ledger._hints is not None:
        ledger._hints.close(keep=True)
        ledger._hints = None
    database._ends.clear()
    await database.close()
