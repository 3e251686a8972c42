"""Store: the state ports of one gateway, opened by URL.

Owns: which adapters stand behind a URL, and starting and closing them together.
Refuses: to be handed to a middleware, which takes the one port it asks; and to load SQLite before it is wanted.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from laneway.ports import (
    Audit,
    Book,
    Dials,
    Examples,
    Journal,
    Keys,
    Ledger,
    Notices,
    Pins,
    Receipts,
    Reports,
    Runs,
    Sessions,
    Shadows,
    Standings,
)
from laneway.record import PREFIX
from laneway.settings import ServerTable
from laneway.stores.schema import StoreError as StoreError

KEEP_DAYS = 30.0
KEEP_ROWS = 1_000_000
KEEP_USAGE_DAYS = 400.0
FORMS = "'sqlite:///relative/path', 'sqlite:////absolute/path' or 'memory:'"


class Keep(NamedTuple):
    """How much of the past is kept."""

    days: float
    rows: int
    usage_days: float


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """The ports, which work from `start()` to `close()`; `place` is where their rows rest, for a person to read."""

    keys: Keys
    sessions: Sessions
    ledger: Ledger
    pins: Pins
    journal: Journal
    audit: Audit
    reports: Reports
    notices: Notices
    book: Book
    runs: Runs
    receipts: Receipts
    dials: Dials
    shadows: Shadows
    standings: Standings
    examples: Examples
    place: str
    file: Path | None = None
    """What it is, if it is one: caches may rest beside it."""
    starting: Callable[[], Awaitable[None]]
    closing: Callable[[], Awaitable[None]]

    async def start(self) -> None:
        """Opens what the URL named, on the running loop. Raises StoreError with a sentence for a person."""
        await self.starting()

    async def close(self) -> None:
        """Writes what is still to be written, then lets go."""
        await self.closing()


def open_store(
    url: str,
    *,
    keep_days: float = KEEP_DAYS,
    keep_rows: int = KEEP_ROWS,
    keep_usage_days: float = KEEP_USAGE_DAYS,
    prefix: str = PREFIX,
    clock: Callable[[], float] = time.time,
) -> Store:
    """The store a URL names; nothing is touched before `start()`. Raises StoreError for a URL that names none.

    `keep_days` and `keep_rows` bound the journal, `keep_usage_days` what it adds up to; `prefix` is that of the
    records' own attributes; `clock` says what is past its time.
    """
    scheme, _, rest = url.partition(":")
    if in_memory(url):
        return _memory(prefix)
    if scheme == "sqlite":
        keep = Keep(keep_days, keep_rows, keep_usage_days)
        return _sqlite(_path(rest), keep, prefix, clock)
    # Only the scheme is shown: the rest of somebody's database URL may hold a password.
    raise StoreError(f"No store's URL begins with '{scheme[:20]}'. Write {FORMS}.")


def in_memory(url: str) -> bool:
    """Whether nobody but the process that opens it ever sees what is in it."""
    return url in ("memory:", "memory://")


def store_of(server: ServerTable) -> Store:
    """The store of a configuration."""
    return open_store(
        server.store,
        keep_days=server.keep_records_days,
        keep_usage_days=server.keep_usage_days,
        prefix=server.record_prefix,
    )


def _path(rest: str) -> Path:
    name = rest[3:]
    if not rest.startswith("///") or not name or any(odd in name for odd in ("?", "\0", ":memory:")):
        raise StoreError(f"'sqlite:{rest}' names no file. Write {FORMS}.")
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise StoreError(f"'sqlite:{rest}' begins at a home that is not known. Write {FORMS}.") from None


def _memory(prefix: str) -> Store:
    from laneway.stores.audit import MemoryAudit
    from laneway.stores.book import MemoryBook
    from laneway.stores.examples import MemoryExamples
    from laneway.stores.memory import MemoryJournal, MemoryKeys, MemoryLedger, MemoryNotices, MemoryPins
    from laneway.stores.receipts import MemoryDials, MemoryReceipts
    from laneway.stores.runs import MemoryRuns
    from laneway.stores.sessions import MemorySessions
    from laneway.stores.shadows import MemoryShadows, MemoryStandings

    audit, journal = MemoryAudit(), MemoryJournal(prefix=prefix)
    return Store(
        keys=MemoryKeys(),
        sessions=MemorySessions(),
        ledger=MemoryLedger(),
        pins=MemoryPins(),
        journal=journal,
        audit=audit,
        reports=journal,
        notices=MemoryNotices(),
        book=MemoryBook(),
        runs=MemoryRuns(),
        receipts=MemoryReceipts(),
        dials=MemoryDials(audit),
        shadows=MemoryShadows(),
        standings=MemoryStandings(audit),
        examples=MemoryExamples(),
        place="memory (gone when it ends)",
        starting=_nothing,
        closing=_nothing,
    )


async def _nothing() -> None:
    pass


def _sqlite(path: Path, keep: Keep, prefix: str, clock: Callable[[], float]) -> Store:
    from laneway.stores.sqlite.audit import SqliteAudit
    from laneway.stores.sqlite.book import SqliteBook
    from laneway.stores.sqlite.database import Database
    from laneway.stores.sqlite.dials import SqliteDials
    from laneway.stores.sqlite.examples import SqliteExamples
    from laneway.stores.sqlite.journal import SqliteJournal
    from laneway.stores.sqlite.keys import SqliteKeys
    from laneway.stores.sqlite.ledger import SqliteLedger
    from laneway.stores.sqlite.notices import SqliteNotices
    from laneway.stores.sqlite.pins import SqlitePins
    from laneway.stores.sqlite.receipts import SqliteReceipts
    from laneway.stores.sqlite.runs import SqliteRuns
    from laneway.stores.sqlite.sessions import SqliteSessions
    from laneway.stores.sqlite.shadows import SqliteShadows
    from laneway.stores.sqlite.standings import SqliteStandings

    database = Database(path, clock=clock)
    journal = SqliteJournal(
        database, keep_days=keep.days, keep_rows=keep.rows, keep_usage_days=keep.usage_days, prefix=prefix
    )

    async def close() -> None:
        await journal.drain()
        await database.close()

    return Store(
        keys=SqliteKeys(database),
        sessions=SqliteSessions(database),
        ledger=SqliteLedger(database),
        pins=SqlitePins(database),
        journal=journal,
        audit=SqliteAudit(database),
        reports=journal,
        notices=SqliteNotices(database),
        book=SqliteBook(database),
        runs=SqliteRuns(database),
        receipts=SqliteReceipts(database, keep_days=keep.days, keep_rows=keep.rows),
        dials=SqliteDials(database),
        shadows=SqliteShadows(database, keep_days=keep.days),
        standings=SqliteStandings(database),
        examples=SqliteExamples(database, clock=clock),
        place=str(path),
        file=path,
        starting=database.start,
        closing=close,
    )
