"""How a SQLite file becomes a pair of connections, and what a person reads when it cannot.

Owns: making the folder and the file with their rights, the settings of a connection, bringing the tables up to date,
and turning SQLite's errors into sentences. Refuses: to go on with a file of another program or of a newer laneway.

`synchronous = NORMAL` in WAL mode: a commit has reached the operating system, so what was answered survives a kill of
the process. The disk is waited for at checkpoints only: a loss of power may take the last moments, never the file.
For budgets that is enough: requests charged in those moments go uncharged, and nothing else is wrong.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from laneway.stores.schema import NotOursError, StoreError, migrate

OLDEST_SQLITE = (3, 38, 0)  # STRICT tables, RETURNING, and the -> of JSON
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
WAL_BYTES = 64 << 20
"""What the write-ahead log is cut back to after a long reader let it grow."""

_one_at_a_time = threading.Lock()


class Connections(NamedTuple):
    """The one for the thread that writes, and the one for looking up on the loop, which never waits for a lock."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection


def open_file(path: Path, busy_s: float) -> Connections:
    """Opens the file, made where there is none. Raises StoreError with a sentence saying what is in the way."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(f"This Python comes with SQLite {sqlite3.sqlite_version}; laneway needs 3.38 or newer.")
    with _one_at_a_time:
        _create(path)
        return _connections(path, busy_s)


def _create(path: Path) -> None:
    """Makes what is missing, for its owner only: who asked for what is nobody else's business.

    A file that is there is not touched: closing it here would take the locks of this process's other connections to
    it away (https://sqlite.org/howtocorrupt.html, section 2.2), and the log could be deleted under them.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            # SQLite gives -wal and -shm the rights of the file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise _unusable(path, f"cannot be made ({error.strerror})") from None
    if path.is_dir():
        raise _unusable(path, "is a folder; name a file in it")


def _connections(path: Path, busy_s: float) -> Connections:
    opened: list[sqlite3.Connection] = []
    try:
        opened.append(connect(path, "rw", busy_s))
        _prepare(opened[0], busy_s)
        opened.append(connect(path, "ro", 0.0))
        # The tables are read now, so that the first look-up on the loop is as quick as the second.
        opened[1].execute("SELECT count(*) FROM keys").fetchone()
    except (sqlite3.Error, NotOursError) as error:
        for db in opened:
            db.close()
        raise _unusable(path, _described(error)) from None
    return Connections(*opened)


def connect(path: Path, mode: str, busy_s: float) -> sqlite3.Connection:
    """A connection whose transactions are begun and ended by hand; `mode` is "rw" or "ro"."""
    uri = f"file:{quote(str(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False)


def _prepare(db: sqlite3.Connection, busy_s: float) -> None:
    if _log_ahead(db, time.monotonic() + busy_s) != "wal":
        raise NotOursError("is on a file system without shared memory; put it on a local disk")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    migrate(db)
    # A statement of many rows notes how to undo itself. In a file that costs as many writes as the log does, and leaves
    # copies of what the tables promise to forget on the disk.
    db.execute("PRAGMA temp_store = MEMORY")


def _log_ahead(db: sqlite3.Connection, until_s: float) -> str:
    while True:
        try:
            mode: str = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            # Of two processes at a new file SQLite may turn one away at once, whatever its patience.
            if name_of(error) != "SQLITE_BUSY" or time.monotonic() > until_s:
                raise
            time.sleep(0.01)
        else:
            return mode


def failed(error: Exception) -> Exception:
    """What went wrong later on, fit for a caller's eyes: SQLite's own words stay in `detail`."""
    if isinstance(error, OSError):
        full = error.errno in _FULL
        reason = "its disk is full" if full else "a file beside it cannot be made"
        return StoreError(f"The gateway's store could not be used: {reason}.", str(error), passes=full)
    if not isinstance(error, sqlite3.Error):
        return error
    name = name_of(error)
    reason = {
        "SQLITE_BUSY": "another process keeps it locked",
        "SQLITE_FULL": "its disk is full",
        "SQLITE_READONLY": "it may only be read",
        "SQLITE_CORRUPT": "its file is damaged",
    }.get(name, "its database failed")
    passes = name in ("SQLITE_BUSY", "SQLITE_FULL")
    return StoreError(f"The gateway's store could not be used: {reason}.", f"{name}: {error}", passes=passes)


def name_of(error: sqlite3.Error) -> str:
    """The primary result code: SQLITE_READONLY_DBMOVED is a kind of SQLITE_READONLY."""
    name: str = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    return "_".join(name.split("_")[:2])


def _described(error: Exception) -> str:
    if not isinstance(error, sqlite3.Error):
        return str(error)
    name = name_of(error)
    if name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
        return f"is damaged, or no database at all ({error}); restore a copy, or move it away to begin anew"
    if name in ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM"):
        return f"cannot be opened for writing ({error}); give this user the right to, or name another file"
    if name == "SQLITE_BUSY":
        return "is locked by another program; end that program, or name another file"
    return f"cannot be used ({error})"


def _unusable(path: Path, says: str) -> StoreError:
    return StoreError(f"The store '{path}' {says}. Its place is set by LANEWAY_STORE, or by server.store.")
